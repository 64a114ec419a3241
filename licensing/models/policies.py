from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.models import Account
from keygen_site.db.fields import AtLeast, AtMost, ShortTextField
from keygen_site.jsonapi.errors import DomainError
from keygen_site.models import Resource
from licensing.metadata import validate_metadata
from licensing.models.products import Product

LARGEST_INTEGER = AtMost(2**31 - 1)
LARGEST_BIGINT = AtMost(2**63 - 1)
POSITIVE = AtLeast(1, "must be greater than 0")
DAY, MINUTE = 86_400, 60  # seconds

UNIQUENESS = ("UNIQUE_PER_ACCOUNT", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_POLICY", "UNIQUE_PER_LICENSE")
MATCHING = ("MATCH_ANY", "MATCH_TWO", "MATCH_MOST", "MATCH_ALL")
SCHEMES = (
    "LEGACY_ENCRYPT",
    "RSA_2048_PKCS1_ENCRYPT",
    "RSA_2048_PKCS1_SIGN",
    "RSA_2048_PKCS1_PSS_SIGN",
    "RSA_2048_JWT_RS256",
    "RSA_2048_PKCS1_SIGN_V2",
    "RSA_2048_PKCS1_PSS_SIGN_V2",
    "ED25519_SIGN",
    "ECDSA_P256_SIGN",
)
RESURRECTIONS = (
    "ALWAYS_REVIVE",
    "15_MINUTE_REVIVE",
    "10_MINUTE_REVIVE",
    "5_MINUTE_REVIVE",
    "2_MINUTE_REVIVE",
    "1_MINUTE_REVIVE",
    "NO_REVIVE",
)
OVERAGES = (
    "ALWAYS_ALLOW_OVERAGE",
    "ALLOW_1_25X_OVERAGE",
    "ALLOW_1_5X_OVERAGE",
    "ALLOW_2X_OVERAGE",
    "NO_OVERAGE",
)
# An overage must come out as a whole number: by what each limit has to be divisible.
DIVISORS = {"ALLOW_1_25X_OVERAGE": 4, "ALLOW_1_5X_OVERAGE": 2}
LIMITS = ("machines", "cores", "memory", "disk", "processes", "users")


class PoolNotSupported(DomainError):
    """The policy has no pool to take from (contract: keys 6.2)."""

    detail = "pool is not supported"
    source = {"pointer": "/data/relationships/pool"}


class PoolEmpty(DomainError):
    """No key waits in the policy's pool (contract: keys 6.2)."""

    detail = "pool is empty"
    source = {"pointer": "/data/relationships/pool"}


class PolicyQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The policies that a bearer may see: a license and a user those of their licenses (contract: keys 5.3)."""
        policies = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return policies
        match bearer.role:
            case "product":
                return policies.filter(product=bearer.id)
            case "license":
                own = Q(licenses=bearer.id)
            case "user":
                own = Q(licenses__owner=bearer.id) | Q(licenses__users=bearer.id)
            case _:
                return policies.none()
        # A subquery: rows found by a join could not be locked, nor counted without doubles.
        return policies.filter(pk__in=self.model.objects.filter(own).values("pk"))


def enum(noun, *values, default=None, **options):
    """A field that holds one of `values`; any other is refused as an "unsupported <noun>"."""
    return models.CharField(
        max_length=32,
        choices=[(value, value) for value in values],
        default=default,
        error_messages={"invalid_choice": f"unsupported {noun}"},
        **options,
    )


def limit(*validators, field=models.IntegerField, most=LARGEST_INTEGER):
    """A nullable number; null is no limit."""
    return field(null=True, blank=True, validators=[*validators, most])


class Policy(Resource):
    """The terms of licenses. With `use_pool` these get their keys from a pool of ready-made ones.

    Attributes, defaults and bounds: contract, keys 7.1. What is about machines, components and processes is
    kept, checked and shown, and has no effect here.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="policies")
    product = models.ForeignKey(Product, models.CASCADE, related_name="policies")
    name = ShortTextField(max_length=255)
    duration = limit(POSITIVE, AtLeast(DAY, f"must be greater than or equal to {DAY} (1 day)"))
    strict = models.BooleanField(default=False)
    floating = models.BooleanField(default=False)
    use_pool = models.BooleanField(default=False)
    max_machines = limit(AtLeast(0))
    max_processes = limit(POSITIVE)
    max_users = limit(POSITIVE)
    max_cores = limit(AtLeast(1))
    max_memory = limit(AtLeast(1), field=models.BigIntegerField, most=LARGEST_BIGINT)
    max_disk = limit(AtLeast(1), field=models.BigIntegerField, most=LARGEST_BIGINT)
    max_uses = limit(AtLeast(0))
    machine_uniqueness_strategy = enum("machine uniqueness strategy", *UNIQUENESS, default="UNIQUE_PER_LICENSE")
    machine_matching_strategy = enum("machine matching strategy", *MATCHING, default="MATCH_ANY")
    component_uniqueness_strategy = enum(
        "component uniqueness strategy", *UNIQUENESS, "UNIQUE_PER_MACHINE", default="UNIQUE_PER_MACHINE"
    )
    component_matching_strategy = enum("component matching strategy", *MATCHING, default="MATCH_ANY")
    expiration_strategy = enum(
        "expiration strategy",
        "RESTRICT_ACCESS",
        "REVOKE_ACCESS",
        "MAINTAIN_ACCESS",
        "ALLOW_ACCESS",
        default="RESTRICT_ACCESS",
    )
    expiration_basis = enum(
        "expiration basis",
        "FROM_CREATION",
        "FROM_FIRST_VALIDATION",
        "FROM_FIRST_ACTIVATION",
        "FROM_FIRST_DOWNLOAD",
        "FROM_FIRST_USE",
        default="FROM_CREATION",
    )
    renewal_basis = enum("renewal basis", "FROM_EXPIRY", "FROM_NOW", "FROM_NOW_IF_EXPIRED", default="FROM_EXPIRY")
    transfer_strategy = enum("transfer strategy", "RESET_EXPIRY", "KEEP_EXPIRY", default="KEEP_EXPIRY")
    authentication_strategy = enum(
        "authentication strategy", "TOKEN", "LICENSE", "SESSION", "MIXED", "NONE", default="TOKEN"
    )
    machine_leasing_strategy = enum("machine leasing strategy", "PER_LICENSE", "PER_USER", default="PER_LICENSE")
    process_leasing_strategy = enum(
        "process leasing strategy", "PER_LICENSE", "PER_MACHINE", "PER_USER", default="PER_MACHINE"
    )
    overage_strategy = enum("overage strategy", *OVERAGES, default="NO_OVERAGE")
    scheme = enum("signing scheme", *SCHEMES, null=True, blank=True)
    encrypted = models.BooleanField(default=False)
    protected = models.BooleanField(blank=True)  # the account's, unless said
    require_product_scope = models.BooleanField(default=False)
    require_policy_scope = models.BooleanField(default=False)
    require_machine_scope = models.BooleanField(default=False)
    require_fingerprint_scope = models.BooleanField(default=False)
    require_components_scope = models.BooleanField(default=False)
    require_user_scope = models.BooleanField(default=False)
    require_checksum_scope = models.BooleanField(default=False)
    require_version_scope = models.BooleanField(default=False)
    require_check_in = models.BooleanField(default=False)
    check_in_interval = ShortTextField(max_length=255, null=True, blank=True)
    check_in_interval_count = limit(AtLeast(-(2**31)))  # looked at only where a check-in is required
    heartbeat_duration = limit(POSITIVE, AtLeast(MINUTE, f"must be greater than or equal to {MINUTE} (1 minute)"))
    heartbeat_cull_strategy = enum("heartbeat cull strategy", "DEACTIVATE_DEAD", "KEEP_DEAD", default="DEACTIVATE_DEAD")
    heartbeat_resurrection_strategy = enum("heartbeat resurrection strategy", *RESURRECTIONS, default="NO_REVIVE")
    heartbeat_basis = enum("heartbeat basis", "FROM_CREATION", "FROM_FIRST_PING", default="", blank=True)
    require_heartbeat = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    # At how many waiting keys somebody is told, and since when they know: null after a refill.
    low_stock_threshold = models.PositiveIntegerField(null=True, blank=True)
    low_stock_alerted = models.DateTimeField(null=True, editable=False)

    objects = PolicyQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "policies"
        constraints = [
            models.CheckConstraint(
                condition=Q(use_pool=False) | Q(encrypted=False, scheme=None),
                name="licensing_policy_pool_without_scheme",
            ),
        ]
        indexes = [models.Index(fields=["account", "id"], name="licensing_policy_listed")]

    class JSONAPIMeta:
        resource_name = "policies"

    def __str__(self):
        return self.name

    def save_changes(self, *names):
        # `clean()` may set it: a policy that no longer floats is for one machine.
        super().save_changes(*names, "max_machines")

    def clean(self):
        """Fill in what depends on other values, then check that the terms fit together (contract: keys 7.3)."""
        self._fill_in()
        problems = {}

        def refuse(name, detail, kind):
            problems.setdefault(name, []).append(ValidationError(detail, code=kind))

        if self.use_pool and self.encrypted:
            refuse("encrypted", "cannot be encrypted and use a pool", "not_supported")
        if self.use_pool and self.scheme:
            refuse("scheme", "cannot use a scheme and use a pool", "not_supported")
        if self.scheme == "LEGACY_ENCRYPT" and not self.encrypted:
            refuse("scheme", "must be encrypted when using LEGACY_ENCRYPT scheme", "invalid")
        if self.encrypted and self.scheme in SCHEMES[1:]:
            detail = "unsupported encryption scheme (scheme must be LEGACY_ENCRYPT for legacy encrypted policies)"
            refuse("scheme", detail, "not_allowed")
        self._check_machines(refuse)
        self._check_check_in(refuse)
        if self.heartbeat_resurrection_strategy == "ALWAYS_REVIVE" and self.heartbeat_cull_strategy != "KEEP_DEAD":
            detail = (
                "incompatible heartbeat cull strategy (must be KEEP_DEAD when resurrection strategy is ALWAYS_REVIVE)"
            )
            refuse("heartbeat_cull_strategy", detail, "not_allowed")
        if reason := self._overage_problem():
            detail = f"incompatible overage strategy (cannot use {self.overage_strategy} {reason})"
            refuse("overage_strategy", detail, "not_allowed")
        if problems:
            raise ValidationError(problems)

    def _fill_in(self):
        if self.max_machines is None and not self.floating:
            self.max_machines = 1
        if self.encrypted and self.scheme is None:
            self.scheme = "LEGACY_ENCRYPT"
        if self.protected is None:
            self.protected = self.account.protected
        if not self.heartbeat_basis:
            self.heartbeat_basis = "FROM_CREATION" if self.require_heartbeat else "FROM_FIRST_PING"

    def _check_machines(self, refuse):
        if problem := machines_problem(self.max_machines, floating=self.floating):
            refuse("max_machines", problem, "invalid")

    def _check_check_in(self, refuse):
        if not self.require_check_in:
            return
        if self.check_in_interval not in ("day", "week", "month", "year"):
            refuse("check_in_interval", "must be one of: day, week, month, year", "not_allowed")
        if not 1 <= (self.check_in_interval_count or 0) <= 365:
            refuse("check_in_interval_count", "must be a number between 1 and 365 inclusive", "not_allowed")

    def _overage_problem(self):
        divisor = DIVISORS.get(self.overage_strategy)
        if divisor is None:
            return None
        if not self.floating:
            return "for node-locked policy"
        for name in LIMITS:
            if (getattr(self, f"max_{name}") or 0) % divisor:
                return f"with a max {name} value not divisible by {divisor}"
        return None


def machines_problem(machines, *, floating):
    """What is wrong with a limit of machines, or None; a license's own limit obeys the rule too (licenses 3.7)."""
    if machines is None:
        return None
    if floating and machines < 1:
        return "must be greater than or equal to 1 for floating policy"
    if not floating and machines != 1:
        return "must be equal to 1 for non-floating policy"
    return None
