import sys
from argparse import ArgumentTypeError
from contextlib import ExitStack
from datetime import datetime
from typing import Any, TextIO

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from keygen_site.db.uuids import parse_uuid
from keygen_site.management.options import name, path
from licensing.models import Policy
from pools.key_files import FORMATS, escape_text, serialize_keys
from pools.management.pool_command import PoolCommand
from pools.models import KeyImport
from pools.services.exports import EXPORT_STATES, export_keys


class Command(PoolCommand):
    """Exports the keys of a pool as text, CSV or NDJSON. The command import_keys can read the file.

    The export is recorded in the ledger, and its keys count as disclosed: they cannot be put back into their pool.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        self.add_policy(parser)
        parser.add_argument(
            "--state",
            choices=EXPORT_STATES,
            default=EXPORT_STATES[0],
            help="export keys in this state (default: available)",
        )
        parser.add_argument("--import", type=name, dest="key_import", help="export keys of this import: its id or name")
        parser.add_argument(
            "--since",
            type=parse_day_or_time,
            help="export keys popped, withdrawn or added at or after this day or time (UTC)",
        )
        parser.add_argument("--until", type=parse_day_or_time, help="export keys popped, withdrawn or added before it")
        parser.add_argument("--format", choices=FORMATS, default="csv", help="format of the file (default: csv)")
        parser.add_argument(
            "--formula-safe", action="store_true", help="keep spreadsheets from running keys such as =1+1 as formulas"
        )
        parser.add_argument("--output", type=path, metavar="FILE", help="write to this file, not to standard output")

    def handle(  # type: ignore[override]
        self,
        *,
        policy: str,
        account: str | None,
        state: str,
        key_import: str | None,
        since: datetime | None,
        until: datetime | None,
        format: str,
        formula_safe: bool,
        output: str | None,
        **options: Any,
    ) -> None:
        if output is not None:
            self.check_output("--output", output)
        pooled_policy = self.find_policy(policy=policy, account=account)
        keys = export_keys(
            policy=pooled_policy,
            audit=self.audit,
            state=state,
            key_import=None if key_import is None else self.find_import(pooled_policy, key_import),
            since=since,
            until=until,
        )
        with ExitStack() as stack:
            out: TextIO = sys.stdout
            if output is not None:
                try:
                    out = open(output, "w", encoding="utf-8", newline="")  # noqa: SIM115 `stack` closes it
                except OSError as error:
                    raise CommandError(f"{escape_text(output)}: {error.strerror}") from None
                stack.enter_context(out)
            for lines in serialize_keys(keys, format, formula_safe):
                out.write(lines)

    def find_import(self, policy: Policy, text: str) -> KeyImport:
        uuid = parse_uuid(text)
        found = list(policy.key_imports.filter(**({"pk": uuid} if uuid else {"name": text}))[:2])
        if len(found) != 1:
            raise CommandError(
                f"{'Several imports have' if found else 'No import has'} the name {text!r}.", returncode=2
            )
        return found[0]


def parse_day_or_time(text: str) -> datetime:
    """A day or time, in UTC unless it has an offset."""
    error = ArgumentTypeError(f"{text!r} is not a day or time such as 2026-01-31 or 2026-01-31T12:00:00Z")
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
    except ValueError:
        raise error from None
    if found is None:
        raise error
    return timezone.make_aware(found) if timezone.is_naive(found) else found
