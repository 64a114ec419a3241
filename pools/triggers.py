"""Database triggers that keep the text of a used key or license when its row is deleted or gets another text.

They are in the database because rows are deleted in many ways: by the API and the console, by the cascades of policies,
products, users and accounts, and by SQL. No code has to remember to write a `UsedText`. (TRUNCATE on PostgreSQL fires
no row triggers: do not use it on tables that are in use.)

SQLite drops the triggers of a table that Django rebuilds, which it does for most changes of a column. A migration that
changes `pools_key`, `licensing_license` or `pools_usedtext` therefore runs `drop_triggers` before and
`create_triggers` after. `pools.checks` and a test report missing triggers.
"""

from typing import NamedTuple

from django.db.backends.base.base import BaseDatabaseWrapper

INSERT_SQL = """
    INSERT INTO pools_usedtext (account_id, digest, kind, created) {rows}
    ON CONFLICT (account_id, digest) DO UPDATE SET kind = excluded.kind
    WHERE excluded.kind = 'key' AND pools_usedtext.kind <> 'key';
"""


class Trigger(NamedTuple):
    """A trigger that keeps the old text of a row.

    Attributes:
        name: of the trigger, and on PostgreSQL of its function.
        event: the change of the row that fires the trigger, in SQL.
        table: the table of the row.
        kind: the kind of the `UsedText`.
        condition: when the text counts as used, in SQL of both databases; `{old}` is the row before the change.
    """

    name: str
    event: str
    table: str
    kind: str
    condition: str

    def values(self, old: str, now: str) -> str:
        """The values of the new `UsedText`, in SQL."""
        return f"{old}.account_id, {old}.digest, '{self.kind}', {now}"


_USED = "({old}.popped IS NOT NULL OR {old}.withdrawn IS NOT NULL OR {old}.disclosed IS NOT NULL)"
_CHANGED = "{old}.digest <> NEW.digest"
TRIGGERS = (
    Trigger("pools_used_key_deleted", "DELETE", "pools_key", "key", _USED),
    Trigger("pools_used_key_changed", "UPDATE OF digest", "pools_key", "key", f"{_CHANGED} AND {_USED}"),
    Trigger("pools_used_license_deleted", "DELETE", "licensing_license", "license", "true"),
    Trigger("pools_used_license_changed", "UPDATE OF digest", "licensing_license", "license", _CHANGED),
)


def create_triggers(connection: BaseDatabaseWrapper) -> None:
    """Create the triggers. Those that exist are replaced."""
    drop_triggers(connection)
    statements = _postgresql if connection.vendor == "postgresql" else _sqlite
    with connection.cursor() as cursor:
        for trigger in TRIGGERS:
            for sql in statements(trigger):
                cursor.execute(sql)


def drop_triggers(connection: BaseDatabaseWrapper) -> None:
    """Drop the triggers that exist."""
    with connection.cursor() as cursor:
        for trigger in TRIGGERS:
            if connection.vendor == "postgresql":
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger.name} ON {trigger.table}")
                cursor.execute(f"DROP FUNCTION IF EXISTS {trigger.name}()")
            else:
                cursor.execute(f"DROP TRIGGER IF EXISTS {trigger.name}")


def _postgresql(trigger: Trigger) -> list[str]:
    if trigger.event == "DELETE":
        # A trigger per statement that inserts in the order of the index: with a trigger per row, deleting a pool of
        # used keys takes three times as long. The order also prevents a deadlock of two deletions.
        condition = trigger.condition.format(old="gone")
        rows = f"SELECT {trigger.values('gone', 'clock_timestamp()')} FROM gone WHERE {condition} ORDER BY gone.digest"
        when = "REFERENCING OLD TABLE AS gone FOR EACH STATEMENT"
    else:
        # PostgreSQL has no transition table for the updates of one column.
        rows = f"VALUES ({trigger.values('OLD', 'clock_timestamp()')})"
        when = f"FOR EACH ROW WHEN ({trigger.condition.format(old='OLD')})"
    return [
        f"CREATE FUNCTION {trigger.name}() RETURNS trigger LANGUAGE plpgsql"
        f" AS $$ BEGIN {INSERT_SQL.format(rows=rows)} RETURN NULL; END $$",
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table} {when}"
        f" EXECUTE FUNCTION {trigger.name}()",
    ]


def _sqlite(trigger: Trigger) -> list[str]:
    # In the format of Django's timestamps.
    now = "strftime('%Y-%m-%d %H:%M:%f', 'now')"
    rows = f"VALUES ({trigger.values('OLD', now)})"
    return [
        f"CREATE TRIGGER {trigger.name} AFTER {trigger.event} ON {trigger.table}"
        f" FOR EACH ROW WHEN {trigger.condition.format(old='OLD')} BEGIN {INSERT_SQL.format(rows=rows)} END"
    ]


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
