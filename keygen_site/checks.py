"""What would make this server lose keys or their order, said before it serves.

`manage.py check --deploy --database default` asks all of it. `manage.py migrate` asks what is about the database, and
stops at an error.
"""

import os
import time

from django.conf import settings
from django.core.checks import Error, Tags, Warning, register
from django.db import DEFAULT_DB_ALIAS, connections

EXAMPLE_SECRETS = ("replace-me", "for-debugging-only")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "testserver")
LONG_AGO = 1_767_225_600  # 2026-01-01: no clock that is right shows less
SECONDS_APART = 2  # how far the clocks of this machine and the database's may be apart, without harm
SECONDS_TOO_FAR = 60


@register(Tags.security, deploy=True)
def check_secret(app_configs, **options):
    """The secret is one of our own examples."""
    if settings.SECRET_KEY not in EXAMPLE_SECRETS:
        return []
    hint = 'Set SECRET_KEY to what `python3 -c "import secrets; print(secrets.token_urlsafe(50))"` prints.'
    return [Error("SECRET_KEY is an example that everybody knows.", hint=hint, id="keygen.E001")]


@register(deploy=True)
def check_database_for_many(app_configs, **options):
    """SQLite is one file on one machine; nothing stops a second machine from having a file of its own."""
    if connections[DEFAULT_DB_ALIAS].vendor != "sqlite":
        return []
    public = settings.BEHIND_TLS_PROXY or not set(settings.ALLOWED_HOSTS) <= set(LOOPBACK)
    hint = "Use PostgreSQL (DATABASE_URL=postgres://…), or make sure that this is the only machine and has backups."
    message = "SQLite serves one machine only: others would hand the same keys out again."
    return [Warning(message, hint=hint, id="keygen.W001")] if public else []


@register(deploy=True)
def check_metrics(app_configs, **options):
    """Without a folder that the processes share each of them tells its own numbers."""
    if settings.METRICS_TOKEN and "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        hint = "Set PROMETHEUS_MULTIPROC_DIR to an empty folder that the server may write to."
        return [Warning("/metrics shows the numbers of one process only.", hint=hint, id="keygen.W002")]
    return []


@register
def check_clock(app_configs, **options):
    """Ids begin with the time, and the order of a pool is that of its ids."""
    if time.time() >= LONG_AGO:
        return []
    hint = "Set the clock, and have it kept right (NTP): ids that begin with the time would not be in order."
    return [Error("The clock of this machine is years slow.", hint=hint, id="keygen.E002")]


@register(Tags.database)
def check_database(app_configs, databases=None, **options):
    """What PostgreSQL is set to must keep what it has promised, and its clock must be ours."""
    found = []
    for alias in databases or []:
        connection = connections[alias]
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                found += check_durability(cursor) + check_limits(cursor) + check_clocks(cursor)
    return found


def check_durability(cursor):
    """A pop that was answered must be there after a power cut, or the key is handed out again."""
    wrong = [name for name in ("synchronous_commit", "fsync", "full_page_writes") if _shown(cursor, name) == "off"]
    hint = "Set it to on in postgresql.conf, and for the role and the database if it is off there (ALTER ROLE … SET)."
    message = "PostgreSQL runs with {}=off: a key that was handed out could be back after a crash."
    return [Error(message.format(name), hint=hint, id="keygen.E010") for name in wrong]


def check_limits(cursor):
    """Through a pooler the server cannot set its sessions, and without a limit a pop could wait for ever."""
    if _shown(cursor, "lock_timeout") != "0":
        return []
    from keygen_site.db.session_limits import limits

    cursor.execute("SELECT quote_ident(current_user), quote_ident(current_database())")
    role, database = cursor.fetchone()
    alter = f"ALTER ROLE {role} IN DATABASE {database} SET"
    hint = " ".join(f"{alter} {name} = {value};" for name, value in limits().items())
    return [Error("Statements wait for locks for ever (lock_timeout is 0).", hint=hint, id="keygen.E011")]


def check_clocks(cursor):
    """Servers whose clocks differ do not agree on the order of keys that come in at the same time."""
    began = time.time()
    cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
    theirs, ended = float(cursor.fetchone()[0]), time.time()
    apart = max(began - theirs, theirs - ended, 0)
    if apart <= SECONDS_APART:
        return []
    message = f"The clocks of this machine and of the database's are {apart:.0f} seconds apart."
    hint = "Have both kept right (NTP): ids begin with the time, and the order of a pool is that of its ids."
    kind, id = (Error, "keygen.E012") if apart > SECONDS_TOO_FAR else (Warning, "keygen.W012")
    return [kind(message, hint=hint, id=id)]


def _shown(cursor, name):
    cursor.execute("SELECT current_setting(%s)", [name])
    return cursor.fetchone()[0]
