"""Database triggers that keep the text of a used key or license when its row is deleted or gets another text.

They are in the database because rows go in many ways: by the API and the console, by the cascades of policies,
products, users and accounts, by SQL. No code has to remember to write a `UsedText`, and none can go past it. (TRUNCATE
on PostgreSQL fires no trigger for rows: it is not for tables that are in use.)

SQLite drops the triggers of a table that Django remakes, which it does for most changes of a column. A migration that
changes `pools_key`, `licensing_license` or `pools_usedtext` therefore runs `drop_triggers` before and
`create_triggers` after. `pools.checks` and a test notice when a trigger is missing.
"""

from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

FUNCTION = "pools_remember_used_text"

INSERT = """
    INSERT INTO pools_usedtext (account_id, digest, kind, created) VALUES (OLD.account_id, OLD.digest, {kind}, {now})
    ON CONFLICT (account_id, digest) DO UPDATE SET kind = excluded.kind
    WHERE excluded.kind = 'key' AND pools_usedtext.kind <> 'key';
"""


class Trigger(NamedTuple):
    """A trigger that keeps the old text of a row.

    Attributes:
        name: of the trigger.
        event: what happens to the row, in SQL.
        table: where.
        kind: of the `UsedText`.
        condition: when the text counts as used, in SQL of both databases.
    """

    name: str
    event: str
    table: str
    kind: str
    condition: str


_USED = "(OLD.popped IS NOT NULL OR OLD.withdrawn IS NOT NULL OR OLD.disclosed IS NOT NULL)"
_CHANGED = "OLD.digest <> NEW.digest"
TRIGGERS = (
    Trigger("pools_used_key_deleted", "DELETE", "pools_key", "key", _USED),
    Trigger("pools_used_key_changed", "UPDATE OF digest", "pools_key", "key", f"{_CHANGED} AND {_USED}"),
    Trigger("pools_used_license_deleted", "DELETE", "licensing_license", "license", "true"),
    Trigger("pools_used_license_changed", "UPDATE OF digest", "licensing_license", "license", _CHANGED),
)


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers, also those that exist, as they are here."""
    drop_triggers(connection)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            insert = INSERT.format(kind="TG_ARGV[0]", now="clock_timestamp()")
            cursor.execute(
                f"CREATE FUNCTION {FUNCTION}() RETURNS trigger LANGUAGE plpgsql"
                f" AS $$ BEGIN {insert} RETURN NULL; END $$"
            )
        for trigger in TRIGGERS:
            if connection.vendor == "postgresql":
                act = f"EXECUTE FUNCTION {FUNCTION}('{trigger.kind}')"
            else:
                # As Django writes a timestamp.
                insert = INSERT.format(kind=f"'{trigger.kind}'", now="strftime('%Y-%m-%d %H:%M:%f', 'now')")
                act = f"BEGIN {insert} END"
            cursor.execute(
                f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table}"
                f" FOR EACH ROW WHEN ({trigger.condition}) {act}"
            )


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Drop those of the triggers that exist."""
    with connection.cursor() as cursor:
        for trigger in TRIGGERS:
            on = f" ON {trigger.table}" if connection.vendor == "postgresql" else ""
            cursor.execute(f"DROP TRIGGER IF EXISTS {trigger.name}{on}")
        if connection.vendor == "postgresql":
            cursor.execute(f"DROP FUNCTION IF EXISTS {FUNCTION}()")


def missing_triggers(connection: BaseDatabaseWrapper) -> list[str]:
    """The names of the triggers that a database lacks, or that are disabled there."""
    if connection.vendor == "postgresql":
        sql = "SELECT tgname, tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal AND tgenabled <> 'D'"
    else:
        sql = "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger'"
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found = set(cursor.fetchall())
    return [trigger.name for trigger in TRIGGERS if (trigger.name, trigger.table) not in found]
