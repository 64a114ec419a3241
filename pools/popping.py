"""Popping the next key of a pool, so that no two callers ever get the same key.

A pop is one UPDATE of one row. On PostgreSQL it skips keys that other transactions have locked, so that callers do not
wait for each other, and the same statement writes the ledger. SQLite has one writer at a time, so two statements in a
transaction are enough.

Keys that moved in from another server come first, in the order of their places, then the others, in the order of their
ids. The first part of most pools is empty, as is its index.

A pool is empty only if no key is available **and** none is locked: the transaction that locks a key may still roll
back. So the second statement waits for locked keys, and a last query makes sure that no key was added meanwhile.
"""

import time
from collections.abc import Callable, Sequence
from functools import cache, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

from cachetools import LRUCache
from django.db import DEFAULT_DB_ALIAS, connection, transaction
from prometheus_client import Counter

from accounts.audit import AuditContext
from keygen_site.db.compiled_queries import Statement, row_builder
from licensing.models import License, Policy
from pools.models.key_events import KeyEvent
from pools.models.key_imports import KeyImport

if TYPE_CHECKING:
    from pools.models.keys import Key

POPPED = Counter("keygen_pool_popped", "Keys taken out of a pool, issued ones too.", ["policy"])


class Position(NamedTuple):
    """A position in a pool: after the moved key of a place, or after all of them and the key of an id."""

    place: int
    key_id: UUID


LAST_PLACE = 2**63 - 1  # after all places
START = Position(-1, UUID(int=0))  # before all places and ids
MIN_HINT_SECONDS, MAX_HINT_SECONDS = 1.0, 5.0
# A scan from the start of the pool is slow while an old snapshot is open. It takes at most a twentieth of the time.
HINT_SECONDS_PER_SCAN_SECOND = 20
MAX_HINTS = 10_000


class Hint(NamedTuple):
    """The key of a pool that this process popped last.

    The next pop starts after it and so skips the dead index entries of the keys popped before. Until the hint expires,
    a key that comes back before it (after a return, or a rollback in another process) is overtaken.
    """

    position: Position
    expires: float  # by time.monotonic()


# A TLRUCache, which expires its items itself, takes more than twice as long.
_hints: LRUCache[UUID, Hint] = LRUCache(MAX_HINTS)
_hints_lock = Lock()

_after_pop: list[Callable[[Policy], None]] = []
_when_empty: list[Callable[[Policy], None]] = []


def run_after_pop(function: Callable[[Policy], None]) -> None:
    """Register a function that gets the policy after the commit of each pop. If it fails, the key stays popped."""
    _after_pop.append(function)


def run_when_empty(function: Callable[[Policy], None]) -> None:
    """Register a function that gets the policy whenever a pop finds its pool empty, before the caller rolls back."""
    _when_empty.append(function)


def pop_next_key(
    model: type["Key"], policy: Policy, audit: AuditContext, license: License | None = None
) -> "Key | None":
    """Pop the next key of a policy's pool, write the ledger, and return the key. None if the pool is empty.

    Raises:
        OperationalError: another transaction locked a key for longer than the setting LOCK_TIMEOUT.
    """
    kind = KeyEvent.Event.ISSUED if license else KeyEvent.Event.POPPED
    event = KeyEvent.about(kind, model(policy=policy), audit, license_id=license.pk if license else None)
    event.updated = event.created
    pop = _pop_postgresql if connection.vendor == "postgresql" else _pop_sqlite
    began = time.monotonic()
    key = pop(model, policy, event)
    if key:
        key.policy = policy
        _follow_up(key, began)
    else:
        for function in _when_empty:
            function(policy)
    return key


def pop_of_found_policy(
    model: type["Key"], policy_id: UUID, find: Statement[Policy], audit: AuditContext
) -> "Key | None":
    """Pop the next key of a pool in the same statement that finds its policy. PostgreSQL only.

    Args:
        find: the query that finds the policy, if the bearer may see it.

    Returns:
        The key with its policy; None if that was not found, has no pool, or no key was free: `pop_next_key` says which.
    """
    event = KeyEvent(event=KeyEvent.Event.POPPED, policy_id=policy_id, **audit.as_dict())
    event.updated = event.created
    hint = _find_hint(policy_id)
    began = time.monotonic()
    key = _execute(model, event, hint.position if hint else START, "FOR UPDATE SKIP LOCKED", find)
    if key:
        _follow_up(key, began)
    return key


def _follow_up(key: "Key", began: float) -> None:
    """Schedule the work after the commit of a pop that began at a time of `time.monotonic()`."""
    # Only after the commit: after a rollback the same key must be the next again.
    transaction.on_commit(partial(_record_pop, key.policy_id, _position_of(key), time.monotonic() - began))
    for function in _after_pop:
        _call_after_commit(function, key.policy)


def forget_hints(policy: Policy | None = None) -> None:
    """Make the next pop in this process start at the beginning of the pool, or of all pools: a key came back."""
    with _hints_lock:
        if policy is None:
            _hints.clear()
        else:
            _hints.pop(policy.pk, None)


def _pop_postgresql(model: type["Key"], policy: Policy, event: KeyEvent) -> "Key | None":
    hint = _find_hint(policy.pk)
    if hint and (key := _execute(model, event, after=hint.position, locking="FOR UPDATE SKIP LOCKED")):
        return key
    while True:
        # First the keys that are not locked, then the locked ones, by waiting.
        for locking in ("FOR UPDATE SKIP LOCKED", "FOR UPDATE"):
            if key := _execute(model, event, locking=locking):
                return key
        if not model.objects.for_policy(policy.pk).available().values_list("pk").first():
            return None


