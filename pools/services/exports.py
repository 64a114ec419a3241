"""Reading a pool's keys out as a file."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from accounts.audit import AuditContext
from licensing.models import Policy, PoolNotSupported
from pools.models import Key, KeyEvent, KeyImport
from pools.models.keys import KeyQuerySet

STATES = ("available", "popped", "withdrawn", "all")
PAGE = 1_000  # keys: pops pass over those that are being marked


def export_keys(
    *,
    policy: Policy,
    audit: AuditContext,
    state: str = "available",
    key_import: KeyImport | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Key]:
    """The keys of a pool, one after the other, in flat memory; that they were exported is written down first.

    Each is as it was when its turn came: pops go on meanwhile. It is marked as disclosed, and that is committed, before
    its text is given. Popped keys come in the order of their pops, others in that of the pool.

    Args:
        state: one of STATES.
        key_import: only those that came by it.
        since, until: only those whose moment lies there; that is when they were popped or withdrawn, or came in.

    Raises:
        PoolNotSupported: the policy has no pool.
    """
    if not policy.use_pool:
        raise PoolNotSupported
    moment = state if state in ("popped", "withdrawn") else "created"
    if state == "available":
        keys = policy.pool.waiting()
    else:
        keys = policy.pool.published().order_by("id")
        if state != "all":
            keys = keys.exclude(**{state: None})
    if key_import:
        keys = keys.filter(key_import=key_import)
    if since:
        keys = keys.filter(**{f"{moment}__gte": since})
    if until:
        keys = keys.filter(**{f"{moment}__lt": until})
    KeyEvent.about(KeyEvent.Event.EXPORTED, Key(policy=policy), audit).save()
    return _pages(keys, "popped" if state == "popped" else None)


def _pages(keys, moment):
    """All keys by pages that begin where the last one ended: no cursor is open, and no page costs more than another."""
    if moment:
        keys = keys.order_by(moment, "id")
    page = list(keys[:PAGE])
    while page:
        yield from _disclosed(keys, page)
        last = page[-1]
        behind = Q(pk__gt=last.pk)
        if moment:
            value = getattr(last, moment)
            behind = Q(**{f"{moment}__gte": value}) & (behind | Q(**{f"{moment}__gt": value}))
        page = list(keys.filter(behind)[:PAGE])


def _disclosed(keys: KeyQuerySet, page: list[Key]) -> list[Key]:
    """The keys of a page, all marked as disclosed.

    Those that were not marked before are read again under a lock, because they may have been popped, renamed or deleted
    since. The export waits for a locked key only while it locks no other, for a pop of several keys may wait for it.
    """
    fresh = [key.pk for key in page if key.disclosed is None]
    marked = _mark(keys.filter(pk__in=fresh).select_for_update(of=("self",), skip_locked=True)) if fresh else {}
    for pk in fresh:
        if pk not in marked:
            marked |= _mark(keys.filter(pk=pk).select_for_update(of=("self",)))
    return [marked.get(key.pk, key) for key in page if key.disclosed or key.pk in marked]


def _mark(keys: KeyQuerySet) -> dict[UUID, Key]:
    """Mark keys as disclosed, in a transaction of its own; returns those that are still there, by id."""
    with transaction.atomic(durable=True):
        held = {key.pk: key for key in keys}
        Key.objects.filter(pk__in=held).disclose()
    return held
