"""Changes of keys. Each writes its event into the ledger in the same transaction."""

from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.advisory_locks import lock_pool
from keygen_site.jsonapi.errors import DomainError, NotFound
from licensing.models import License, Policy, PoolEmpty
from pools.models import Key, KeyEvent, KeyImport
from pools.popping import forget_hints

MAX_KEYS_PER_POP = 100  # of a request, and of a form of the console
WITHDRAWAL_BATCH_SIZE = 2_000


class KeyNotFound(NotFound):
    """The pool never had such a key. The response does not repeat it, because responses may be logged."""

    detail = "The requested key was not found in the pool"


class KeyRefused(DomainError):
    """A change is refused because of the state of the key."""

    source = {"pointer": "/meta/key"}


class KeyNotPopped(KeyRefused):
    detail = "is still waiting in the pool"


class KeyPopped(KeyRefused):
    detail = "has already been popped"


class KeyWithdrawn(KeyRefused):
    detail = "has been withdrawn"


class KeyIssued(KeyRefused):
    """The key was issued with a license, so its user has it, even if the license has been deleted."""

    code = "KEY_ISSUED"
    detail = "was issued with a license: it stays popped, so pop another key instead"


class KeyHeldByLicense(KeyIssued):
    detail = "is held by a license"


class KeyDisclosed(KeyRefused):
    """A person has seen the key: it was popped or revealed in the console, or exported."""

    code = "KEY_DISCLOSED"
    detail = "was shown to a person: it stays popped, so pop another key instead"


class UndeliveredRequired(KeyRefused):
    """A popped key is returned only if the caller confirms that it was not delivered."""

    code = "UNDELIVERED_REQUIRED"
    source = {"pointer": "/meta/undelivered"}
    detail = "must be true, to confirm that the key was not delivered; otherwise pop another key instead"


@transaction.atomic
def delete_key(key: Key, audit: AuditContext) -> None:
    """Delete an available key. Its text can be added again, unless it was shown to a person (`UsedText`)."""
    KeyEvent.about(KeyEvent.Event.DELETED, key, audit).save()
    key.delete()


@transaction.atomic
def pop_keys(*, policy: Policy, count: int, audit: AuditContext) -> list[Key]:
    """Pop the next `count` keys of a policy's pool, all or none, in the order of the pool.

    Raises:
        PoolNotSupported: the policy has no pool.
        PoolEmpty: the pool has fewer keys.
    """
    lock_pool(policy.pk)
    keys: list[Key] = []
    try:
        while len(keys) < count:
            keys.append(policy.pool.pop(audit))
    except PoolEmpty:
        raise PoolEmpty("pool has fewer keys than asked for" if keys else None) from None
    return keys


@transaction.atomic
def return_key(*, policy: Policy, text: str, undelivered: bool, audit: AuditContext) -> Key:
    """Put a key that was popped by mistake back into its pool, in its old place, so that it is the next to be popped.

    Other processes of the server may pop later keys before it for some seconds (`pools.popping`).

    Args:
        undelivered: whether the caller confirms that the key was not delivered. Required.

    Raises:
        KeyNotFound, KeyNotPopped, KeyWithdrawn: the key is not popped.
        KeyHeldByLicense, KeyIssued: a license has the key, or had it.
        KeyDisclosed: a person has seen the key.
        UndeliveredRequired: `undelivered` is false.
    """
    key = _lock_key(policy, text)
    if key.withdrawn:
        raise KeyWithdrawn
    if not key.popped:
        raise KeyNotPopped
    if License.objects.filter(account=key.account_id).with_key(text).exists():
        raise KeyHeldByLicense
    events = set(KeyEvent.objects.filter(account=key.account_id).with_key(text).values_list("event", flat=True))
    if KeyEvent.Event.ISSUED in events:
        raise KeyIssued
    # An earlier version of the server, which may still run during an upgrade, reveals keys without marking them.
    if key.disclosed or KeyEvent.Event.REVEALED in events:
        raise KeyDisclosed
    if not undelivered:
        raise UndeliveredRequired
    key.popped = None
    key.save(update_fields=["popped"])
    KeyEvent.about(KeyEvent.Event.RETURNED, key, audit).save()
    transaction.on_commit(lambda: forget_hints(policy))
    return key


@transaction.atomic
def pop_keys_for_operator(*, policy: Policy, count: int, audit: AuditContext) -> list[Key]:
    """Pop the next keys for an operator of the console to see, which discloses them.

    Raises:
        PoolNotSupported, PoolEmpty: see `pop_keys`.
    """
    keys = pop_keys(policy=policy, count=count, audit=audit)
    Key.objects.filter(pk__in=[key.pk for key in keys]).disclose()
    return keys


@transaction.atomic
def reveal_key(key: Key, audit: AuditContext) -> str:
    """Disclose a key to an operator, and return its text. The key can no longer be returned to its pool."""
    key = Key.objects.select_for_update(of=("self",)).select_related("policy").get(pk=key.pk)
    Key.objects.filter(pk=key.pk).disclose()
    KeyEvent.about(KeyEvent.Event.REVEALED, key, audit).save()
    return key.key


@transaction.atomic
def withdraw_key(*, policy: Policy, text: str, audit: AuditContext) -> Key:
    """Remove an available key from its pool permanently.

    Raises:
        KeyNotFound, KeyPopped, KeyWithdrawn: the key is not available.
    """
    key = _lock_key(policy, text)
    if key.popped:
        raise KeyPopped
    if key.withdrawn:
        raise KeyWithdrawn
    _withdraw([key], audit)
    return key


def withdraw_import(*, key_import: KeyImport, audit: AuditContext) -> int:
    """Remove the available keys of an import from their pool permanently, and return their number.

    Each batch is a transaction, so that pops go on: keys popped meanwhile are not withdrawn. After an interruption,
    another call withdraws the rest.
    """
    withdrawn = 0
    while True:
        with transaction.atomic():
            available = key_import.keys.available().order_by("id").select_related("policy")
            batch = list(available.select_for_update(of=("self",))[:WITHDRAWAL_BATCH_SIZE])
            if not batch:
                return withdrawn
            _withdraw(batch, audit)
            withdrawn += len(batch)


def _lock_key(policy: Policy, text: str) -> Key:
    """Lock the key with this text in a policy's pool, in any state, and return it."""
    key = policy.pool.with_key(text).select_for_update().first()
    if key is None:
        raise KeyNotFound
    key.policy = policy
    return key


def _withdraw(keys: list[Key], audit: AuditContext) -> None:
    now = timezone.now()
    for key in keys:
        key.withdrawn = now
    Key.objects.filter(pk__in=[key.pk for key in keys]).update(withdrawn=now)
    KeyEvent.objects.bulk_create(KeyEvent.about(KeyEvent.Event.WITHDRAWN, key, audit) for key in keys)
