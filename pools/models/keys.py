from typing import Any, Self
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.audit import AuditContext
from accounts.bearers import Bearer
from accounts.models import Account
from keygen_site.db.advisory_locks import lock_key_text
from keygen_site.db.fields import mask_key
from keygen_site.db.key_digests import key_digest
from keygen_site.db.key_fields import KeyDigestField, KeyEndingField, KeyTextField
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource
from licensing.key_texts import hidden_character_error
from licensing.models import License, Policy, PoolEmpty, PoolNotSupported
from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS, RESERVED_KEYS
from pools.models.key_imports import KeyImport
from pools.models.policy_rows import PolicyRowsQuerySet
from pools.models.used_texts import UsedText
from pools.popping import pop_next_key

# Popped here, whether withdrawn later or not; keys that were used in another system do not count.
HANDED_OUT = Q(popped__isnull=False) & ~Q(disclosure="used")
KEY_PURPOSE = "key of a pool"


class KeyQuerySet(PolicyRowsQuerySet["Key"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The keys that a bearer may see: staff those of the account, a product its own, others none."""
        keys = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return keys
        return keys.filter(policy__product=bearer.id) if bearer.role == "product" else keys.none()

    def with_api_fields(self) -> Self:
        """Keys with the fields that the API shows, and with those of their policies that it and the rules need."""
        of_policy = ("policy__account", "policy__product", "policy__use_pool")
        return self.select_related("policy").only(*(f.attname for f in Key._meta.concrete_fields), *of_policy)

    def for_listing(self) -> Self:
        """Keys with the fields that the API shows, not to be changed."""
        return self.annotate(product_id=F("policy__product_id"))

    def available(self) -> Self:
        """Keys that can be popped."""
        return self.published().filter(popped=None, withdrawn=None)

    def published(self) -> Self:
        """Keys without those of an unfinished import."""
        if connection.vendor == "postgresql":
            return self.all()  # an import is one transaction there, so its keys are invisible anyway
        return self.exclude(key_import__in=KeyImport.objects.exclude(loading=None))

    def with_key(self, text: str) -> Self:
        """Keys with exactly this text."""
        return self.filter(digest=key_digest(text))

    def used(self) -> Self:
        """Keys that left their pool. They have an index by their ending."""
        return self.filter(Q(popped__isnull=False) | Q(withdrawn__isnull=False))

    def handed_out(self) -> Self:
        """Keys that were popped here, not those that were imported as used."""
        return self.filter(HANDED_OUT)

    def undisclosed(self) -> Self:
        return self.filter(disclosed=None)

    def disclose(self, disclosure: "Key.Disclosure", audit: AuditContext) -> None:
        """Record that the texts of these keys are about to be shown to a person.

        The pop of a key is overwritten: a key that was only popped may be returned, one that a person saw may not. Of
        several other disclosures the first is kept; the ledger has all.
        """
        self.filter(Q(disclosure=None) | Q(disclosure=Key.Disclosure.POPPED)).update(
            disclosed=timezone.now(), disclosure=disclosure, disclosed_to=audit.actor
        )


class KeyManager(models.Manager.from_queryset(KeyQuerySet)):  # type: ignore[misc]
    """Manager of keys, also as `policy.pool` and `account.keys`."""

    instance: Any  # of a related manager: the policy or the account

    def had(self, text: str) -> bool:
        """Whether this account has a key with this text, or had one that may have reached a person.

        The keys are queried first: a concurrent deletion moves the text from them to the used texts.
        """
        used = UsedText.objects.with_text(self.instance.pk, text).filter(kind=UsedText.Kind.KEY)
        return self.with_key(text).exists() or used.exists()

    def available_in_order(self) -> KeyQuerySet:
        """The available keys of this policy, first in, first out."""
        return self.model.objects.for_policy(self.instance.pk).available()

    def pop(self, audit: AuditContext, license: License | None = None) -> "Key":
        """Pop the next key of this policy's pool, and record it in the ledger.

        Args:
            license: the license that gets the key, if any; the event is then "issued".

        Raises:
            PoolNotSupported: the policy has no pool.
            PoolEmpty: no key is available, and no transaction that may still roll back has popped one.
        """
        if not self.instance.use_pool:
            raise PoolNotSupported
        key = pop_next_key(self.model, self.instance, audit, license)
        if key is None:
            raise PoolEmpty
        return key


class Key(Resource):
    """A license key made beforehand, in a policy's pool, handed out at most once.

    A popped key stays as a row: it answers who got the key, and blocks its text. When the row of a key that may have
    reached a person is deleted, a `UsedText` blocks the text.
    """

    class State(models.TextChoices):
        AVAILABLE = "available"
        POPPED = "popped"
        WITHDRAWN = "withdrawn"

    class Disclosure(models.TextChoices):
        """How the text of a key left the database."""

        POPPED = "popped"  # to a bearer or a command, by a pop
        ISSUED = "issued"  # with a license
        REVEALED = "revealed"  # to an operator of the console, also by a pop there
        EXPORTED = "exported"
        USED = "used"  # in another system, before the import

    account = models.ForeignKey(Account, models.CASCADE, related_name="keys", db_index=False)
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="pool", db_index=False)
    key = KeyTextField(purpose=KEY_PURPOSE, blank=True)
    digest = KeyDigestField(of="key")
    ending = KeyEndingField(of="key")  # the console finds a used key by its last characters
    key_import = models.ForeignKey(
        KeyImport, models.SET_NULL, null=True, blank=True, related_name="keys", verbose_name="import"
    )
    # The place in the pool of a key that moved in from keygen-api, with the id that it had there: the order of such ids
    # is not the order of creation. Keys that were added here have no place, and come after those that have.
    place = models.BigIntegerField(null=True, editable=False)
    popped = models.DateTimeField(null=True, editable=False)
    # A withdrawn key was available or popped before.
    withdrawn = models.DateTimeField(null=True, editable=False)
    # When, how and to whom the text was disclosed, all null if it was not. A disclosed key may be available.
    disclosed = models.DateTimeField(null=True, editable=False)
    disclosure = models.CharField(max_length=8, null=True, editable=False, choices=Disclosure)  # noqa: DJ001
    disclosed_to = models.CharField(max_length=255, null=True, editable=False)  # noqa: DJ001

    in_ledger = True

    objects = KeyManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="pools_key_unique_in_account"),
            # A key that reached a caller is disclosed, however it got there.
            models.CheckConstraint(condition=Q(popped=None) | ~Q(disclosed=None), name="pools_key_popped_is_disclosed"),
            models.CheckConstraint(
                condition=Q(disclosed=None, disclosure=None, disclosed_to=None)
                | Q(disclosed__isnull=False, disclosure__isnull=False, disclosed_to__isnull=False),
                name="pools_key_disclosure_complete",
            ),
        ]
        indexes = [
            models.Index(fields=["policy", "id"], name="pools_key_waiting", condition=Q(popped=None, withdrawn=None)),
            # Empty unless the account moved in, so it costs an import nothing.
            models.Index(
                fields=["policy", "place"],
                name="pools_key_place",
                condition=Q(popped=None, withdrawn=None, place__isnull=False),
            ),
            models.Index(fields=["account", "id"], name="pools_key_listed", condition=Q(popped=None, withdrawn=None)),
            models.Index(fields=["policy", "popped"], name="pools_key_popped"),
            # For the console. Available keys are in none, so that they cost an import nothing.
            models.Index(fields=["key_import", "popped"], name="pools_key_batch", condition=Q(popped__isnull=False)),
            models.Index(fields=["policy", "id"], name="pools_key_withdrawn", condition=Q(withdrawn__isnull=False)),
            models.Index(
                fields=["account", "ending"],
                name="pools_key_ending",
                condition=Q(popped__isnull=False) | Q(withdrawn__isnull=False),
            ),
        ]
        # Of the console. The permissions of the API are in `accounts.roles`.
        permissions = [
            ("pop_key", "Can pop key"),
            ("return_key", "Can return key to its pool"),
            ("withdraw_key", "Can withdraw key"),
            ("reveal_key", "Can reveal key"),
            ("export_key", "Can export key"),
        ]

    class JSONAPIMeta:
        resource_name = "keys"

    def __str__(self) -> str:
        return self.masked

    @property
    def state(self) -> State:
        if self.withdrawn:
            return self.State.WITHDRAWN
        return self.State.POPPED if self.popped else self.State.AVAILABLE

    @cached_property
    def product_id(self) -> UUID:
        """The id of the policy's product. `KeyQuerySet.for_listing` annotates it."""
        return self.policy.product_id

    @property
    def masked(self) -> str:
        return mask_key(self.key)

    def lock_for_rules(self) -> None:
        lock_key_text(self.account_id, self.key)

    def clean(self) -> None:
        """Check the rules of a key (contract: keys 2.2), in the order of the response's errors."""
        problems: dict[str, list[ValidationError]] = {}

        def refuse(name: str, detail: str, kind: str) -> None:
            problems.setdefault(name, []).append(ValidationError(detail, code=kind))

        other = self.account.keys.with_key(self.key).exclude(pk=self.pk).first()
        conflict = self._conflict_with_licenses()
        is_waiting = other is not None and other.state == self.State.AVAILABLE
        # A license is named instead of the popped key that it has. The used texts are queried last: a concurrent
        # deletion moves the text from the keys or licenses to them.
        if is_waiting or conflict is None and (other or UsedText.objects.with_text(self.account_id, self.key).exists()):
            refuse("key", "has already been taken", "taken")
        if self.key in RESERVED_KEYS:
            refuse("key", "is reserved", "not_allowed")
        if len(self.key) < MIN_KEY_CHARACTERS:
            refuse("key", f"is too short (minimum is {MIN_KEY_CHARACTERS} characters)", "too_short")
        if len(self.key) > MAX_KEY_CHARACTERS:
            refuse("key", f"is too long (maximum is {MAX_KEY_CHARACTERS} characters)", "too_long")
        if detail := hidden_character_error(self.key):
            refuse("key", detail, "invalid")
        if self.policy_id and not self.policy.use_pool:
            refuse("policy", "cannot be added to an unpooled policy", "not_supported")
        if conflict:
            refuse("key", conflict, "conflict")
        if problems:
            raise ValidationError(problems)

    def _conflict_with_licenses(self) -> str | None:
        licenses = License.objects.filter(account=self.account)
        uuid = parse_uuid(self.key)
        if uuid and licenses.filter(pk=uuid).exists():
            return "must not conflict with another license's identifier (UUID)"
        if licenses.with_key(self.key).exists():
            return "is already being used as a license's key"
        return None
