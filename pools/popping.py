"""Taking a waiting key, so that no two callers ever hold the same one.

The claim is one UPDATE of one row. On PostgreSQL keys that other transactions hold are skipped, so callers do
not queue behind each other, and the line of the ledger is written by the same statement. SQLite has one writer
at a time, so its claim is the UPDATE alone.

*Empty* is answered only when nothing waits **and** nothing is held: a holder may still roll back and put its key
back, so the second look waits for holders, and a last one makes sure that nothing came meanwhile.
"""

import time
from functools import cache
from uuid import UUID

from django.db import connections, transaction
from prometheus_client import Counter

from keygen_site.db.compiled_queries import row_builder
from pools.models.key_events import KeyEvent
from pools.models.key_imports import KeyImport

POPPED = Counter("keygen_pool_popped", "Keys taken out of a pool, issued ones too.", ["policy"])

START = UUID(int=0)  # before all ids
HINT_SECONDS = 1.0
# With an old snapshot open the way from the start is long: no more than a twentieth of the time is spent on it.
LOOK_SHARE, MOST_HINT_SECONDS = 20, 5.0
MOST_HINTS = 10_000

# policy id -> (id of the key that this process popped last from its pool, when the hint is to be forgotten).
# A claim that begins behind it does not walk over the dead index entries of keys already popped. A key that comes
# back before the hint (a rollback elsewhere, a return) is overtaken for HINT_SECONDS, or LOOK_SHARE times as long as
# it took to find the first key of the pool.
_hints = {}


def claim(model, policy, audit, license=None, using="default"):
    """Mark the next key of a policy's pool as popped, write the ledger, and return the key; None if all are gone.

    Raises:
        OperationalError: a held key was waited for longer than the setting LOCK_TIMEOUT.
    """
    kind = KeyEvent.Event.ISSUED if license else KeyEvent.Event.POPPED
    event = KeyEvent.about(kind, model(policy=policy), audit, license_id=license and license.pk)
    event.updated = event.created
    claimed = _claim_postgresql if connections[using].vendor == "postgresql" else _claim_sqlite
    began = time.monotonic()
    key = claimed(model, policy, event, using)
    seconds = time.monotonic() - began
    if key:
        key.policy = policy
        # Only a pop that stands may move the start: after a rollback the same key must be the next again.
        transaction.on_commit(lambda: _popped(policy.pk, key.pk, seconds), using=using)
    return key


def forget_hints(policy=None):
    """Let the next claim in this process begin at the start of the pool (of all pools): a key came back."""
    if policy is None:
        _hints.clear()
    else:
        _hints.pop(policy.pk, None)


def _claim_postgresql(model, policy, event, using):
    hint = _hint(policy.pk)
    if hint and (key := _update(model, event, using, after=hint, locking="FOR UPDATE SKIP LOCKED")):
        return key
    while True:
        # Those that are free; then those held, by waiting for their holders.
        for locking in ("FOR UPDATE SKIP LOCKED", "FOR UPDATE"):
            if key := _update(model, event, using, locking=locking):
                return key
        if not model.objects.using(using).for_policy(policy.pk).available().values_list("pk").first():
            return None


def _claim_sqlite(model, policy, event, using):
    with transaction.atomic(using=using):  # IMMEDIATE: whoever is here is the only writer
        key = _update(model, event, using)
        if key:
            event.key, event.key_digest = key, key.digest
            event.save(using=using, force_insert=True)
    return key


def _update(model, event, using, after=START, locking=""):
    connection = connections[using]
    sql = _statement(model, using, connection.vendor, locking)
    values = {
        field.column: field.get_db_prep_save(getattr(event, field.attname), connection)
        for field in KeyEvent._meta.concrete_fields
    }
    values["after"] = model._meta.pk.get_db_prep_save(after, connection)
    _, build = _columns(model, using)
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        row = cursor.fetchone()
    return row and build(row)


@cache
def _columns(model, using):
    """The names of a key's columns, and what makes a row of them into a key."""
    return row_builder(model.objects.using(using).order_by(), using)


@cache
def _statement(model, using, vendor, locking):
    """The claim, with the parameters named as the columns of the ledger."""
    keys, events = model._meta.db_table, KeyEvent._meta.db_table
    # `id = (SELECT …)`, not `IN`: a plan may run an IN several times, and then it takes several keys. The policy is a
    # range and in the order for the reason that `KeyQuerySet.of_policy` gives.
    # On PostgreSQL an import is one transaction, and what it has not published is not seen anyway.
    unpublished = (
        ""
        if vendor == "postgresql"
        else f"""
                AND (key_import_id IS NULL OR key_import_id NOT IN (
                    SELECT id FROM {KeyImport._meta.db_table} WHERE loading IS NOT NULL
                ))"""
    )
    update = f"""
        UPDATE {keys} SET popped = %(created)s
        WHERE id = (
            SELECT id FROM {keys}
            WHERE (policy_id, id) > (%(policy_id)s, %(after)s) AND policy_id <= %(policy_id)s
                AND popped IS NULL AND withdrawn IS NULL{unpublished}
            ORDER BY policy_id, id LIMIT 1 {locking}
        )
        RETURNING {", ".join(_columns(model, using)[0])}
    """
    if vendor != "postgresql":
        return update
    columns = [field.column for field in KeyEvent._meta.concrete_fields]
    from_key = {"key_id": "popped_key.id", "key_digest": "popped_key.digest"}
    values = ", ".join(from_key.get(column, f"%({column})s") for column in columns)
    return f"""
        WITH popped_key AS ({update}), written AS (
            INSERT INTO {events} ({", ".join(columns)}) SELECT {values} FROM popped_key
        )
        SELECT * FROM popped_key
    """


def _hint(policy_id):
    key_id, until = _hints.get(policy_id, (None, 0.0))
    return key_id if time.monotonic() < until else None


def _popped(policy_id, key_id, seconds):
    POPPED.labels(str(policy_id)).inc()
    _remember(policy_id, key_id, seconds)


def _remember(policy_id, key_id, seconds):
    known, until = _hints.get(policy_id, (None, 0.0))
    now = time.monotonic()
    if now >= until:
        # Measured from the first pop of a series, which began at the start of the pool and took so many seconds: under
        # a steady load, too, each pool is scanned from its start now and then.
        known, until = None, now + max(HINT_SECONDS, min(LOOK_SHARE * seconds, MOST_HINT_SECONDS))
    if len(_hints) >= MOST_HINTS and policy_id not in _hints:
        _hints.clear()
    _hints[policy_id] = (max(known, key_id) if known else key_id, until)
