from typing import TYPE_CHECKING, Any, Self
from uuid import UUID

from django.db import models

from accounts.audit import AuditContext
from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.fields import digest
from keygen_site.models import Resource
from licensing.models import License, Policy, Product

if TYPE_CHECKING:
    from pools.models.keys import Key

RARE_EVENTS = ["returned", "withdrawn", "revealed", "exported", "deleted"]
NEWEST_FIRST = ("-created", "-id")  # as `KeyEventQuerySet.newest_first()`


class Literal(models.Value):
    """A constant that is written into the SQL instead of being passed as a parameter."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{self.value}'", ()


class KeyEventQuerySet(models.QuerySet["KeyEvent"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The events that a bearer may see: staff those of the account, a product those of its own pools."""
        events = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return events
        return events.filter(product=bearer.id) if bearer.role == "product" else events.none()

    def with_key(self, text: str) -> Self:
        """The events of the key with exactly this text."""
        return self.filter(key_digest=digest(text))

    def across_accounts(self) -> Self:
        """The same events, with a condition that lets the indexes that begin with the account be used."""
        return self.filter(account__in=Account.objects.values("pk"))

    def rare(self) -> Self:
        """The events of the kinds in RARE_EVENTS, few among millions of pops. They have an index of their own.

        SQLite uses it only for the literals of its condition, in their order, not for parameters.
        """
        return self.filter(event__in=[Literal(event) for event in RARE_EVENTS])

    def newest_first(self) -> Self:
        """The events of one key, license or reference, newest first.

        Ordered by the timestamp rather than the id: for `ORDER BY id` SQLite, which has no statistics, scans all events
        of the account instead of finding these few by their index.
        """
        return self.order_by(*NEWEST_FIRST)


class KeyEvent(Resource):
    """An entry of the ledger: an event of a key, its time, its cause and the caller's reference.

    Never changed and never deleted. The rows that it refers to may be deleted, so the database has no foreign key
    constraints for them. Added keys have no events: a `KeyImport` records a whole file.
    """

    class Event(models.TextChoices):
        POPPED = "popped"
        ISSUED = "issued"
        RETURNED = "returned"
        WITHDRAWN = "withdrawn"
        REVEALED = "revealed"
        EXPORTED = "exported"
        DELETED = "deleted"

    account = models.ForeignKey(Account, models.CASCADE, related_name="key_events", db_index=False)
    event = models.CharField(max_length=16, choices=Event)
    key = models.ForeignKey(
        "pools.Key", models.DO_NOTHING, null=True, related_name="events", db_constraint=False, db_index=False
    )
    # Finds the events of a key by its text, also when the row of the key has been deleted.
    key_digest = models.BinaryField(max_length=32, null=True)
    product = models.ForeignKey(
        Product, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    policy = models.ForeignKey(
        Policy, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    license = models.ForeignKey(
        License, models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    reference = models.CharField(max_length=255, blank=True)
    bearer_type = models.CharField(max_length=16, blank=True)
    bearer_id = models.UUIDField(null=True)
    operator = models.CharField(max_length=255, blank=True)
    request_id = models.CharField(max_length=36, blank=True)

    objects = KeyEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "key event"
        indexes = [
            models.Index(fields=["account", "id"], name="pools_keyevent_account"),
            models.Index(fields=["policy", "id"], name="pools_keyevent_policy"),
            models.Index(fields=["account", "key_digest"], name="pools_keyevent_digest"),
            models.Index(fields=["license"], name="pools_keyevent_license", condition=models.Q(license__isnull=False)),
            models.Index(
                fields=["account", "reference"], name="pools_keyevent_reference", condition=~models.Q(reference="")
            ),
            # Pops are not in it, so that they cost nothing more.
            models.Index(
                fields=["account", "event", "id"],
                name="pools_keyevent_rare",
                condition=models.Q(event__in=RARE_EVENTS),
            ),
        ]

    class JSONAPIMeta:
        resource_name = "key-events"

    @classmethod
    def about(cls, event: str, key: "Key", audit: AuditContext, license_id: UUID | None = None) -> Self:
        """An unsaved event of a key. Save it in the transaction of the change."""
        policy = key.policy
        return cls(
            account_id=policy.account_id,
            event=event,
            key=key,
            key_digest=key.digest,
            product_id=policy.product_id,
            policy_id=policy.pk,
            license_id=license_id,
            **audit.as_dict(),
        )

    def __str__(self) -> str:
        return f"{self.event} {self.created:%Y-%m-%d %H:%M}"
