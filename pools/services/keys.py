"""Changes of keys. Each writes its event into the ledger in the same transaction."""

from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.advisory_locks import lock_pool
from keygen_site.jsonapi.errors import REFERENCE, DomainError, NotFound
from keygen_site.models import IdempotentResponse
from licensing.models import License, Policy, PoolEmpty
from licensing.models.license_queries import LicenseQuerySet
from pools.models import Key, KeyEvent
from pools.popping import forget_hints
from pools.services.low_stock import alert_if_low, reset_low_alert

MAX_KEYS_PER_POP = 100  # of a request, and of a form of the console
MAX_REASON_CHARACTERS = 255


class KeyNotFound(NotFound):
    """The pool never had such a key. The response does not repeat it, because responses may be logged."""

    detail = "The requested key was not found in the pool"


class KeyRefused(DomainError):
    """A change is refused because of the state of the key."""

    source = {"pointer": "/meta/key"}


class KeyNotPopped(KeyRefused):
    detail = "is still waiting in the pool"


class KeyNotHeld(KeyRefused):
    """The license of a key is to be suspended, and no license has the key."""

    detail = "is not held by a license, so no license can be suspended"


class KeyWithdrawn(KeyRefused):
    detail = "has been withdrawn"


class KeyIssued(KeyRefused):
    """The key was issued with a license, so its user has it, even if the license has been deleted."""

    code = "KEY_ISSUED"
    about = REFERENCE
    detail = "was issued with a license: it stays popped, so pop another key instead"


class KeyHeldByLicense(KeyIssued):
    """A license has the key."""

    detail = "is held by a license"


class LicenseGone(KeyIssued):
    """The license that the key was issued with has another key by now, or is deleted."""

    detail = "was issued with a license that no longer has it: replace the key that the license has now"


class KeyDisclosed(KeyRefused):
    """A person has seen the key: it was popped or revealed in the console, or exported."""

    code = "KEY_DISCLOSED"
    about = REFERENCE
    detail = "was shown to a person: it stays popped, so pop another key instead"


class UndeliveredRequired(KeyRefused):
    """A popped key is returned only if the caller confirms that it was not delivered."""

    code = "UNDELIVERED_REQUIRED"
    about = REFERENCE
    source = {"pointer": "/meta/undelivered"}
    detail = "must be true, to confirm that the key was not delivered; otherwise pop another key instead"


@transaction.atomic
def add_key(key: Key, audit: AuditContext) -> Key:
    """Save a new key of a pool.

    Raises:
        ValidationError: by field.
    """
    key.validate_and_save(force_insert=True)
    KeyEvent.about(KeyEvent.Event.ADDED, key, audit).save()
    if key.policy.low_stock_alerted is not None:
        reset_low_alert(key.policy)
    return key


@transaction.atomic
def change_key(key: Key, text: str, audit: AuditContext) -> None:
    """Give an available key another text. The old text can be added again, unless it was disclosed (`UsedText`).

    Raises:
        ValidationError: by field.
    """
    event = KeyEvent.about(KeyEvent.Event.CHANGED, key, audit)  # with the digest of the old text; the new one is added
    key.key = text
    key.disclosed = key.disclosure = key.disclosed_to = None
    key.save_changes("key", "disclosed", "disclosure", "disclosed_to")
    event.save()
    KeyEvent.about(KeyEvent.Event.ADDED, key, audit).save()


