"""Records the answers of the server to thousands of fixed requests, and compares two recordings.

    python -m tests.answers record FILE [--database postgresql|sqlite]
    python -m tests.answers compare BEFORE AFTER [--rename OLD=NEW ...]

`record` replays the same requests on an empty database, in process: every route and method as every kind of bearer,
every version of the API, filters, pages, headers, broken documents, stories of keys, licenses and users, the console's
pages and forms, and the commands of manage.py. FILE gets a line of JSON for each response: method, path, status,
headers, body. The clock stands still, and everything random is replaced by names and numbers, so two recordings of
the same code are equal byte by byte, and a refactoring that changes nothing leaves the file as it was.

`compare` shows the differences, equal ones together, and ends with 1 if there are any. `--rename` replaces a
text in BEFORE, for names that were changed on purpose, such as those in the console's addresses.

Everything is made and asked through HTTP and manage.py, so that the tool depends on nothing inside the server.
PostgreSQL is started as for the tests; one of your own is used when DATABASE_URL names an empty database of it.
"""

import argparse
import json
import logging
import os
import re
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.answers.compare import compare

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "keygen_site.settings",
    "ENV_FILE": os.devnull,
    "SECRET_KEY": "for-recording-only-and-long-enough-that-nothing-complains-about-it",
    "ALLOWED_HOSTS": "testserver",
    "REQUIRE_SECOND_FACTOR": "none",
    "SIGN_UP": "true",
    "SIGN_UPS_PER_HOUR": "0",
    "METRICS_TOKEN": "for-metrics",
    "LOG_LEVEL": "ERROR",
    "REVISION": "recorded",
    "DJANGO_SUPERUSER_PASSWORD": "open sesame",
    "COLUMNS": "120",
    "NO_COLOR": "1",
}


def record(file: str, database: str) -> None:
    """Record the answers on an empty database."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="answers-"))
        url = os.environ.get("DATABASE_URL", "")
        if database == "sqlite":
            url = f"sqlite:///{folder}/answers.sqlite3"
        elif not url.startswith("postgres"):
            from benchmarks.testbed.postgresql import postgresql_server

            url = stack.enter_context(postgresql_server())
        for name in re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE):
            os.environ.pop(name, None)  # settings of the shell would change the answers
        os.environ.update(ENVIRONMENT, DATABASE_URL=url)
        records = recorded(folder)
    lines = sorted(json.dumps({"id": name, **content}, ensure_ascii=False) for name, content in records.items())
    Path(file).write_text("".join(f"{line}\n" for line in lines))
    print(f"{len(lines)} records")


def recorded(folder: str) -> dict:
    """The records by their id; the environment names the database."""
    from tests.answers.recording import START, Recorder, predictable_ids, time_machine

    predictable_ids()
    import django

    django.setup()
    logging.disable(logging.WARNING)
    from django.core.management import call_command
    from django.test import override_settings

    from tests.answers import api, commands, console, world

    fast = {"PASSWORD_HASHERS": ["django.contrib.auth.hashers.MD5PasswordHasher"]}
    with time_machine.travel(START, tick=False) as clock, override_settings(**fast):
        call_command("migrate", verbosity=0)
        recorder = Recorder(clock)
        world.build(recorder)
        api.record(recorder)
        console.record(recorder)
        commands.record(recorder, folder)
    return recorder.records


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.answers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    verbs = parser.add_subparsers(dest="verb", required=True)
    recording = verbs.add_parser("record")
    recording.add_argument("file")
    recording.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    comparing = verbs.add_parser("compare")
    comparing.add_argument("before")
    comparing.add_argument("after")
    comparing.add_argument("--rename", action="append", default=[], metavar="OLD=NEW")
    args = parser.parse_args()
    if args.verb == "compare":
        return int(compare(args.before, args.after, args.rename) > 0)
    record(args.file, args.database)
    return 0


if __name__ == "__main__":
    sys.exit(main())
