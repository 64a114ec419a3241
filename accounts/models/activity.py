"""The record of changes by people and programs, except for those of keys, which the ledger has."""

import random
from datetime import timedelta
from itertools import count
from typing import Any, NamedTuple, Self, TypedDict
from uuid import UUID

from django.conf import settings
from django.db import models, transaction
from django.db.models import Q
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from accounts.models.accounts import Account
from keygen_site.db.direct_models import DirectModel
from keygen_site.db.postgresql.base import send_with_commit
from keygen_site.db.uuids import uuid7_floor

MAX_NAME_CHARACTERS = 255
# Each PRUNE_INTERVAL-th entry deletes up to PRUNE_BATCH_SIZE old ones: more than were added in the meantime.
PRUNE_INTERVAL, PRUNE_BATCH_SIZE = 50, 200
_new_entries = count(random.randrange(PRUNE_INTERVAL))


class Subject(NamedTuple):
    """The object of a change, described while it exists.

    Attributes:
        noun: the kind of the object, e.g. `license`.
        object_id: its id; None if it is no UUID.
        name: its name at that time. Never a key, and never a secret.
        account_id: its account; None for the objects of the server.
        policy_id: the policy that it is or belongs to.
    """

    noun: str
    object_id: UUID | None = None
    name: str = ""
    account_id: UUID | None = None
    policy_id: UUID | None = None

    @classmethod
    def of(cls, row: Any) -> Self:
        """Describe a row of any model."""
        noun = str(row._meta.concrete_model._meta.verbose_name)
        object_id = row.pk if isinstance(row.pk, UUID) else None
        policy_id = object_id if noun == "policy" else getattr(row, "policy_id", None)
        return cls(noun, object_id, name_of(row), getattr(row, "account_id", None), policy_id)


def name_of(row: Any) -> str:
    """The name by which people know a row; empty if it has none. A license without a name has its customer's.

    A row may have a name of its own for this, `activity_name`. The name of None is empty.
    """
    name = getattr(row, "activity_name", None) or getattr(row, "name", None) or getattr(row, "email", None)
    if not name and (owner := getattr(row, "owner", None)):
        name = owner.email
    return (name or "")[:MAX_NAME_CHARACTERS]


class ActivityManager(models.Manager["Activity"]):
    def record(
        self,
        event: str,
        subject: Any,
        audit: AuditContext,
        *,
        bearer_name: str = "",
        details: "Activity.Details | None" = None,
    ) -> "Activity":
        """Record a change. Call it in the transaction of the change, if it has one.

        Args:
            event: one of `Activity.Event`.
            subject: the changed row, or its `Subject` if it has been deleted or is no row.
            bearer_name: the name of the bearer at this time.
            details: members of `Activity.Details`.
        """
        about = subject if isinstance(subject, Subject) else Subject.of(subject)
        with send_with_commit():  # nearly always the last statement
            entry = self.create(
                event=event,
                **about._asdict(),
                bearer_name=bearer_name[:MAX_NAME_CHARACTERS],
                details=details or None,
                **audit.as_dict(),
            )
        if settings.ACTIVITY_DAYS and next(_new_entries) % PRUNE_INTERVAL == 0:
            self.prune()
        return entry

    def prune(self) -> int:
        """Delete the oldest entries from before the setting ACTIVITY_DAYS, and return their number."""
        before = uuid7_floor(timezone.now() - timedelta(days=settings.ACTIVITY_DAYS))
        old = self.filter(pk__lt=before).order_by("pk").select_for_update(skip_locked=True)
        with transaction.atomic():
            ids = list(old.values_list("pk", flat=True)[:PRUNE_BATCH_SIZE])
            return self.filter(pk__in=ids).delete()[0] if ids else 0


