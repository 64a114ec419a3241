from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import UUID

from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import DateTimeField, F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts.models import Account, GroupMember, Token, User
from accounts.models.users import INACTIVE_AFTER, UserQuerySet
from keygen_site.db.advisory_locks import lock_key_text
from keygen_site.db.fields import AtLeast, ShortTextField, mask_key
from keygen_site.db.key_fields import KeyDigestField, KeyTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.db.text_search import folded_column
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import Conflict
from licensing.durations import DAY, MONTH, WEEK, YEAR, add_duration
from licensing.key_texts import hidden_character_error
from licensing.models.holders import holders_of_licenses
from licensing.models.license_errors import (
    AlreadySuspended,
    CheckInNotRequired,
    NoDuration,
    NoExpiry,
    NotSuspended,
    uses_error,
)
from licensing.models.license_queries import (
    ACTIVITY_FIELDS,
    EXPIRES_SOON,
    HASHED_KEY_PREFIX,
    LicenseQuerySet,
    hash_key,
)
from licensing.models.machine_totals import Totals, totals_of
from licensing.models.policies import Policy, limit_field, max_machines_error
from licensing.models.products import RESERVED_IDENTIFIERS, Product

MIN_LICENSE_KEY_LENGTH, MAX_LICENSE_KEY_LENGTH = 6, 16_384
MAX_USES = 2**31 - 1
LIMITS = ("max_machines", "max_cores", "max_memory", "max_disk", "max_uses", "max_processes", "max_users")
VALIDATION_RECORD_INTERVAL = timedelta(seconds=1)
CHECK_IN_INTERVALS = {"day": DAY, "week": WEEK, "month": MONTH, "year": YEAR}  # seconds


