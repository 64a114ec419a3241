from datetime import timedelta

from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Account, Token, User
from keygen_site.ids import as_uuid
from keygen_site.locks import hold_text
from keygen_site.models import AtLeast, DigestField, LineField, Resource, digest
from licensing.durations import MONTH, YEAR, later
from licensing.metadata import validate_metadata
from licensing.models.policies import DAY, LARGEST_BIGINT, Policy, limit, machines_problem
from licensing.models.products import Product

MIN_LENGTH, MAX_LENGTH = 6, 16_384
RESERVED = ("action", "actions")  # they are parts of addresses
EXPIRES_SOON = timedelta(days=3)
INACTIVE_AFTER = timedelta(days=90)


class LicenseQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The licenses that a bearer may see (contract: licenses 9)."""
        licenses = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return licenses
        match bearer.role:
            case "product":
                return licenses.filter(product=bearer.id)
            case "license":
                return licenses.filter(pk=bearer.id)
            case "user":
                attached = LicenseUser.objects.filter(user=bearer.id).values("license")
                return licenses.filter(Q(owner=bearer.id) | Q(pk__in=attached))
        return licenses.none()

    def shown(self):
        """Licenses with what a list of them shows, in a fixed number of statements."""
        attached = LicenseUser.objects.filter(license=OuterRef("pk")).order_by().values("license")
        return self.select_related("policy", "owner").annotate(
            attached=Coalesce(Subquery(attached.annotate(count=Count("pk")).values("count")), 0)
        )

    def with_key(self, text):
        """Licenses of exactly this key."""
        return self.filter(digest=digest(text))

    def named(self, identifier):
        """Licenses whose id or key is `identifier`; should two be, the older comes first (contract: licenses 4)."""
        uuid = as_uuid(identifier)
        own = Q(digest=digest(identifier))
        return self.filter(own | Q(pk=uuid) if uuid else own).order_by("created")


class License(Resource):
    """The right of somebody to use a product, on the terms of a policy.

    Its own limits (`max_…`) override the policy's where they are neither null nor 0 (contract: licenses 3.7).
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="licenses", db_index=False)
    product = models.ForeignKey(Product, models.CASCADE, related_name="licenses")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="licenses")
    owner = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="owned_licenses")
    users = models.ManyToManyField(User, through="LicenseUser", related_name="licenses")
    name = LineField(max_length=1024, null=True, blank=True)
    key = models.TextField(blank=True)
    digest = DigestField(of="key")
    expiry = models.DateTimeField(null=True, blank=True)
    uses = models.IntegerField(default=0)
    suspended = models.BooleanField(default=False)
    protected = models.BooleanField(null=True, blank=True)
    version = LineField(max_length=255, null=True, blank=True)
    max_machines = limit(AtLeast(0))
    max_processes = limit(AtLeast(0))
    max_users = limit(AtLeast(0))
    max_cores = limit(AtLeast(1))
    max_memory = limit(AtLeast(1), field=models.BigIntegerField, most=LARGEST_BIGINT)
    max_disk = limit(AtLeast(1), field=models.BigIntegerField, most=LARGEST_BIGINT)
    max_uses = limit(AtLeast(0))
    last_validated = models.DateTimeField(null=True, blank=True)
    last_check_in = models.DateTimeField(null=True, blank=True)
    last_check_out = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    tokens = GenericRelation(Token, content_type_field="bearer_type", object_id_field="bearer_id")

    attached: int | None = None  # set by `shown()`

    objects = LicenseQuerySet.as_manager()

    class Meta:
        # Clients may choose the id of a license, so here it says nothing about the order of creation.
        ordering = ["-created", "-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="licensing_license_key_unique_in_account"),
            models.CheckConstraint(condition=Q(uses__gte=0), name="licensing_license_uses_not_negative"),
        ]
        indexes = [models.Index(fields=["account", "created", "id"], name="licensing_license_listed")]

    class JSONAPIMeta:
        resource_name = "licenses"

    def __str__(self):
        return self.name or str(self.pk)

    def lock_rules(self):
        if self._state.adding and self.key:
            hold_text(self.account_id, self.key)

    def clean(self):
        """The rules of a license (contract: licenses 3.6). A key is looked at only when it was given:
        one from a pool comes after this, and was looked at when it entered the pool."""
        problems = {}
        if self._state.adding:
            if self.account.licenses.filter(pk=self.pk).exists():
                problems["id"] = [ValidationError("must not conflict with another license", code="conflict")]
            if self.key:
                problems["key"] = self._problems_of_key()
        if self.policy_id and (detail := machines_problem(self.max_machines, floating=self.policy.floating)):
            problems["max_machines"] = [ValidationError(detail, code="invalid")]
        problems = {name: errors for name, errors in problems.items() if errors}
        if problems:
            raise ValidationError(problems)

    def _problems_of_key(self):
        problems = []

        def refuse(detail, kind):
            problems.append(ValidationError(detail, code=kind))

        licenses = License.objects.filter(account=self.account)
        uuid = as_uuid(self.key)
        policy = self.policy if self.policy_id else None
        if policy and policy.use_pool:
            refuse("cannot be specified for a license using a pooled policy", "not_supported")
        if uuid and licenses.filter(pk=uuid).exists():
            refuse("must not conflict with another license's identifier (UUID)", "conflict")
        # A text that waits in a pool, or ever left one, is taken too: each is handed out once.
        if licenses.with_key(self.key).exists() or self.account.keys.with_key(self.key).exists():
            refuse("has already been taken", "taken")
        if self.key in RESERVED:
            refuse("is reserved", "not_allowed")
        if len(self.key) < MIN_LENGTH and not (policy and policy.scheme):
            refuse(f"is too short (minimum is {MIN_LENGTH} characters)", "too_short")
        if len(self.key) > MAX_LENGTH:
            refuse(f"is too long (maximum is {MAX_LENGTH} characters)", "too_long")
        return problems

    def begin(self):
        """Fill in what the policy says about a new license (contract: licenses 3.5, 3.8)."""
        if self.expiry is None and self.policy.duration and self.policy.expiration_basis == "FROM_CREATION":
            self.expiry = later(self.created, self.policy.duration)
        if self.protected is None:
            self.protected = self.policy.protected
        if self.policy.require_check_in:
            self.last_check_in = self.created

    @property
    def attached_users(self):
        """How many users it is attached to, the owner not counted; `shown()` brings the number along."""
        return self.license_users.count() if self.attached is None else self.attached

    @property
    def next_check_in(self):
        """When the license has to check in again, or None where it need not."""
        policy = self.policy
        if not (policy.require_check_in and self.last_check_in):
            return None
        seconds = {"day": DAY, "week": 7 * DAY, "month": MONTH, "year": YEAR}[policy.check_in_interval]
        return later(self.last_check_in, policy.check_in_interval_count * seconds)

    @property
    def status(self):
        """One word about the license, for people; it decides nothing (contract: licenses 2.2)."""
        now = timezone.now()
        if self.owner and self.owner.banned:
            return "BANNED"
        if self.suspended:
            return "SUSPENDED"
        if self.expiry and self.expiry < now:
            return "EXPIRED"
        if self.expiry and self.expiry < now + EXPIRES_SOON:
            return "EXPIRING"
        moments = (self.created, self.last_validated, self.last_check_out, self.last_check_in)
        if not any(moment and moment > now - INACTIVE_AFTER for moment in moments):
            return "INACTIVE"
        return "ACTIVE"


class LicenseUser(Resource):
    """That a user may use a license that somebody else owns, or nobody."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    license = models.ForeignKey(License, models.CASCADE, related_name="license_users", db_index=False)
    user = models.ForeignKey(User, models.CASCADE, related_name="license_users")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["license", "user"], name="licensing_licenseuser_unique"),
        ]

    class JSONAPIMeta:
        resource_name = "license-users"

    def __str__(self):
        return f"{self.user} on {self.license}"
