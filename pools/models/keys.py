from django.core.exceptions import ValidationError
from django.db import connections, models, transaction
from django.db.models import F, Q
from django.db.models.functions import Right
from django.utils import timezone
from django.utils.functional import cached_property

from accounts.models import Account
from keygen_site.db.advisory_locks import lock_key_text
from keygen_site.db.fields import DigestField, digest, mask_key
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource
from licensing.models import License, Policy, PoolEmpty, PoolNotSupported
from pools.models.key_imports import KeyImport
from pools.models.used_texts import UsedText
from pools.popping import claim
from pools.services.low_stock import alert_if_low

MIN_LENGTH, MAX_LENGTH = 8, 1024
RESERVED = ("action", "actions")  # they are parts of addresses
ENDING = 4  # so many last characters are enough to look for a key that somebody reads out


class KeyQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The keys that a bearer may see: staff those of the account, a product its own, others none."""
        keys = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return keys
        return keys.filter(policy__product=bearer.id) if bearer.role == "product" else keys.none()

    def with_api_fields(self):
        """Keys with what the API shows of them, and of their policies no more than that and their rules need."""
        of_policy = ("policy__account", "policy__product", "policy__use_pool")
        return self.select_related("policy").only(*(f.attname for f in Key._meta.concrete_fields), *of_policy)

    def for_listing(self):
        """Keys with what the API shows of them, and no more: none is changed."""
        return self.annotate(product_id=F("policy__product_id"))

    def for_policy(self, policy_id):
        """Keys of one policy, in the order of its pool.

        The policy as a range, and in the order: only an index by policy and id serves that. For `policy_id = x ORDER
        BY id` PostgreSQL takes the primary key as soon as most rows of the table are of that policy, and walks over
        all that are older, of other policies or popped, to find the first.
        """
        return self.filter(policy__gte=policy_id, policy__lte=policy_id).order_by("policy_id", "id")

    def available(self):
        """Keys that still wait in their pool."""
        return self.published().filter(popped=None, withdrawn=None)

    def published(self):
        """Keys without those of an import that is still being written."""
        if connections[self.db].vendor == "postgresql":
            return self.all()  # an import is one transaction there: nobody sees it anyway
        return self.exclude(key_import__in=KeyImport.objects.exclude(loading=None))

    def with_key(self, text):
        """Keys of exactly this text."""
        return self.filter(digest=digest(text))

    def disclose(self) -> None:
        """Note that the texts of these keys are about to be shown to a person, unless they were before."""
        self.filter(disclosed=None).update(disclosed=timezone.now())


class KeyManager(models.Manager.from_queryset(KeyQuerySet)):  # type: ignore[misc]
    """`policy.pool` is one of these, for the keys of that policy; `account.keys` is another."""

    def had(self, text: str) -> bool:
        """Whether this account has a key of this text, or had one that may have reached a person.

        The keys come first: a deletion that is committed in between moves the text from them to the used texts.
        """
        used = UsedText.objects.using(self.db).of(self.instance.pk, text).filter(kind=UsedText.Kind.KEY)
        return self.with_key(text).exists() or used.exists()

    def waiting(self):
        """The keys that wait in the pool of this policy, the oldest first."""
        return self.model.objects.using(self.db).for_policy(self.instance.pk).available()

    def pop(self, audit, license=None):
        """Take the key that has waited longest out of the pool of this policy, and write it into the ledger.

        Args:
            origin: who takes it, and what for (`accounts.audit.AuditContext`).
            license: the license that it is taken for, if any; the ledger then says "issued".

        Returns:
            The key, popped.

        Raises:
            PoolNotSupported: the policy has no pool.
            PoolEmpty: no key waits, and none is held by a transaction that may yet put it back.
        """
        policy = self.instance
        if not policy.use_pool:
            raise PoolNotSupported
        key = claim(self.model, policy, audit, license, using=self.db)
        if key is None:
            raise PoolEmpty
        if policy.low_stock_threshold is not None:
            # Whatever comes of the message, the key is popped.
            transaction.on_commit(lambda: alert_if_low(policy), using=self.db, robust=True)
        return key


class Key(Resource):
    """A ready-made license key, waiting in a policy's pool to be handed out once.

    A popped key stays as a row: who got it can be answered, and its text can never be handed out again. When the row of
    a key that may have reached a person goes after all, its text stays as a `UsedText`.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="keys", db_index=False)
    policy = models.ForeignKey(Policy, models.CASCADE, related_name="pool", db_index=False)
    key = models.TextField(blank=True)
    digest = DigestField(of="key")
    key_import = models.ForeignKey(
        KeyImport, models.SET_NULL, null=True, blank=True, related_name="keys", verbose_name="import"
    )
    popped = models.DateTimeField(null=True, editable=False)
    withdrawn = models.DateTimeField(null=True, editable=False)
    # When its text was first shown to a person without being handed out by the API: revealed, popped in the console or
    # exported. It may still wait in its pool.
    disclosed = models.DateTimeField(null=True, editable=False)

    objects = KeyManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "digest"], name="pools_key_unique_in_account"),
            models.CheckConstraint(condition=Q(popped=None) | Q(withdrawn=None), name="pools_key_popped_or_withdrawn"),
        ]
        indexes = [
            models.Index(fields=["policy", "id"], name="pools_key_waiting", condition=Q(popped=None, withdrawn=None)),
            models.Index(fields=["account", "id"], name="pools_key_listed", condition=Q(popped=None, withdrawn=None)),
            models.Index(fields=["policy", "popped"], name="pools_key_popped"),
            # For the console. Waiting keys are in neither, so that an import pays nothing for them.
            models.Index(fields=["policy", "id"], name="pools_key_withdrawn", condition=Q(withdrawn__isnull=False)),
            models.Index(
                "account",
                Right("key", ENDING),
                name="pools_key_ending",
                condition=Q(popped__isnull=False) | Q(withdrawn__isnull=False),
            ),
        ]
        # In the console; what may be done through the API is in `accounts.roles`.
        permissions = [
            ("pop_key", "Can pop key"),
            ("return_key", "Can return key to its pool"),
            ("withdraw_key", "Can withdraw key"),
            ("reveal_key", "Can reveal key"),
            ("export_key", "Can export key"),
        ]

    class JSONAPIMeta:
        resource_name = "keys"

    def __str__(self):
        return self.masked

    @cached_property
    def product_id(self):
        """The product that it is of; a query may have said it (`KeyQuerySet.listed`)."""
        return self.policy.product_id

    @property
    def masked(self):
        """The key as it may be shown to anybody."""
        return mask_key(self.key)

    def lock_for_rules(self):
        lock_key_text(self.account_id, self.key)

    def clean(self):
        """The rules of a key (contract: keys 2.2), in the order in which a client is told."""
        problems = {}

        def refuse(name, detail, kind):
            problems.setdefault(name, []).append(ValidationError(detail, code=kind))

        taken = self.account.keys.with_key(self.key).exclude(pk=self.pk).exists()
        conflict = self._conflict_with_licenses()
        # Last: a deletion that is committed meanwhile moves the text from the keys or licenses to the used texts.
        if taken or UsedText.objects.of(self.account_id, self.key).exists():
            refuse("key", "has already been taken", "taken")
        if self.key in RESERVED:
            refuse("key", "is reserved", "not_allowed")
        if len(self.key) < MIN_LENGTH:
            refuse("key", f"is too short (minimum is {MIN_LENGTH} characters)", "too_short")
        if len(self.key) > MAX_LENGTH:
            refuse("key", f"is too long (maximum is {MAX_LENGTH} characters)", "too_long")
        if self.policy_id and not self.policy.use_pool:
            refuse("policy", "cannot be added to an unpooled policy", "not_supported")
        if conflict:
            refuse("key", conflict, "conflict")
        if problems:
            raise ValidationError(problems)

    def _conflict_with_licenses(self):
        licenses = License.objects.filter(account=self.account)
        uuid = parse_uuid(self.key)
        if uuid and licenses.filter(pk=uuid).exists():
            return "must not conflict with another license's identifier (UUID)"
        if licenses.with_key(self.key).exists():
            return "is already being used as a license's key"
        return None