class Activity(DirectModel):
    """An entry: who changed an object of the account, how and when. It is never changed.

    The names are those of that time. The object may have been deleted since, so there are no foreign keys to objects.
    """

    class Event(models.TextChoices):
        """The events that have a wording of their own on the page. Others are shown by their name."""

        CREATED = "created", "created"
        CHANGED = "changed", "changed"
        DELETED = "deleted", "deleted"
        ISSUED = "issued", "issued"
        SUSPENDED = "suspended", "suspended"
        REINSTATED = "reinstated", "reinstated"
        RENEWED = "renewed", "renewed"
        REVOKED = "revoked", "revoked"
        CULLED = "culled", "deleted, without heartbeats,"
        HEARTBEAT_RESET = "heartbeat-reset", "reset the heartbeats of"
        USES_RESET = "uses-reset", "reset the uses of"
        POLICY_CHANGED = "policy-changed", "changed the terms of"
        OWNER_CHANGED = "owner-changed", "changed the customer of"
        USERS_ATTACHED = "users-attached", "added users to"
        USERS_DETACHED = "users-detached", "removed users from"
        GROUP_CHANGED = "group-changed", "changed the group of"
        OWNERS_ATTACHED = "owners-attached", "added owners to"
        OWNERS_DETACHED = "owners-detached", "removed owners from"
        ENTITLEMENTS_ATTACHED = "entitlements-attached", "added entitlements to"
        ENTITLEMENTS_DETACHED = "entitlements-detached", "removed entitlements from"
        BANNED = "banned", "blocked"
        UNBANNED = "unbanned", "unblocked"
        PASSWORD_CHANGED = "password-changed", "changed the password of"
        PASSWORD_RESET = "password-reset", "reset the password of"
        SECOND_FACTOR_ON = "second-factor-on", "turned on the second factor of"
        SECOND_FACTOR_OFF = "second-factor-off", "turned off the second factor of"
        RECOVERY_CODES = "recovery-codes", "made recovery codes for"
        SIGN_IN_ALLOWED = "sign-in-allowed", "allowed an IP address to sign in as"
        SIGNED_IN = "signed-in", "signed in"
        JOINED = "joined", "joined the team as"
        REGENERATED = "regenerated", "gave a new text to"
        KEYS_ROTATED = "keys-rotated", "rotated the signing keys of"
        EXPORTED = "exported", "exported"

    class Details(TypedDict, total=False):
        """The members of `details`.

        Attributes:
            fields: the names of the changed fields, without their values.
            what: an action that has no event of its own, in the words of its button.
            count: the number of rows.
            filter: the filters of an exported list.
            bearer: the name of the bearer of a token.
            to: the name of the new owner, policy or group.
        """

        fields: list[str]
        what: str
        count: int
        filter: dict[str, str]
        bearer: str
        to: str

    # UUIDv7 as the ids of the ledger, so that both are in one order.
    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    created = models.DateTimeField(default=timezone.now, editable=False)
    # Null for changes of the server itself, which only superusers see.
    account = models.ForeignKey(Account, models.CASCADE, null=True, related_name="activities", db_index=False)
    event = models.CharField(max_length=32)
    noun = models.CharField(max_length=32)
    object_id = models.UUIDField(null=True)
    name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    policy_id = models.UUIDField(null=True)
    details = models.JSONField(null=True)
    # As in the ledger.
    bearer_type = models.CharField(max_length=16, blank=True)
    bearer_id = models.UUIDField(null=True)
    bearer_name = models.CharField(max_length=MAX_NAME_CHARACTERS, blank=True)
    token_id = models.UUIDField(null=True)
    token_name = models.CharField(max_length=255, blank=True)
    operator = models.CharField(max_length=255, blank=True)
    operator_id = models.UUIDField(null=True)
    reference = models.CharField(max_length=255, blank=True)
    request_id = models.CharField(max_length=36, blank=True)

    objects = ActivityManager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "activities"
        indexes = [
            models.Index(fields=["account", "id"], name="accounts_activity_account"),
            models.Index(fields=["account", "noun", "id"], name="accounts_activity_noun"),
            models.Index(fields=["object_id", "id"], name="accounts_activity_object"),
            models.Index(
                fields=["policy_id", "id"], name="accounts_activity_policy", condition=Q(policy_id__isnull=False)
            ),
            models.Index(
                fields=["account", "operator_id", "id"],
                name="accounts_activity_operator",
                condition=Q(operator_id__isnull=False),
            ),
            models.Index(
                fields=["account", "bearer_id", "id"],
                name="accounts_activity_bearer",
                condition=Q(bearer_id__isnull=False),
            ),
            models.Index(
                fields=["account", "token_id", "id"],
                name="accounts_activity_token",
                condition=Q(token_id__isnull=False),
            ),
            models.Index(fields=["account", "reference"], name="accounts_activity_ref", condition=~Q(reference="")),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.noun} {self.name}".strip()
