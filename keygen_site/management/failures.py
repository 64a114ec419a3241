"""Explains in one or two lines why a command cannot run: settings, database, installation.

It does not import Django or the settings at the top: they may be the cause of the failure.
"""

import re
from pathlib import Path

ENV_EXAMPLE = Path(__file__).resolve().parent.parent.parent / ".env.example"
# Messages of the drivers for a missing table or column.
_NOT_MIGRATED = re.compile(r"no such (table|column)|relation \S+ does not exist|column \S+ does not exist")


def explain_failure(error: BaseException) -> str | None:
    """Explain an error that ended a command, with a way out. None for unexpected errors, which need a traceback."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError, ProgrammingError
    from environs import EnvValidationError

    match error:
        case EnvValidationError():
            return explain_settings(error.error_messages)
        case ImproperlyConfigured():
            return f"The settings are not usable: {error}"
        case OperationalError() | ProgrammingError():
            return explain_database(str(error))
    return None


def explain_settings(problems: object) -> str:
    """Each malformed or missing variable on a line, with an example of a valid value."""
    if not isinstance(problems, dict):
        return str(problems)
    examples = read_examples()
    lines = []
    for name, messages in sorted(problems.items()):
        text = " ".join(dict.fromkeys(str(message) for message in messages))
        example = f" Example: {name}={examples[name]}" if examples.get(name) else ""
        lines.append(f"{name}: {text}{example}")
    return "\n".join([*lines, "Set these in .env (start from a copy of .env.example) or in the environment."])


def read_examples() -> dict[str, str]:
    """The values of `.env.example`, by the names of their variables, also of those that are commented out."""
    try:
        lines = ENV_EXAMPLE.read_text().splitlines()
    except OSError:
        return {}
    examples = dict(re.findall(r"^#?([A-Z_]+)=(.*)$", "\n".join(lines), re.MULTILINE))
    # A secret that everyone knows is no example, and that of a database shows the other kind too.
    examples.pop("SECRET_KEY", None)
    return {**examples, "DATABASE_URL": "postgres://user:password@host:5432/name or sqlite:///db.sqlite3"}


def explain_database(text: str) -> str | None:
    """Why the database cannot be used, by the driver's message; None for any other error of a statement."""
    first = text.strip().splitlines()[0] if text.strip() else ""
    if _NOT_MIGRATED.search(text):
        return f"The database has not been migrated to this version ({first}). Run: python manage.py migrate"
    if "database is locked" in text or "lock timeout" in text or "deadlock detected" in text:
        return f"Another process writes to the database ({first}), so this one gave up. Run the command again."
    if "unable to open database file" in text or "readonly database" in text:
        return f"{first}: {_database_file()}. Check that the folder exists and that this user may write to it."
    if "password authentication failed" in text:
        return (
            f"{first}\nCheck the user and the password in DATABASE_URL. Write special characters of the password as "
            "percent codes: @ is %40, : is %3A, / is %2F."
        )
    if "does not exist" in text and "database" in text:
        return f"{first}\nCreate the database, or correct its name in DATABASE_URL."
    if any(
        words in text for words in ("connection failed", "could not connect", "connection to server", "Name or ser")
    ):
        return f"{_last_line(text)}\nThe database cannot be reached. Check that it runs, and the host in DATABASE_URL."
    return None


def _last_line(text: str) -> str:
    """The line of a message that has the reason; libpq lists each attempt before it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "failed" in line), lines[0]) if lines else ""


def _database_file() -> str:
    from django.conf import settings

    return str(settings.DATABASES["default"].get("NAME"))