class License(GroupMember):
    """The right to use a product under the terms of a policy.

    A limit (`max_…`) of the license overrides the policy's if it is neither null nor 0 (contract: licenses 3.7).
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="licenses", db_index=False)
    product = models.ForeignKey(Product, models.CASCADE, related_name="licenses")
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="licenses")
    owner = models.ForeignKey(User, models.CASCADE, null=True, blank=True, related_name="owned_licenses")
    users = models.ManyToManyField(User, through="LicenseUser", related_name="licenses")
    name = ShortTextField(max_length=1024, null=True, blank=True)
    # Of the caller who issued it, e.g. an order number. The API shows it in the ledger, for a key from a pool.
    reference = ShortTextField(max_length=255, null=True, blank=True, editable=False)
    key = KeyTextField(purpose="key of a license", blank=True)
    digest = KeyDigestField(of="key")
    expiry = models.DateTimeField(null=True, blank=True)
    uses = models.IntegerField(default=0)
    suspended = models.BooleanField(default=False)
    protected = models.BooleanField(null=True, blank=True)
    version = ShortTextField(max_length=255, null=True, blank=True)
    max_machines = limit_field(AtLeast(0))
    max_processes = limit_field(AtLeast(0))
    max_users = limit_field(AtLeast(0))
    max_cores = limit_field(AtLeast(1))
    max_memory = limit_field(AtLeast(1), big=True)
    max_disk = limit_field(AtLeast(1), big=True)
    max_uses = limit_field(AtLeast(0))
    last_validated = models.DateTimeField(null=True, blank=True)
    last_check_in = models.DateTimeField(null=True, blank=True)
    last_check_out = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    # As those of users: `accounts.models.users`.
    permissions = models.JSONField(null=True, blank=True, editable=False)
    tokens = GenericRelation(Token, content_type_field="bearer_type", object_id_field="bearer_id")

    error_order = ("group", "key", "name", *LIMITS)

    # Set by `with_api_fields()`: the number of attached users, and sums over the machines (None without machines).
    attached_count: int | None = None
    machine_sums: dict[str, Any] | None = None
    has_client_id = False  # whether a client chose the id, which may therefore be taken
    revealed: str | None = None  # the key of which only the hash is stored, when it has just been generated

    service_records_creation = True  # by `issue_license()`, or in the ledger of keys

    objects = LicenseQuerySet.as_manager()

    class Meta:
        # Clients may choose the id of a license, so ids do not follow the order of creation.
        ordering = ["-created", "-id"]
        # Permissions in the console; `accounts.roles` has those of the API.
        permissions = [
            ("suspend_license", "Can suspend and reinstate license"),
            ("renew_license", "Can renew license"),
            ("revoke_license", "Can revoke license"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="licensing_license_key_unique_in_account"),
            models.CheckConstraint(condition=Q(uses__gte=0), name="licensing_license_uses_not_negative"),
        ]
        indexes = [
            models.Index(fields=["account", "created", "id"], name="licensing_license_listed"),
            models.Index(
                fields=["account", "expiry"], name="licensing_license_expiry", condition=Q(expiry__isnull=False)
            ),
            # For the search of the console. Licenses without a name are not in it.
            models.Index(
                F("account"), folded_column("name"), name="licensing_license_name", condition=Q(name__isnull=False)
            ),
            models.Index(
                F("account"),
                folded_column("reference"),
                name="licensing_license_reference",
                condition=Q(reference__isnull=False),
            ),
            # For the members of a group.
            models.Index(
                fields=["group", "created", "id"], name="licensing_license_group", condition=Q(group__isnull=False)
            ),
            models.Index(
                fields=["account", "created", "id"], name="licensing_license_suspended", condition=Q(suspended=True)
            ),
            models.Index(
                fields=["account", "created", "id"],
                name="licensing_license_unassigned",
                condition=Q(owner__isnull=True),
            ),
        ]

    class JSONAPIMeta:
        resource_name = "licenses"
        identifiers = "id or key"

    def __str__(self) -> str:
        if self.name:
            return self.name
        return f"…{str(self.pk)[-12:]}" if self.key.startswith(HASHED_KEY_PREFIX) else self.masked

    def lock_for_rules(self) -> None:
        super().lock_for_rules()
        if self._state.adding and self.key:
            lock_key_text(self.account_id, self.key, for_license=True)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        # 0 means no limit of its own, though it is below the minimum.
        unset = (name for name in LIMITS if getattr(self, name) == 0)
        super().clean_fields({*(exclude or ()), *unset})

    def clean(self) -> None:
        """The rules of a license (contract: licenses 3.6).

        Only a key that the client chose is validated. A key from a pool is set later; the pool has validated it.
        """
        errors: dict[str, Any] = {}
        if self._state.adding:
            # Also with one of another account: ids are unique over all accounts, and the error must not tell which.
            if self.has_client_id and License.objects.filter(pk=self.pk).exists():
                errors["id"] = ValidationError("must not conflict with another license", code="conflict")
            if self.key and (key_errors := self._key_errors()):
                errors["key"] = key_errors
        # A limit of 0 is no limit of its own (contract: licenses 3.7).
        limit = self.max_machines or None
        if self.policy_id and (detail := max_machines_error(limit, floating=self.policy.floating)):
            errors["max_machines"] = ValidationError(detail, code="invalid")
        if error := self.group_error():
            errors["group"] = error
        if errors:
            raise ValidationError(errors)

    def _key_errors(self) -> list[ValidationError]:
        errors = []

        def refuse(detail: str, code: str) -> None:
            errors.append(ValidationError(detail, code=code))

        uuid = parse_uuid(self.key)
        policy = self.policy if self.policy_id else None
        if policy and policy.use_pool:
            refuse("cannot be specified for a license using a pooled policy", "not_supported")
        if uuid and License.objects.filter(account=self.account, pk=uuid).exists():
            refuse("must not conflict with another license's identifier (UUID)", "conflict")
        if policy and policy.encrypted:
            refuse("cannot be specified for a legacy encrypted license", "not_supported")
        if self.is_key_taken():
            refuse("has already been taken", "taken")
        if self.key in RESERVED_IDENTIFIERS:
            refuse("is reserved", "not_allowed")
        if len(self.key) < MIN_LICENSE_KEY_LENGTH and not (policy and policy.scheme):
            refuse(f"is too short (minimum is {MIN_LICENSE_KEY_LENGTH} characters)", "too_short")
        if len(self.key) > MAX_LICENSE_KEY_LENGTH:
            refuse(f"is too long (maximum is {MAX_LICENSE_KEY_LENGTH} characters)", "too_long")
        # With a scheme, the text is the data to sign, and the license gets a key of base64.
        if not (policy and policy.scheme) and (detail := hidden_character_error(self.key)):
            refuse(detail, "invalid")
        return errors

    def is_key_taken(self) -> bool:
        """Whether the key is another license's, or is or was a key of a pool: each is handed out once.

        The key of a deleted license is not taken, unless it came from a pool.
        """
        others = License.objects.filter(account=self.account).with_key(self.key)
        return others.exists() or self.account.keys.had(self.key)

    def apply_policy_defaults(self) -> None:
        """Set the values of a new license that its policy determines (contract: licenses 3.5, 3.8)."""
        if self.expiry is None and self.policy.duration and self.policy.expiration_basis == "FROM_CREATION":
            self.expiry = self.compute_expiry(self.created)
        if self.protected is None:
            self.protected = self.policy.protected
        if self.policy.require_check_in:
            self.last_check_in = self.created

    def set_signed_key(self, key: str) -> None:
        """Set a key that was generated from a seed, which another license may have had.

        Raises:
            Conflict: the key is taken.
        """
        self.key = key
        lock_key_text(self.account_id, key, for_license=True)
        if self.is_key_taken():
            raise Conflict

    def set_hashed_key(self, key: str) -> None:
        """Set a key that is shown in one response only: its hash is stored."""
        self.key, self.revealed = hash_key(key), key

    # Changes. The caller locks the row, so that concurrent changes do not undo each other. ---------------------------

    def exchange_key(self, key: str) -> None:
        """Replace the key by another one from the pool. The old text stays blocked (`UsedText`)."""
        self.key = key
        self.save(update_fields=["key", "digest", "updated"])

    def suspend(self) -> None:
        """Make the license invalid, and its key no credential, until it is reinstated.

        Raises:
            AlreadySuspended: the license is suspended.
        """
        if self.suspended:
            raise AlreadySuspended
        self.suspended = True
        self.save(update_fields=["suspended", "updated"])

    def reinstate(self) -> None:
        """End the suspension.

        Raises:
            NotSuspended: the license is not suspended.
        """
        if not self.suspended:
            raise NotSuspended
        self.suspended = False
        self.save(update_fields=["suspended", "updated"])

    def renew(self) -> None:
        """Extend the expiry by the policy's duration, from the start that the policy names (contract: licenses 7.1).

        Raises:
            NoDuration, NoExpiry: the policy has no duration, or the license no expiry.
        """
        self.expiry = self.renewed_expiry()
        self.save(update_fields=["expiry", "updated"])

    def renewed_expiry(self) -> datetime:
        """The expiry after a renewal now.

        Raises:
            NoDuration, NoExpiry: see `renew()`.
        """
        if not self.policy.duration:
            raise NoDuration
        if self.expiry is None:
            raise NoExpiry
        now = timezone.now()
        basis = self.policy.renewal_basis
        from_now = basis == "FROM_NOW" or (basis == "FROM_NOW_IF_EXPIRED" and self.is_expired(now))
        return self.compute_expiry(now if from_now else self.expiry)

    def check_in(self) -> None:
        """Record a check-in, so that the license is not overdue.

        Raises:
            CheckInNotRequired: the policy requires no check-ins.
        """
        if not self.policy.require_check_in:
            raise CheckInNotRequired
        self.last_check_in = timezone.now()
        self.save(update_fields=["last_check_in", "updated"])

    def record_validation(self, now: datetime, *, starts_expiry: bool) -> None:
        """Update `last_validated`, and start the duration if it counts from the first validation.

        `last_validated` is written once a second at most, so that concurrent validations do not contend for the row.

        Args:
            starts_expiry: whether this validation can start the duration.
        """
        values: dict[str, Any] = {"last_validated": now}
        if starts_expiry:
            values |= self._expiry_update("FROM_FIRST_VALIDATION", now)
        previous, self.last_validated = self.last_validated, now
        if previous and "expiry" not in values and timedelta() <= now - previous < VALIDATION_RECORD_INTERVAL:
            return
        License.objects.filter(pk=self.pk).update(**values)
        if "expiry" in values:
            self.refresh_from_db(fields=["expiry"])

    def record_activation(self, now: datetime) -> None:
        """Start the duration if it counts from the first activation. `updated` does not change."""
        if values := self._expiry_update("FROM_FIRST_ACTIVATION", now):
            License.objects.filter(pk=self.pk).update(**values)
            self.refresh_from_db(fields=["expiry"])

    def record_check_out(self, now: datetime) -> None:
        self.update_columns(last_check_out=now)

    @transaction.atomic
    def add_uses(self, number: int, *, is_use: bool = True) -> None:
        """Add to the uses, or subtract with a negative number.

        A single UPDATE with a condition: concurrent calls lose no use and exceed no limit. To add 0 is always possible,
        also above a limit that was lowered.

        Args:
            is_use: whether this starts a duration that counts from the first use.

        Raises:
            ValidationError: the uses would exceed the limit, or be negative.
            UsesOutOfRange: there is no limit, but the column cannot hold the number.
        """
        now = timezone.now()
        limit = self.effective_limit("max_uses")
        max_uses = MAX_USES if limit is None else limit
        fits = Q()
        if number:
            fits = Q(uses__gte=-number) if number < 0 else Q(uses__lte=max_uses - number)
        values = self._expiry_update("FROM_FIRST_USE", now) if is_use else {}
        # A number beyond MAX_USES cannot fit, and the database could not compare with it.
        changed = abs(number) <= MAX_USES and License.objects.filter(fits, pk=self.pk).update(
            uses=F("uses") + number, updated=now, **values
        )
        if not changed:
            raise uses_error(number, limit)
        # An increment by 0 may start the duration too, but its response shows the license as it was.
        self.refresh_from_db(fields=["uses", "updated", *(["expiry"] if number else [])])

    def reset_uses(self) -> None:
        self.uses = 0
        self.save(update_fields=["uses", "updated"])

    def compute_expiry(self, start: datetime) -> datetime:
        """The end of the policy's duration.

        Raises:
            ValidationError: the end is beyond the calendar.
        """
        try:
            return add_duration(start, self.policy.duration)
        except OverflowError:
            raise ValidationError({"expiry": ValidationError("is too far in the future", code="invalid")}) from None

    def _expiry_update(self, basis: str, now: datetime) -> dict[str, Any]:
        """The values of an UPDATE that starts the policy's duration, if it counts from `basis` and has not started."""
        if self.expiry is not None or not self.policy.duration or self.policy.expiration_basis != basis:
            return {}
        return {"expiry": Coalesce("expiry", Value(self.compute_expiry(now), output_field=DateTimeField()))}

    # Properties -------------------------------------------------------------------------------------------------------

    def effective_limit(self, name: str) -> int | None:
        """The license's own limit, e.g. `max_users`, or else its policy's; None is no limit."""
        return getattr(self, name) or getattr(self.policy, name)

    @property
    def is_protected(self) -> bool:
        """Whether users may not change the license: its own value, or else its policy's."""
        return self.policy.protected if self.protected is None else self.protected

    @property
    def masked(self) -> str:
        """The key in a form that may be shown to anyone."""
        return mask_key(self.key)

    def is_expired(self, now: datetime) -> bool:
        return self.expiry is not None and self.expiry < now

    def all_users(self) -> UserQuerySet:
        """The owner and the attached users."""
        return User.objects.filter(holders_of_licenses([self.pk]))

    def has_user(self, user_id: UUID) -> bool:
        """Whether a user owns the license or is attached to it."""
        return user_id == self.owner_id or self.license_users.filter(user=user_id).exists()

    @property
    def users_count(self) -> int:
        """The number of its users: the owner and those attached (contract: licenses 2.3).

        Costs a query unless the queryset was annotated by `with_api_fields()`.
        """
        attached = self.license_users.count() if self.attached_count is None else self.attached_count
        return attached + (1 if self.owner_id else 0)

    @property
    def machine_totals(self) -> Totals:
        """The number of its machines, and the sums over them; a query unless `with_api_fields()` has annotated them."""
        if self.attached_count is None:
            return self.machines.with_seats(timezone.now()).totals()
        return totals_of(self.machine_sums)

    @property
    def next_check_in(self) -> datetime | None:
        """The time at which the license is overdue without another check-in; None if it needs none."""
        policy = self.policy
        if not (policy.require_check_in and self.last_check_in):
            return None
        seconds = CHECK_IN_INTERVALS[cast(str, policy.check_in_interval)]  # `Policy.clean()` requires both
        return add_duration(self.last_check_in, policy.check_in_interval_count * seconds)

    @property
    def status(self) -> str:
        """The license's status, for people only: no rule depends on it (contract: licenses 2.2)."""
        now = timezone.now()
        if self.owner and self.owner.banned:
            return "BANNED"
        if self.suspended:
            return "SUSPENDED"
        if self.is_expired(now):
            return "EXPIRED"
        if self.expiry and self.expiry < now + EXPIRES_SOON:
            return "EXPIRING"
        timestamps = [getattr(self, name) for name in ACTIVITY_FIELDS]
        if not any(timestamp and timestamp > now - INACTIVE_AFTER for timestamp in timestamps):
            return "INACTIVE"
        return "ACTIVE"