@transaction.atomic
def delete_key(key: Key, audit: AuditContext) -> None:
    """Delete an available key. Its text can be added again, unless it was disclosed (`UsedText`)."""
    KeyEvent.about(KeyEvent.Event.REMOVED, key, audit).save()
    key.delete()
    _check_stock(key.policy)


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
def pop_keys_for_operator(*, policy: Policy, count: int, audit: AuditContext) -> list[Key]:
    """Pop the next keys for an operator of the console to see.

    Raises:
        PoolNotSupported, PoolEmpty: see `pop_keys`.
    """
    keys = pop_keys(policy=policy, count=count, audit=audit)
    Key.objects.filter(pk__in=[key.pk for key in keys]).disclose(Key.Disclosure.REVEALED, audit)
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
        KeyDisclosed: the key was disclosed by other means than its pop.
        UndeliveredRequired: `undelivered` is false.
    """
    key = lock_key(policy, text)
    check_return(key)
    if not undelivered:
        raise UndeliveredRequired
    if pop := find_pop(key):
        # A repeated request must not hand it out once more, to a caller who believes that the key never arrived.
        IdempotentResponse.objects.void(key.account_id, pop.request_id)
    key.popped = key.disclosed = key.disclosure = key.disclosed_to = None
    key.save(update_fields=["popped", "disclosed", "disclosure", "disclosed_to"])
    KeyEvent.about(KeyEvent.Event.RETURNED, key, audit).save()
    transaction.on_commit(lambda: forget_hints(policy))
    return key


def check_return(key: Key) -> None:
    """Check that a key may go back into its pool, provided that the caller confirms that it was not delivered.

    Raises:
        KeyNotPopped, KeyWithdrawn, KeyHeldByLicense, KeyIssued, KeyDisclosed: see `return_key`.
    """
    if key.withdrawn:
        raise KeyWithdrawn
    if not key.popped:
        raise KeyNotPopped
    if licenses_with(key).exists():
        raise KeyHeldByLicense
    if key.disclosure == Key.Disclosure.ISSUED:
        raise KeyIssued
    if key.disclosure != Key.Disclosure.POPPED:
        raise KeyDisclosed


@transaction.atomic
def reveal_key(key: Key, audit: AuditContext) -> str:
    """Disclose a key to an operator, and return its text. The key can no longer be returned to its pool."""
    key = Key.objects.select_for_update(of=("self",)).select_related("policy").get(pk=key.pk)
    Key.objects.filter(pk=key.pk).disclose(Key.Disclosure.REVEALED, audit)
    KeyEvent.about(KeyEvent.Event.REVEALED, key, audit).save()
    return key.key


@transaction.atomic
def withdraw_key(
    *, policy: Policy, text: str, audit: AuditContext, reason: str = "", suspend_license: bool = False
) -> Key:
    """Retire a key permanently, e.g. one that is defective, leaked or refunded. It may be available or popped.

    Args:
        reason: for the ledger, at most MAX_REASON_CHARACTERS.
        suspend_license: also suspend the license that has the key, unless it is suspended already.

    Raises:
        KeyNotFound, KeyWithdrawn: there is nothing to withdraw.
        KeyNotHeld: no license has the key, and one was to be suspended.
    """
    key = lock_key(policy, text)
    if key.withdrawn:
        raise KeyWithdrawn
    license = _lock_license(key)
    if suspend_license:
        if license is None:
            raise KeyNotHeld
        if not license.suspended:
            license.suspend()
    key.withdrawn = timezone.now()
    key.save(update_fields=["withdrawn"])
    license_id = license.pk if license else None
    details = _reason(reason)
    KeyEvent.about(KeyEvent.Event.WITHDRAWN, key, audit, license_id=license_id, details=details).save()
    _check_stock(policy)
    return key


@transaction.atomic
def replace_key(*, policy: Policy, text: str, audit: AuditContext, reason: str = "") -> Key:
    """Withdraw a popped key, pop the next one of its pool in its place, and return that one.

    A license that has the key gets the new one. The new key is popped for the reference of `audit` or, if that has
    none, for the reference of the old key's pop.

    Raises:
        KeyNotFound, KeyNotPopped: the key is not popped.
        KeyWithdrawn: it was withdrawn, and no license has it.
        LicenseGone: it was issued with a license that no longer has it, so no one waits for another key.
        PoolEmpty: there is no other key; nothing is changed.
    """
    key = lock_key(policy, text)
    license, pop = _lock_license(key), find_pop(key)
    check_replacement(key, license, pop)
    if pop and not audit.reference:
        audit = replace(audit, reference=pop.reference)
    replacement = policy.pool.pop(audit, license)
    if license:
        license.exchange_key(replacement.key)
    key.withdrawn = key.withdrawn or timezone.now()
    key.save(update_fields=["withdrawn"])
    details = _reason(reason) | KeyEvent.Details(replacement=str(replacement.pk))
    license_id = license.pk if license else None
    KeyEvent.about(KeyEvent.Event.REPLACED, key, audit, license_id=license_id, details=details).save()
    return replacement


@transaction.atomic
def replace_key_for_operator(*, policy: Policy, text: str, audit: AuditContext, reason: str = "") -> Key:
    """Replace a key, for an operator of the console to see the new one. It can never go back into the pool.

    Raises:
        KeyNotFound, KeyNotPopped, KeyWithdrawn, LicenseGone, PoolEmpty: see `replace_key`.
    """
    replacement = replace_key(policy=policy, text=text, audit=audit, reason=reason)
    Key.objects.filter(pk=replacement.pk).disclose(Key.Disclosure.REVEALED, audit)
    return replacement


def check_replacement(key: Key, license: License | None, pop: KeyEvent | None) -> None:
    """Check that a key may be replaced. Whether its pool has another key is checked by the pop.

    Args:
        license: the license that has the key.
        pop: the last pop of the key, from `find_pop()`.

    Raises:
        KeyNotPopped, KeyWithdrawn, LicenseGone: see `replace_key`.
    """
    if key.withdrawn and license is None:
        raise KeyWithdrawn
    if not key.popped:
        raise KeyNotPopped
    if license is None and pop and pop.event == KeyEvent.Event.ISSUED:
        raise LicenseGone


def lock_key(policy: Policy, text: str) -> Key:
    """Lock the key with this text in a policy's pool, in any state, and return it.

    Raises:
        KeyNotFound: the pool has no such key.
    """
    key = policy.pool.published().with_key(text).select_for_update(of=("self",)).first()
    if key is None:
        raise KeyNotFound
    key.policy = policy
    return key


def _lock_license(key: Key) -> License | None:
    """Lock the license that has a key, and return it. Keys are locked before licenses."""
    return licenses_with(key).select_for_update().first()


def licenses_with(key: Key) -> LicenseQuerySet:
    """The license that has a key, if any."""
    return License.objects.filter(account=key.account_id).with_key(key.key)


def find_pop(key: Key) -> KeyEvent | None:
    """The last pop of a key. None if it was imported as used."""
    pops = KeyEvent.objects.filter(account=key.account_id, event__in=(KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED))
    return pops.filter(key_digest=key.digest).newest_first().first()


def _check_stock(policy: Policy) -> None:
    """Send a low-stock alert after the commit, if one is due: the policy of a request has not all fields."""
    transaction.on_commit(lambda: alert_if_low(Policy.objects.get(pk=policy.pk), after_pop=False), robust=True)


def _reason(reason: str) -> KeyEvent.Details:
    return {"reason": reason} if reason else {}
