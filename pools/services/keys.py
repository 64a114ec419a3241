"""What happens to keys across models. Each act writes its line of the ledger, in the same transaction."""

from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.advisory_locks import lock_pool
from keygen_site.jsonapi.errors import DomainError, NotFound
from licensing.models import License, Policy, PoolEmpty
from pools.models import Key, KeyEvent
from pools.popping import forget_hints

BATCH = 2_000


class KeyNotFound(NotFound):
    """No such key is in the pool or ever was. It is not said again: keys stay out of answers that may be logged."""

    detail = "The requested key was not found in the pool"


class KeyRefused(DomainError):
    """A key that is not in the state that an act needs."""

    source = {"pointer": "/meta/key"}


class KeyWaiting(KeyRefused):
    detail = "is still waiting in the pool"


class KeyPopped(KeyRefused):
    detail = "has already been popped"


class KeyWithdrawn(KeyRefused):
    detail = "has been withdrawn"


class KeyIssued(KeyRefused):
    """A key that was issued with a license: its user has it, also when the license has been deleted."""

    code = "KEY_ISSUED"
    detail = "was issued with a license: it stays popped, so pop another key instead"


class KeyHeldByLicense(KeyIssued):
    detail = "is held by a license"


class KeyDisclosed(KeyRefused):
    """A key that a person has seen: popped or revealed in the console, or in an export."""

    code = "KEY_DISCLOSED"
    detail = "was shown to a person: it stays popped, so pop another key instead"


class UndeliveredRequired(KeyRefused):
    """A popped key goes back only if the caller confirms that it was not delivered."""

    code = "UNDELIVERED_REQUIRED"
    source = {"pointer": "/meta/undelivered"}
    detail = "must be true, to confirm that the key was not delivered; otherwise pop another key instead"


@transaction.atomic
def delete_key(key, audit):
    """Delete a waiting key. Its text becomes free again, unless it was ever shown to a person (`UsedText`)."""
    KeyEvent.about(KeyEvent.Event.DELETED, key, audit).save()
    key.delete()


@transaction.atomic
def pop_keys(*, policy, count, audit):
    """Take the next `count` keys out of a policy's pool, all of them or none.

    Returns:
        The keys, in the order of the pool.

    Raises:
        PoolNotSupported: the policy has no pool.
        PoolEmpty: it holds fewer; they all stay where they are.
    """
    lock_pool(policy.pk)
    keys = []
    try:
        while len(keys) < count:
            keys.append(policy.pool.pop(audit))
    except PoolEmpty:
        raise PoolEmpty("pool has fewer keys than asked for" if keys else None) from None
    return keys


@transaction.atomic
def return_key(*, policy: Policy, text: str, undelivered: bool, audit: AuditContext) -> Key:
    """Put a key that was popped by mistake back to its place in the order of its pool, where it is the next to go.

    Other processes of the server may overtake it for a second (`pools.popping`).

    Args:
        undelivered: whether the caller confirms that the key was not delivered; only then it is returned.

    Raises:
        KeyNotFound, KeyWaiting, KeyWithdrawn: there is nothing to return.
        KeyHeldByLicense, KeyIssued: a license has it, or had it.
        KeyDisclosed: a person has seen it.
        UndeliveredRequired: the caller does not confirm that it was not delivered.
    """
    key = _locked(policy, text)
    if key.withdrawn:
        raise KeyWithdrawn
    if not key.popped:
        raise KeyWaiting
    if License.objects.filter(account=key.account_id).with_key(text).exists():
        raise KeyHeldByLicense
    events = set(KeyEvent.objects.filter(account=key.account_id).with_key(text).values_list("event", flat=True))
    if KeyEvent.Event.ISSUED in events:
        raise KeyIssued
    # An earlier version of the server, which may still run beside this one, reveals keys without marking them.
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
    """Pop the next keys to show them to an operator of the console, which discloses them.

    Raises:
        PoolNotSupported, PoolEmpty: see `pop_keys`.
    """
    keys = pop_keys(policy=policy, count=count, audit=audit)
    Key.objects.filter(pk__in=[key.pk for key in keys]).disclose()
    return keys


@transaction.atomic
def reveal_key(key, audit):
    """The text of a key, for an operator to read; from then on it cannot go back to its pool."""
    key = Key.objects.select_for_update(of=("self",)).select_related("policy").get(pk=key.pk)
    Key.objects.filter(pk=key.pk).disclose()
    KeyEvent.about(KeyEvent.Event.REVEALED, key, audit).save()
    return key.key


@transaction.atomic
def withdraw_key(*, policy, text, audit):
    """Take a waiting key out of circulation for good.

    Raises:
        KeyNotFound, KeyPopped, KeyWithdrawn: there is nothing to withdraw.
    """
    key = _locked(policy, text)
    if key.popped:
        raise KeyPopped
    if key.withdrawn:
        raise KeyWithdrawn
    _withdraw([key], audit)
    return key


def withdraw_import(*, key_import, audit):
    """Take all that is left of an import out of circulation for good; returns how many keys.

    In batches, each a transaction: pops go on meanwhile. What is popped before its turn is not withdrawn; after an
    interruption the rest is withdrawn by doing it again.
    """
    withdrawn = 0
    while True:
        with transaction.atomic():
            left = key_import.keys.available().order_by("id").select_related("policy")
            batch = list(left.select_for_update(of=("self",))[:BATCH])
            if not batch:
                return withdrawn
            _withdraw(batch, audit)
            withdrawn += len(batch)


def _locked(policy, text):
    """The key of this text in a policy's pool, waiting or not, held against others."""
    key = policy.pool.with_key(text).select_for_update().first()
    if key is None:
        raise KeyNotFound
    key.policy = policy
    return key


def _withdraw(keys, audit):
    now = timezone.now()
    for key in keys:
        key.withdrawn = now
    Key.objects.filter(pk__in=[key.pk for key in keys]).update(withdrawn=now)
    KeyEvent.objects.bulk_create(KeyEvent.about(KeyEvent.Event.WITHDRAWN, key, audit) for key in keys)
