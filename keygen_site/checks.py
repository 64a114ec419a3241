"""System checks for settings and database parameters that could lose or reorder keys.

`manage.py check --deploy --database default` runs all of them. `manage.py migrate` runs those of the database, and
stops at an error.
"""

import os
import time
from collections.abc import Sequence
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, OperationalError, ProgrammingError, connections

from keygen_site.db.key_digests import IN_CLEAR, KeyEncryptionError, read_digest_key
from keygen_site.encryption import keyring
from keygen_site.security_checks import is_public

EARLIEST_TIME = 1_767_225_600  # 2026-01-01, in seconds since 1970: a clock that shows an earlier time is wrong
# The difference of the clocks of this machine and of the database's, from which it is a warning or an error.
WARNING_SKEW_SECONDS = 2
ERROR_SKEW_SECONDS = 60


@register(deploy=True)
def check_database_for_many(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report SQLite on a public server: a second machine would have a file of its own, with the same keys."""
    if connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        return []
    hint = "Use PostgreSQL (DATABASE_URL=postgres://…), or make sure that this is the only machine and has backups."
    message = "SQLite serves one machine only: a second one would hand out the same keys again."
    return [Warning(message, hint=hint, id="keygen.W001")] if is_public() else []


@register(deploy=True)
def check_metrics(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report metrics without a shared folder: each process would show its own numbers only."""
    if settings.METRICS_TOKEN and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        hint = "Set PROMETHEUS_MULTIPROC_DIR to an empty folder that the server may write to."
        return [Warning("/metrics shows the numbers of one process only.", hint=hint, id="keygen.W002")]
    return []


@register
def check_clock(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report a clock that is years slow: ids begin with the time, and the order of a pool is that of its ids."""
    if time.time() >= EARLIEST_TIME:
        return []
    hint = "Synchronize the clock (NTP): ids begin with the time, and the order of a pool is that of its ids."
    return [Error("The clock of this machine is years slow.", hint=hint, id="keygen.E002")]


@register
def check_encryption(app_configs: Any, **options: Any) -> list[CheckMessage]:
    """Report an encryption key that the database needs and that is missing or wrong.

    Reports nothing if the database cannot be reached or has no tables yet.
    """
    connection = connections[DEFAULT_DB_ALIAS]
    if connection.vendor == "sqlite" and not os.path.exists(connection.settings_dict["NAME"]):
        return []
    try:
        _, ids = read_digest_key(connection)
    except KeyEncryptionError as error:
        hint = "See docs/operations.md, “Encryption at rest”."
        return [Error(str(error), hint=hint, id="keygen.E003")]
    except (OperationalError, ProgrammingError):
        return []
    if keyring().current and IN_CLEAR in ids:
        hint = "Run `manage.py rotate_key_encryption`."
        return [Warning("Some secrets in the database may be in clear.", hint=hint, id="keygen.W006")]
    return []


@register(Tags.database)
def check_database(app_configs: Any, databases: Sequence[str] | None = None, **options: Any) -> list[CheckMessage]:
    """Report parameters of PostgreSQL that could lose committed keys or wait forever, and a clock unlike ours."""
    problems: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                problems += check_durability(cursor) + check_limits(cursor) + check_clocks(cursor)
    return problems


def check_durability(cursor: Any) -> list[CheckMessage]:
    """Report parameters with which a power cut could undo a pop whose response was sent."""
    names = ("synchronous_commit", "fsync", "full_page_writes")
    hint = "Set it to on in postgresql.conf, and for the role and the database if it is off there (ALTER ROLE … SET)."
    message = "PostgreSQL runs with {}=off: a key that was handed out could be available again after a crash."
    return [
        Error(message.format(name), hint=hint, id="keygen.E010")
        for name in names
        if _read_parameter(cursor, name) == "off"
    ]


def check_limits(cursor: Any) -> list[CheckMessage]:
    """Report a missing `lock_timeout`. Through a pooler the server cannot set it: it must be set for the role."""
    if _read_parameter(cursor, "lock_timeout") != "0":
        return []
    from keygen_site.db.session_limits import request_limits

    cursor.execute("SELECT quote_ident(current_user), quote_ident(current_database())")
    role, database = cursor.fetchone()
    alter = f"ALTER ROLE {role} IN DATABASE {database} SET"
    hint = " ".join(f"{alter} {name} = {value};" for name, value in request_limits().items())
    return [Error("Statements wait for locks without a limit (lock_timeout is 0).", hint=hint, id="keygen.E011")]


def check_clocks(cursor: Any) -> list[CheckMessage]:
    """Report clocks that differ: the servers would not agree on the order of keys added at the same time."""
    began = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    database_time, ended = float(cursor.fetchone()[0]), time.time()
    skew = max(began - database_time, database_time - ended, 0)
    if skew <= WARNING_SKEW_SECONDS:
        return []
    message = f"The clocks of this machine and of the database differ by {skew:.0f} seconds."
    hint = "Synchronize both (NTP): ids begin with the time, and the order of a pool is that of its ids."
    if skew > ERROR_SKEW_SECONDS:
        return [Error(message, hint=hint, id="keygen.E012")]
    return [Warning(message, hint=hint, id="keygen.W012")]


def _read_parameter(cursor: Any, name: str) -> str:
    cursor.execute("SELECT current_setting(%s)", [name])
    return cursor.fetchone()[0]
