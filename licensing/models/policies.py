"""Policies and their queryset."""

from collections.abc import Collection, Iterator
from fractions import Fraction
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.fields import AtLeast, AtMost, ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.jsonapi.errors import OUT_OF_RANGE, DomainError
from keygen_site.models import Resource
from licensing.durations import DAY, MINUTE
from licensing.models.products import Product

POSITIVE = AtLeast(1, "must be greater than 0")

# From the widest scope to the narrowest.
UNIQUENESS_STRATEGIES = ("UNIQUE_PER_ACCOUNT", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_POLICY", "UNIQUE_PER_LICENSE")
MATCHING_STRATEGIES = ("MATCH_ANY", "MATCH_TWO", "MATCH_MOST", "MATCH_ALL")
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
RESURRECTION_STRATEGIES = (
    "ALWAYS_REVIVE",
    "15_MINUTE_REVIVE",
    "10_MINUTE_REVIVE",
    "5_MINUTE_REVIVE",
    "2_MINUTE_REVIVE",
    "1_MINUTE_REVIVE",
    "NO_REVIVE",
)
# The factor by which each overage strategy lets a count exceed its limit; None: without bound. Fractions are exact.
OVERAGE_FACTORS = {
    "ALWAYS_ALLOW_OVERAGE": None,
    "ALLOW_1_25X_OVERAGE": Fraction(5, 4),
    "ALLOW_1_5X_OVERAGE": Fraction(3, 2),
    "ALLOW_2X_OVERAGE": Fraction(2),
    "NO_OVERAGE": Fraction(1),
}
# Limits times their factor must be whole numbers, so the limits must be divisible by these.
OVERAGE_DIVISORS = {"ALLOW_1_25X_OVERAGE": 4, "ALLOW_1_5X_OVERAGE": 2}
DIVISIBLE_LIMITS = ("machines", "cores", "memory", "disk", "processes", "users")


class PoolNotSupported(DomainError):
    """The policy has no pool (contract: keys 6.2)."""

    detail = "pool is not supported"
    source = {"pointer": "/data/relationships/pool"}


class PoolEmpty(DomainError):
    """No key is available in the policy's pool (contract: keys 6.2)."""

    detail = "pool is empty"
    source = {"pointer": "/data/relationships/pool"}


class PolicyQuerySet(models.QuerySet["Policy"]):
    def visible_to(self, bearer: Bearer) -> Self:
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
        # A subquery rather than a join, which returns duplicates, and rows that cannot be counted or locked.
        return policies.filter(pk__in=self.model.objects.filter(own).values("pk"))


def enum_field(noun: str, *values: str, default: str | None = None, **options: Any) -> Any:
    """A field with one of `values`; any other is refused as an "unsupported <noun>"."""
    return models.CharField(
        max_length=32,
        choices=[(value, value) for value in values],
        default=default,
        error_messages={"invalid_choice": f"unsupported {noun}"},
        **options,
    )


def limit_field(*validators: AtLeast, big: bool = False) -> Any:
    """A nullable number of 4 bytes, or 8 if `big`; null is no limit."""
    field, bits = (models.BigIntegerField, 63) if big else (models.IntegerField, 31)
    return field(null=True, blank=True, validators=[*validators, AtMost(2**bits - 1)])


class Policy(Resource):
    """The terms of licenses. With `use_pool` the licenses get their keys from the policy's pool.

    Attributes, defaults and bounds: contract, keys 7.1.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="policies")
    product = models.ForeignKey(Product, models.CASCADE, related_name="policies")
    name = ShortTextField(max_length=255)
    duration = limit_field(POSITIVE, AtLeast(DAY, f"must be greater than or equal to {DAY} (1 day)"))
    strict = models.BooleanField(default=False)
    floating = models.BooleanField(default=False)
    use_pool = models.BooleanField(default=False)
    max_machines = limit_field(AtLeast(0))
    max_processes = limit_field(POSITIVE)
    max_users = limit_field(POSITIVE)
    max_cores = limit_field(AtLeast(1))
    max_memory = limit_field(AtLeast(1), big=True)
    max_disk = limit_field(AtLeast(1), big=True)
    max_uses = limit_field(AtLeast(0))
    machine_uniqueness_strategy = enum_field(
        "machine uniqueness strategy", *UNIQUENESS_STRATEGIES, default="UNIQUE_PER_LICENSE"
    )
    machine_matching_strategy = enum_field("machine matching strategy", *MATCHING_STRATEGIES, default="MATCH_ANY")
    component_uniqueness_strategy = enum_field(
        "component uniqueness strategy", *UNIQUENESS_STRATEGIES, "UNIQUE_PER_MACHINE", default="UNIQUE_PER_MACHINE"
    )
    component_matching_strategy = enum_field("component matching strategy", *MATCHING_STRATEGIES, default="MATCH_ANY")
    expiration_strategy = enum_field(
        "expiration strategy",
        "RESTRICT_ACCESS",
        "REVOKE_ACCESS",
        "MAINTAIN_ACCESS",
        "ALLOW_ACCESS",
        default="RESTRICT_ACCESS",
    )
    expiration_basis = enum_field(
        "expiration basis",
        "FROM_CREATION",
        "FROM_FIRST_VALIDATION",
        "FROM_FIRST_ACTIVATION",
        "FROM_FIRST_DOWNLOAD",
        "FROM_FIRST_USE",
        default="FROM_CREATION",
    )
    renewal_basis = enum_field("renewal basis", "FROM_EXPIRY", "FROM_NOW", "FROM_NOW_IF_EXPIRED", default="FROM_EXPIRY")
    transfer_strategy = enum_field("transfer strategy", "RESET_EXPIRY", "KEEP_EXPIRY", default="KEEP_EXPIRY")
    authentication_strategy = enum_field(
        "authentication strategy", "TOKEN", "LICENSE", "SESSION", "MIXED", "NONE", default="TOKEN"
    )
    machine_leasing_strategy = enum_field("machine leasing strategy", "PER_LICENSE", "PER_USER", default="PER_LICENSE")
    process_leasing_strategy = enum_field(
        "process leasing strategy", "PER_LICENSE", "PER_MACHINE", "PER_USER", default="PER_MACHINE"
    )
    overage_strategy = enum_field("overage strategy", *OVERAGE_FACTORS, default="NO_OVERAGE")
    scheme = enum_field("signing scheme", *SCHEMES, null=True, blank=True)
    encrypted = models.BooleanField(default=False)
    protected = models.BooleanField(blank=True)  # by default the account's
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
    check_in_interval_count = limit_field(AtLeast(-(2**31)))  # checked by `clean()`
    heartbeat_duration = limit_field(POSITIVE, AtLeast(MINUTE, f"must be greater than or equal to {MINUTE} (1 minute)"))
    heartbeat_cull_strategy = enum_field(
        "heartbeat cull strategy", "DEACTIVATE_DEAD", "KEEP_DEAD", default="DEACTIVATE_DEAD"
    )
    heartbeat_resurrection_strategy = enum_field(
        "heartbeat resurrection strategy", *RESURRECTION_STRATEGIES, default="NO_REVIVE"
    )
    heartbeat_basis = enum_field("heartbeat basis", "FROM_CREATION", "FROM_FIRST_PING", default="", blank=True)
    require_heartbeat = models.BooleanField(default=False)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    # The number of available keys at which the account's admins are alerted, and the time of the alert: null after a
    # refill. With a number of days, the threshold is computed from it, once a day: `pools.services.low_stock`.
    low_stock_threshold = models.PositiveIntegerField(null=True, blank=True)
    low_stock_days = models.PositiveSmallIntegerField(null=True, blank=True)
    low_stock_alerted = models.DateTimeField(null=True, editable=False)

    error_order = (
        "name",
        "duration",
        "heartbeat_duration",
        "max_machines",
        "max_cores",
        "max_memory",
        "max_disk",
        "max_uses",
        "check_in_interval",
        "check_in_interval_count",
        "scheme",
        "machine_uniqueness_strategy",
        "machine_matching_strategy",
        "component_uniqueness_strategy",
        "component_matching_strategy",
        "expiration_strategy",
        "expiration_basis",
        "renewal_basis",
        "metadata",
        "authentication_strategy",
        "heartbeat_cull_strategy",
        "heartbeat_resurrection_strategy",
        "heartbeat_basis",
        "transfer_strategy",
        "machine_leasing_strategy",
        "process_leasing_strategy",
        "max_processes",
        "max_users",
        "overage_strategy",
    )  # then the rules of pools, see `_in_order`

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

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        # `clean()` checks the number of check-ins, and the scheme of an encrypted policy, by rules of their own.
        own = {"check_in_interval_count"} | ({"scheme"} if self.encrypted else set())
        super().clean_fields({*(exclude or ()), *own})

    def clean(self) -> None:
        """Set defaults that depend on other values, then check that the terms fit together (contract: keys 7.3)."""
        self._set_defaults()
        errors: dict[str, list[ValidationError]] = {}

        def refuse(name: str, detail: str, code: str) -> None:
            errors.setdefault(name, []).append(ValidationError(detail, code=code))

        if self.encrypted and self.scheme != "LEGACY_ENCRYPT":
            detail = "unsupported encryption scheme (scheme must be LEGACY_ENCRYPT for legacy encrypted policies)"
            refuse("scheme", detail, "not_allowed")
        if error := max_machines_error(self.max_machines, floating=self.floating):
            refuse("max_machines", error, "invalid")
        if self.require_check_in:
            for name, detail in check_in_errors(self.check_in_interval, self.check_in_interval_count):
                refuse(name, detail, "not_allowed")
        elif not -(2**31) <= (self.check_in_interval_count or 0) < 2**31:
            refuse("check_in_interval_count", "integer is too large", OUT_OF_RANGE)
        if self.heartbeat_resurrection_strategy == "ALWAYS_REVIVE" and self.heartbeat_cull_strategy != "KEEP_DEAD":
            detail = (
                "incompatible heartbeat cull strategy (must be KEEP_DEAD when resurrection strategy is ALWAYS_REVIVE)"
            )
            refuse("heartbeat_cull_strategy", detail, "not_allowed")
        if reason := self._overage_error():
            detail = f"incompatible overage strategy (cannot use {self.overage_strategy} {reason})"
            refuse("overage_strategy", detail, "not_allowed")
        if self.use_pool and self.encrypted:
            refuse("encrypted", "cannot be encrypted and use a pool", "not_supported")
        if self.use_pool and self.scheme:
            refuse("scheme", "cannot use a scheme and use a pool", "not_supported")
        if self.scheme == "LEGACY_ENCRYPT" and not self.encrypted:
            refuse("scheme", "must be encrypted when using LEGACY_ENCRYPT scheme", "invalid")
        if errors:
            raise ValidationError(errors)

    def _in_order(self, errors: dict[str, list[ValidationError]]) -> dict[str, list[ValidationError]]:
        errors = super()._in_order(errors)
        if "scheme" in errors and errors["scheme"][0].code in ("not_supported", "invalid"):
            errors["scheme"] = errors.pop("scheme")  # it is a known scheme, but does not fit the pool or the encryption
        return errors

    def allows_overage(self, count: int, limit: int) -> bool:
        """Whether a count is within a limit plus the overage that the strategy allows."""
        factor = OVERAGE_FACTORS[self.overage_strategy]
        return factor is None or count <= limit * factor

    def _set_defaults(self) -> None:
        # Only of a new policy: a later `maxMachines: null` takes the limit away (contract: machines 3.6).
        if self._state.adding and self.max_machines is None and not self.floating:
            self.max_machines = 1
        if self.encrypted and self.scheme is None:
            self.scheme = "LEGACY_ENCRYPT"
        if self.protected is None:
            self.protected = self.account.protected
        if not self.heartbeat_basis:
            self.heartbeat_basis = "FROM_CREATION" if self.require_heartbeat else "FROM_FIRST_PING"

    def _overage_error(self) -> str | None:
        divisor = OVERAGE_DIVISORS.get(self.overage_strategy)
        if divisor is None:
            return None
        if not self.floating:
            return "for node-locked policy"
        for name in DIVISIBLE_LIMITS:
            if (getattr(self, f"max_{name}") or 0) % divisor:
                return f"with a max {name} value not divisible by {divisor}"
        return None


def check_in_errors(interval: str | None, count: int | None) -> Iterator[tuple[str, str]]:
    """Yield the fields, with details, that keep a policy from requiring check-ins (contract: keys 7.3)."""
    if interval not in ("day", "week", "month", "year"):
        yield "check_in_interval", "must be one of: day, week, month, year"
    if not 1 <= (count or 0) <= 365:
        yield "check_in_interval_count", "must be a number between 1 and 365 inclusive"


def max_machines_error(max_machines: int | None, *, floating: bool) -> str | None:
    """Why a policy or a license cannot have this limit, or None (contract: keys 7.3, licenses 3.7)."""
    if max_machines is None:
        return None
    if floating and max_machines < 1:
        return "must be greater than or equal to 1 for floating policy"
    if not floating and max_machines != 1:
        return "must be equal to 1 for non-floating policy"
    return None
