import math
from datetime import timedelta

from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Account, Token, User
from keygen_site.db.advisory_locks import lock_key_text
from keygen_site.db.fields import AtLeast, DigestField, ShortTextField, mask_key
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from keygen_site.models import Resource
from licensing.durations import MONTH, YEAR, later
from licensing.metadata import validate_metadata
from licensing.models.holders import holders_of_license
from licensing.models.license_queries import EXPIRES_SOON, INACTIVE_AFTER, MOMENTS, LicenseQuerySet, hidden
from licensing.models.policies import DAY, LARGEST_BIGINT, Policy, limit, machines_problem
from licensing.models.products import Product

MIN_LENGTH, MAX_LENGTH = 6, 16_384
RESERVED = ("action", "actions")  # they are parts of addresses
MOST_USES = 2**31 - 1
NOTED_EVERY = timedelta(seconds=1)
# By how much a limit may be exceeded; None: by anything.
OVERAGES = {
    "ALWAYS_ALLOW_OVERAGE": None,
    "ALLOW_1_25X_OVERAGE": 1.25,
    "ALLOW_1_5X_OVERAGE": 1.5,
    "ALLOW_2X_OVERAGE": 2,
    "NO_OVERAGE": 1,
}


class AlreadySuspended(DomainError):
    detail = "is already suspended"
    source = {"pointer": "/data/attributes/suspended"}


class NotSuspended(DomainError):
    detail = "is not suspended"
    source = {"pointer": "/data/attributes/suspended"}


class NoDuration(DomainError):
    detail = "cannot be renewed because the policy does not have a duration"


class NoExpiry(DomainError):
    detail = "cannot be renewed because it does not have an expiry"
    source = {"pointer": "/data/attributes/expiry"}


class CheckInNotRequired(DomainError):
    detail = "cannot be checked in because the policy does not require it"


