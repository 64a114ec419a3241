from typing import TYPE_CHECKING, Self, TypedDict
from uuid import UUID

from django.db import connection, models
from django.db.models.functions import Lower

from accounts.audit import AuditContext, describe_actor
from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.key_digests import key_digest
from keygen_site.db.literals import Literal
from keygen_site.db.text_search import TAIL_CHARACTERS, Tail, binary_range
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource
from licensing.models import License, Policy, Product
from pools.models.key_imports import KeyImport
from pools.models.policy_rows import PolicyRowsQuerySet

if TYPE_CHECKING:
    from pools.models.keys import Key

RARE_EVENTS = ["added", "changed", "removed", "returned", "withdrawn", "replaced", "moved", "revealed", "exported"]
NEWEST_FIRST = ("-created", "-id")  # as `KeyEventQuerySet.newest_first()`


class KeyEventQuerySet(PolicyRowsQuerySet["KeyEvent"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The events that a bearer may see: staff those of the account, a product those of its own pools."""
        events = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return events
        return events.filter(product=bearer.id) if bearer.role == "product" else events.none()

    def with_key(self, text: str) -> Self:
        """The events of the key with exactly this text."""
        return self.filter(key_digest=key_digest(text))

    def explaining(self, account: Account, text: str) -> Self:
        """The events of the key with exactly this text, and of the imports that it came with or was moved in.

        They are in the order of `newest_first()`.
        """
        imports: list[UUID] = []
        found = account.keys.with_key(text).values_list("key_import", flat=True).first()
        while found:
            imports.append(found)
            # By the ledger: the import that the keys were moved from may be gone, with its policy.
            arrivals = KeyEvent.objects.filter(key_import=found, event=KeyEvent.Event.ADDED).order_by()
            details = next(iter(arrivals.values_list("details", flat=True)[:1]), None) or {}
            found = parse_uuid(details.get("source"))
        # A union, because SQLite scans all events of the account for an OR.
        of_key = KeyEvent.objects.filter(account=account).with_key(text).order_by().values("pk")
        of_imports = KeyEvent.objects.filter(key_import__in=imports).order_by().values("pk")
        return self.filter(pk__in=of_key.union(of_imports)).newest_first()

    def across_accounts(self) -> Self:
        """The same events, with a condition that lets the indexes that begin with the account be used."""
        return self.filter(account__in=Account.objects.values("pk"))

    def rare(self) -> Self:
        """The events of the kinds in RARE_EVENTS, few among millions of pops. They have an index of their own.

        SQLite uses it only for the literals of its condition, in their order, not for parameters.
        """
        return self.filter(event__in=[Literal(event) for event in RARE_EVENTS])

    def with_reference_beginning(self, text: str) -> Self:
        """The events whose reference begins with a text, in this case."""
        events = self.exclude(reference="")
        if connection.vendor == "postgresql":
            return events.filter(reference__startswith=text)
        return events.filter(binary_range("reference", text))

    def with_reference_tail(self, text: str) -> Self:
        """The events whose reference has the same last TAIL_CHARACTERS as a text, in any case."""
        tail = text[-TAIL_CHARACTERS:].lower()
        return self.exclude(reference="").alias(tail=Tail(Lower("reference"))).filter(tail=tail)

    def newest_first(self) -> Self:
        """The events of one key, license or reference, newest first.

        Ordered by the timestamp rather than the id: for `ORDER BY id` SQLite, which has no statistics, scans all events
        of the account instead of finding these few by their index.
        """
        return self.order_by(*NEWEST_FIRST)


class KeyEvent(Resource):
    """An entry of the ledger: an event of a key or of many keys, its time, its cause and the caller's reference.

    Never changed and never deleted; only the count of an event about an import grows while its change goes on. The rows
    that it refers to may be deleted, so the database has no foreign key constraints for them.
    """

    class Event(models.TextChoices):
        ADDED = "added"  # one key, or all keys of an import
        CHANGED = "changed"  # another text; the digest is that of the old one
        REMOVED = "removed"  # one available key, or those of an import
        POPPED = "popped"
        ISSUED = "issued"  # popped for a license
        RETURNED = "returned"
        WITHDRAWN = "withdrawn"
        REPLACED = "replaced"  # withdrawn, and another key popped in its place
        MOVED = "moved"  # keys of an import, to another pool
        REVEALED = "revealed"
        EXPORTED = "exported"

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
    # Of an event about many keys: the import that they came with.
    key_import = models.ForeignKey(
        "pools.KeyImport", models.DO_NOTHING, null=True, related_name="+", db_constraint=False, db_index=False
    )
    reference = models.CharField(max_length=255, blank=True)
    bearer_type = models.CharField(max_length=16, blank=True)
    bearer_id = models.UUIDField(null=True)
    token_id = models.UUIDField(null=True)
    token_name = models.CharField(max_length=255, blank=True, default="", db_default="")
    operator = models.CharField(max_length=255, blank=True)
    operator_id = models.UUIDField(null=True)
    # Further details, by kind of event: see `KeyEvent.Details`. Null for a pop.
    details = models.JSONField(null=True)
    request_id = models.CharField(max_length=36, blank=True)

    in_ledger = True

    objects = KeyEventQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "key event"
        indexes = [
            models.Index(fields=["account", "id"], name="pools_keyevent_account"),
            models.Index(fields=["policy", "id"], name="pools_keyevent_policy"),
            models.Index(fields=["account", "key_digest"], name="pools_keyevent_digest"),
            models.Index(fields=["license"], name="pools_keyevent_license", condition=models.Q(license__isnull=False)),
            # By the whole reference and by its beginning; PostgreSQL needs the classes for the latter.
            models.Index(
                fields=["account", "reference"],
                opclasses=["uuid_ops", "varchar_pattern_ops"],
                name="pools_keyevent_beginning",
                condition=~models.Q(reference=""),
            ),
            # By its last characters, in any case: people search for the number of "Order 4711".
            models.Index(
                models.F("account"),
                Tail(Lower("reference")),
                name="pools_keyevent_tail",
                condition=~models.Q(reference=""),
            ),
            models.Index(
                fields=["account", "bearer_id", "id"],
                name="pools_keyevent_bearer",
                condition=models.Q(bearer_id__isnull=False),
            ),
            models.Index(
                fields=["account", "token_id", "id"],
                name="pools_keyevent_token",
                condition=models.Q(token_id__isnull=False),
            ),
            # For the operators of the console. Pops by programs are not in it.
            models.Index(
                fields=["account", "operator_id", "id"],
                name="pools_keyevent_operator",
                condition=models.Q(operator_id__isnull=False),
            ),
            models.Index(
                fields=["key_import"], name="pools_keyevent_import", condition=models.Q(key_import__isnull=False)
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

    class Details(TypedDict, total=False):
        """The members of `details`.

        Attributes:
            count: the number of keys (added, removed, moved, exported).
            used: whether the keys were used in another system before (added).
            source: the id of the import in the other pool that the keys came from (added).
            reason: the caller's reason (withdrawn, replaced).
            replacement: the id of the key that was popped instead (replaced).
            destination: the id of the policy with the other pool (moved).
            filter: the options of the export (exported).
            emailed_to: the email of the customer to whom the key was sent (revealed).
        """

        count: int
        used: bool
        source: str
        reason: str
        replacement: str
        destination: str
        filter: dict[str, str]
        emailed_to: str

    @classmethod
    def about(
        cls,
        event: str,
        key: "Key",
        audit: AuditContext,
        *,
        license_id: UUID | None = None,
        details: "KeyEvent.Details | None" = None,
    ) -> Self:
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
            details=details or None,
            **audit.as_dict(),
        )

    @classmethod
    def about_many(
        cls,
        event: str,
        policy: Policy,
        audit: AuditContext,
        *,
        key_import: "KeyImport | None" = None,
        details: "KeyEvent.Details",
    ) -> Self:
        """An unsaved event of many keys of a pool. Save it in the transaction of the change."""
        return cls(
            account_id=policy.account_id,
            event=event,
            product_id=policy.product_id,
            policy_id=policy.pk,
            key_import=key_import,
            details=details,
            **audit.as_dict(),
        )

    @property
    def actor(self) -> str:
        return describe_actor(self.operator, self.operator_id, self.bearer_type, self.bearer_id)

    def __str__(self) -> str:
        return f"{self.event} {self.created:%Y-%m-%d %H:%M}"
