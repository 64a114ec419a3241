import sys
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.management.options import name, path
from pools.key_files import WRITTEN_FORMATS, serialize_keys
from pools.management.pool_command import (
    EXIT_NOT_WRITTEN,
    PoolCommand,
    discard_stdout,
    open_output,
    parse_day_or_time,
)
from pools.services.exports import EXPORT_STATES, export_keys


class Command(PoolCommand):
    """Exports the keys of a pool as text, CSV or NDJSON. The command import_keys can read the file.

    The export is recorded in the ledger, and its keys count as disclosed: they cannot be put back into their pool. The
    file is UTF-8 in any locale. Exit codes: 5 the output failed, after some or all keys were disclosed; export again.
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
        parser.add_argument(
            "--format", choices=WRITTEN_FORMATS, default="csv", help="format of the file (default: csv)"
        )
        parser.add_argument(
            "--formula-safe", action="store_true", help="keep spreadsheets from running keys such as =1+1 as formulas"
        )
        parser.add_argument("--output", type=path, metavar="FILE", help="write to this file, not to standard output")
        parser.add_argument("--force", action="store_true", help="replace an existing --output file")

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
            self.check_output("--output", output, force=options["force"])
        elif sys.stdout is None:
            raise CommandError("Standard output is closed, so nothing was exported.")
        pooled_policy = self.find_policy(policy=policy, account=account)
        found_import = None if key_import is None else self.find_import(pooled_policy, key_import)

        def read_lines() -> Iterator[str]:
            keys = export_keys(
                policy=pooled_policy, audit=self.audit, state=state, key_import=found_import, since=since, until=until
            )
            return serialize_keys(keys, format, formula_safe)

        if output is not None:
            with open_output(output, force=options["force"]) as out:
                out.writelines(read_lines())
            return
        try:
            for lines in read_lines():
                sys.stdout.buffer.write(lines.encode())
            sys.stdout.buffer.flush()
        except OSError as error:
            discard_stdout()
            raise CommandError(
                f"The export broke off: {error.strerror}. The keys so far count as disclosed. Export them again.",
                returncode=EXIT_NOT_WRITTEN,
            ) from None
