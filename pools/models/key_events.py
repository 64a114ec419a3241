from typing import Any

from django.db import models

from accounts.models import Account
from keygen_site.db.fields import digest
from keygen_site.models import Resource
from licensing.models import License, Policy, Product

RARE = ["returned", "withdrawn", "revealed", "exported", "deleted"]
NEWEST_FIRST = ("-created", "-id")  # as `KeyEventQuerySet.newest_first()`


class Literal(models.Value):
    """A word of our own in a statement, rather than a parameter of it."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[str | int, ...]]:
        return f"'{self.value}'", ()


class KeyEventQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The events that a bearer may see: staff those of the account, a product those of its own pools."""
        events = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return events
        return events.filter(product=bearer.id) if bearer.role == "product" else events.none()

    def with_key(self, text):
        """What happened to the key of exactly this text."""
        return self.filter(key_digest=digest(text))

    def of_all_accounts(self) -> "KeyEventQuerySet":
        """The same events, for the indexes that begin with the account."""
        return self.filter(account__in=Account.objects.values("pk"))

    def rare(self) -> "KeyEventQuerySet":
        """Events that are few among millions of pops: they have an index of their own.

        SQLite takes it only for the words of its condition, in their order, not for parameters.
        """
        return self.filter(event__in=[Literal(event) for event in RARE])

    def newest_first(self) -> "KeyEventQuerySet":
        """Events of one key, license or reference, the newest first.

        By the moment rather than the id: for `ORDER BY id` SQLite, which has no statistics, walks over all events of
        the account instead of finding these few by their index.
        """
        return self.order_by(*NEWEST_FIRST)


class KeyEvent(Resource):
    """One line of the ledger: what happened to a key, when, by whom and what for. Never changed, never deleted.

    What it speaks of may be gone by now, so nothing here is a foreign key for the database. Adding a key is
    recorded once for a whole file, by `KeyImport`.
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
    # Of the key's text: the row of a deleted key is gone, and the question who got it is not.
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
            # Few among millions of pops, which pay nothing for it.
            models.Index(
                fields=["account", "event", "id"],
                name="pools_keyevent_rare",
                condition=models.Q(event__in=RARE),
            ),
        ]

    class JSONAPIMeta:
        resource_name = "key-events"

    @classmethod
    def about(cls, event, key, audit, license_id=None):
        """An unsaved line about a key; `save()` or `bulk_create()` it in the transaction of the act."""
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

    def __str__(self):
        return f"{self.event} {self.created:%Y-%m-%d %H:%M}"