def _pop_sqlite(model: type["Key"], policy: Policy, event: KeyEvent) -> "Key | None":
    with transaction.atomic():  # IMMEDIATE: no other connection can write
        key = _execute(model, event)
        if key:
            event.key, event.key_digest = key, key.digest
            event.save(force_insert=True)
    return key


def _execute(
    model: type["Key"],
    event: KeyEvent,
    after: Position = START,
    locking: str = "",
    find_policy: Statement[Policy] | None = None,
) -> "Key | None":
    sql = _statement(model, connection.vendor, locking, find_policy.sql if find_policy else "")
    fields: Sequence[Any] = KeyEvent._meta.concrete_fields
    values = {field.column: field.get_db_prep_save(getattr(event, field.attname), connection) for field in fields}
    values["after_id"] = model._meta.pk.get_db_prep_save(after.key_id, connection)
    values["after_place"] = after.place
    values["actor"] = event.actor
    if find_policy:
        values |= {f"policy_{number}": value for number, value in enumerate(find_policy.parameters)}
    columns, build_key = _columns(model)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    if row is None:
        return None
    key = build_key(row[: len(columns)])
    if find_policy:
        key.policy = find_policy.build_row(row[len(columns) :])
    return key


@cache
def _columns(model: type["Key"]) -> "tuple[list[str], Callable[[Sequence[Any]], Key]]":
    """The names of a key's columns, and a function that makes a key from a row of them."""
    return row_builder(model.objects.order_by(), DEFAULT_DB_ALIAS)


@cache
def _statement(model: type["Key"], vendor: str, locking: str, find_policy: str = "") -> str:
    """The SQL of a pop. Its parameters have the names of the ledger's columns.

    Args:
        find_policy: the SQL of a query for the policy. Its parameters are then `policy_0` and so on.
    """
    keys, events = model._meta.db_table, KeyEvent._meta.db_table
    # `id = (SELECT …)`, not `IN`: a plan may run the subquery of an IN several times, and then it takes several keys.
    # The condition by policy is a range for the reason that `KeyQuerySet.for_policy` gives.
    # On PostgreSQL an import is one transaction, so its unpublished keys are invisible.
    unpublished = (
        ""
        if vendor == "postgresql"
        else f"""
                AND (key_import_id IS NULL OR key_import_id NOT IN (
                    SELECT id FROM {KeyImport._meta.db_table} WHERE loading IS NOT NULL
                ))"""
    )
    waiting = f"popped IS NULL AND withdrawn IS NULL{unpublished}"
    found = "AND EXISTS (SELECT FROM policy WHERE use_pool)" if find_policy else ""
    # The caller sees the key. An earlier disclosure, such as an export, stays: such a key is never returned.
    update = f"""
        UPDATE {keys} SET
            popped = %(created)s,
            disclosed = COALESCE(disclosed, %(created)s),
            disclosure = COALESCE(disclosure, %(event)s),
            disclosed_to = COALESCE(disclosed_to, %(actor)s)
        WHERE id = COALESCE((
            SELECT id FROM {keys}
            WHERE (policy_id, place) > (%(policy_id)s, %(after_place)s) AND policy_id <= %(policy_id)s
                AND place IS NOT NULL AND {waiting} {found}
            ORDER BY policy_id, place LIMIT 1 {locking}
        ), (
            SELECT id FROM {keys}
            WHERE (policy_id, id) > (%(policy_id)s, %(after_id)s) AND policy_id <= %(policy_id)s
                AND place IS NULL AND {waiting} {found}
            ORDER BY policy_id, id LIMIT 1 {locking}
        ))
        RETURNING {", ".join(_columns(model)[0])}
    """
    if vendor != "postgresql":
        return update
    columns = [str(field.column) for field in KeyEvent._meta.concrete_fields]
    selected = {"key_id": "popped_key.id", "key_digest": "popped_key.digest"}
    with_policy = ""
    if find_policy:
        names = [f"%(policy_{number})s" for number in range(find_policy.count("%s"))]
        with_policy = f"policy AS ({find_policy % tuple(names)}),"
        selected |= {"account_id": "policy.account_id", "product_id": "policy.product_id"}
    values = ", ".join(selected.get(column, f"%({column})s") for column in columns)
    source = "popped_key, policy" if find_policy else "popped_key"
    return f"""
        WITH {with_policy} popped_key AS ({update}), written AS (
            INSERT INTO {events} ({", ".join(columns)}) SELECT {values} FROM {source}
        )
        SELECT * FROM {source}
    """


def _call_after_commit(function: Callable[[Policy], None], policy: Policy) -> None:
    # Not a partial: if a robust function fails, Django logs its `__qualname__`.
    transaction.on_commit(lambda: function(policy), robust=True)


def _find_hint(policy_id: UUID) -> Hint | None:
    with _hints_lock:
        hint = _hints.get(policy_id)
    return hint if hint and time.monotonic() < hint.expires else None


def _position_of(key: "Key") -> Position:
    return Position(LAST_PLACE, key.pk) if key.place is None else Position(key.place, START.key_id)


def _record_pop(policy_id: UUID, position: Position, seconds: float) -> None:
    """Count a pop, and keep its key as the hint for the next one.

    Args:
        seconds: the duration of the pop.
    """
    POPPED.labels(str(policy_id)).inc()
    if hint := _find_hint(policy_id):
        # It keeps its expiry: the pool is scanned from its start now and then, also under a steady load.
        hint = Hint(max(hint.position, position), hint.expires)
    else:
        # This pop scanned the pool from its start, in so many seconds.
        duration = max(MIN_HINT_SECONDS, min(HINT_SECONDS_PER_SCAN_SECOND * seconds, MAX_HINT_SECONDS))
        hint = Hint(position, time.monotonic() + duration)
    with _hints_lock:
        _hints[policy_id] = hint