class License(Resource):
    """The right of somebody to use a product, on the terms of a policy.

    Its own limits (`max_…`) override the policy's where they are neither null nor 0 (contract: licenses 3.7).
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="licenses", db_index=False)
    product = models.ForeignKey(Product, models.CASCADE, related_name="licenses")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="licenses")
    owner = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="owned_licenses")
    users = models.ManyToManyField(User, through="LicenseUser", related_name="licenses")
    name = ShortTextField(max_length=1024, null=True, blank=True)
    key = models.TextField(blank=True)
    digest = DigestField(of="key")
    expiry = models.DateTimeField(null=True, blank=True)
    uses = models.IntegerField(default=0)
    suspended = models.BooleanField(default=False)
    protected = models.BooleanField(null=True, blank=True)
    version = ShortTextField(max_length=255, null=True, blank=True)
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
    id_was_chosen = False  # by a client, so that it may be another license's
    revealed: str | None = None  # the key, where only its digest is kept: set when it has just been made

    objects = LicenseQuerySet.as_manager()

    class Meta:
        # Clients may choose the id of a license, so here it says nothing about the order of creation.
        ordering = ["-created", "-id"]
        # In the console; what may be done through the API is in `accounts.roles`.
        permissions = [
            ("suspend_license", "Can suspend and reinstate license"),
            ("renew_license", "Can renew license"),
            ("revoke_license", "Can revoke license"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="licensing_license_key_unique_in_account"),
            models.CheckConstraint(condition=Q(uses__gte=0), name="licensing_license_uses_not_negative"),
        ]
        indexes = [models.Index(fields=["account", "created", "id"], name="licensing_license_listed")]

    class JSONAPIMeta:
        resource_name = "licenses"
        identifiers = "id or key"

    def __str__(self):
        return self.name or str(self.pk)

    def lock_for_rules(self):
        if self._state.adding and self.key:
            lock_key_text(self.account_id, self.key, for_license=True)

    def clean(self):
        """The rules of a license (contract: licenses 3.6). A key is looked at only when it was given:
        one from a pool comes after this, and was looked at when it entered the pool."""
        problems = {}
        if self._state.adding:
            if self.id_was_chosen and self.account.licenses.filter(pk=self.pk).exists():
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
        uuid = parse_uuid(self.key)
        policy = self.policy if self.policy_id else None
        if policy and policy.use_pool:
            refuse("cannot be specified for a license using a pooled policy", "not_supported")
        if uuid and licenses.filter(pk=uuid).exists():
            refuse("must not conflict with another license's identifier (UUID)", "conflict")
        if policy and policy.encrypted:
            refuse("cannot be specified for a legacy encrypted license", "not_supported")
        if self.has_taken_key():
            refuse("has already been taken", "taken")
        if self.key in RESERVED:
            refuse("is reserved", "not_allowed")
        if len(self.key) < MIN_LENGTH and not (policy and policy.scheme):
            refuse(f"is too short (minimum is {MIN_LENGTH} characters)", "too_short")
        if len(self.key) > MAX_LENGTH:
            refuse(f"is too long (maximum is {MAX_LENGTH} characters)", "too_long")
        return problems

    def has_taken_key(self):
        """Whether the key is another license's, waits in a pool, or ever left one: each is handed out once.

        The key of a deleted license is free again for another one.
        """
        others = License.objects.filter(account=self.account).with_key(self.key)
        return others.exists() or self.account.keys.had(self.key)

    def begin(self):
        """Fill in what the policy says about a new license (contract: licenses 3.5, 3.8)."""
        if self.expiry is None and self.policy.duration and self.policy.expiration_basis == "FROM_CREATION":
            self.expiry = self.later_by_duration(self.created)
        if self.protected is None:
            self.protected = self.policy.protected
        if self.policy.require_check_in:
            self.last_check_in = self.created

    def sign(self, key):
        """Take a key that was made from a text that others may have had, too.

        Raises:
            ValidationError: it is taken.
        """
        self.key = key
        lock_key_text(self.account_id, key, for_license=True)
        if self.has_taken_key():
            raise ValidationError({"key": ValidationError("has already been taken", code="taken")})

    def hide(self, key):
        """Take a key that is shown now and never again: only its digest is kept."""
        self.key, self.revealed = hidden(key), key

    # What changes a license. Whoever calls these holds the row, so that two of them do not undo each other. -----------

    def suspend(self):
        """Make it invalid, and its key no credential, until it is reinstated.

        Raises:
            AlreadySuspended: it is.
        """
        if self.suspended:
            raise AlreadySuspended
        self.suspended = True
        self.save(update_fields=["suspended", "updated"])

    def reinstate(self):
        """End the suspension.

        Raises:
            NotSuspended: there is none.
        """
        if not self.suspended:
            raise NotSuspended
        self.suspended = False
        self.save(update_fields=["suspended", "updated"])

    def renew(self):
        """Put the expiry off by the policy's duration, counted from where the policy says (contract: licenses 7.1).

        Raises:
            NoDuration, NoExpiry: there is nothing to put off, or nothing to do it by.
        """
        if not self.policy.duration:
            raise NoDuration
        if self.expiry is None:
            raise NoExpiry
        now = timezone.now()
        basis = self.policy.renewal_basis
        late = basis == "FROM_NOW" or (basis == "FROM_NOW_IF_EXPIRED" and self.expiry < now)
        self.expiry = self.later_by_duration(now if late else self.expiry)
        self.save(update_fields=["expiry", "updated"])

    def check_in(self):
        """Note that it was heard of, so that it is not overdue.

        Raises:
            CheckInNotRequired: by its policy.
        """
        if not self.policy.require_check_in:
            raise CheckInNotRequired
        self.last_check_in = timezone.now()
        self.save(update_fields=["last_check_in", "updated"])

    def record_validation(self, moment, *, starts_expiry):
        """Note that somebody asked whether it is valid; if it counts from the first time, the duration begins.

        Of a license that is asked for all the time this is written down once a second, so that those who ask do not
        wait for each other.
        """
        values = {"last_validated": moment}
        if starts_expiry:
            values |= self._expiry_from("FROM_FIRST_VALIDATION", moment)
        noted, self.last_validated = self.last_validated, moment
        if noted and "expiry" not in values and timedelta() <= moment - noted < NOTED_EVERY:
            return
        License.objects.filter(pk=self.pk).update(**values)
        if "expiry" in values:
            self.refresh_from_db(fields=["expiry"])

    def record_check_out(self, moment):
        """Note that somebody took a file of it along."""
        License.objects.filter(pk=self.pk).update(last_check_out=moment)
        self.last_check_out = moment

    @transaction.atomic
    def add_uses(self, number):
        """Count uses, or with a negative number take some back.

        One UPDATE, and its condition holds when it is done: no use is lost, and no limit exceeded, however many
        do this at once.

        Raises:
            ValidationError: there would be too many, or less than none.
        """
        now = timezone.now()
        limit = self.limit("max_uses")
        most = MOST_USES if limit is None else limit
        fits = Q(uses__gte=-number) if number < 0 else Q(uses__lte=most - number)
        values = self._expiry_from("FROM_FIRST_USE", now) if number > 0 else {}
        if not License.objects.filter(fits, pk=self.pk).update(uses=F("uses") + number, updated=now, **values):
            raise ValidationError({"uses": _uses_problem(number, limit)})
        self.refresh_from_db(fields=["uses", "updated", "expiry"])

    def reset_uses(self):
        """Begin to count anew."""
        self.uses = 0
        self.save(update_fields=["uses", "updated"])

    def later_by_duration(self, moment):
        """A moment plus the duration of the policy.

        Raises:
            ValidationError: there is no such moment.
        """
        try:
            return later(moment, self.policy.duration)
        except OverflowError:
            raise ValidationError({"expiry": ValidationError("is too far in the future", code="invalid")}) from None

    def _expiry_from(self, basis, moment):
        """What an UPDATE has to say where the policy's duration begins now, unless it has begun."""
        if self.expiry is not None or not self.policy.duration or self.policy.expiration_basis != basis:
            return {}
        return {"expiry": Coalesce("expiry", Value(self.later_by_duration(moment), output_field=DateTimeField()))}

    # What is known of a license. --------------------------------------------------------------------------------------

    def limit(self, name):
        """Its own limit, e.g. `max_users`, where it has one, else its policy's; None is no limit."""
        return getattr(self, name) or getattr(self.policy, name)

    @property
    def is_protected(self):
        """Whether its users may not change it; its own word, or else its policy's."""
        return self.policy.protected if self.protected is None else self.protected

    @property
    def masked(self):
        """Its key as it may be shown to anybody."""
        return mask_key(self.key)

    def is_expired(self, now):
        return self.expiry is not None and self.expiry < now

    def all_users(self):
        """Its owner, and the users attached to it."""
        return User.objects.filter(holders_of_license(self.pk))

    @property
    def users_count(self):
        """How many may use it: those attached, and the owner (contract: licenses 2.3)."""
        return self.attached_users + (1 if self.owner_id else 0)

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
        if self.is_expired(now):
            return "EXPIRED"
        if self.expiry and self.expiry < now + EXPIRES_SOON:
            return "EXPIRING"
        moments = [getattr(self, name) for name in MOMENTS]
        if not any(moment and moment > now - INACTIVE_AFTER for moment in moments):
            return "INACTIVE"
        return "ACTIVE"


def _uses_problem(number, limit):
    if number < 0:
        return ValidationError("must be greater than or equal to 0", code="invalid")
    if limit is None:
        return ValidationError(f"must be less than or equal to {MOST_USES}", code="invalid")
    return ValidationError(f"usage exceeds maximum allowed for license ({limit})", code="limit_exceeded")


def allows_overage(strategy, count, limit):
    """Whether a count may be, by an overage strategy, although it exceeds the limit."""
    factor = OVERAGES[strategy]
    return factor is None or count <= math.floor(limit * factor)


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
