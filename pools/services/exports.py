"""Reading a pool's keys out as a file."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Q

from accounts.bearers import Origin
from licensing.models import Policy, PoolNotSupported
from pools.models import Key, KeyEvent, KeyImport

STATES = ("available", "popped", "withdrawn", "all")
PAGE = 5_000  # keys


def export_keys(
    *,
    policy: Policy,
    origin: Origin,
    state: str = "available",
    key_import: KeyImport | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Iterator[Key]:
    """The keys of a pool, one after the other, in flat memory; that they were exported is written down first.

    Each is as it was when its turn came: pops go on meanwhile. Popped keys come in the order of their pops, others
    in that of the pool.

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
    KeyEvent.about(KeyEvent.Event.EXPORTED, Key(policy=policy), origin).save()
    return _pages(keys, "popped" if state == "popped" else None)


def _pages(keys, moment):
    """All keys by pages that begin where the last one ended: no cursor is open, and no page costs more than another."""
    if moment:
        keys = keys.order_by(moment, "id")
    page = list(keys[:PAGE])
    while page:
        yield from page
        last = page[-1]
        behind = Q(pk__gt=last.pk)
        if moment:
            value = getattr(last, moment)
            behind = Q(**{f"{moment}__gte": value}) & (behind | Q(**{f"{moment}__gt": value}))
        page = list(keys.filter(behind)[:PAGE])
