import sys
from contextlib import ExitStack
from datetime import datetime

from django.core.management.base import CommandError
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from keygen_site.db.uuids import parse_uuid
from keygen_site.management.options import name, path
from pools.key_files import FORMATS, escaped, serialize_keys
from pools.management.pool_command import PoolCommand
from pools.services.exports import STATES, export_keys


class Command(PoolCommand):
    """Writes the keys of a pool as text, CSV or NDJSON. What it writes, import_keys reads.

    The ledger says that keys were exported.
    """

    help = __doc__

    def add_arguments(self, parser):
        self.add_policy(parser)
        parser.add_argument("--state", choices=STATES, default=STATES[0], help="which keys (available)")
        parser.add_argument(
            "--import", type=name, dest="key_import", help="only those of the import of this id, or name"
        )
        parser.add_argument(
            "--since", type=day_or_time, help="only those popped, withdrawn or added since this day or time"
        )
        parser.add_argument("--until", type=day_or_time, help="only those popped, withdrawn or added before it")
        parser.add_argument("--format", choices=FORMATS, default="csv", help="(csv)")
        parser.add_argument("--formula-safe", action="store_true", help="for spreadsheets: defuse cells such as =1+1")
        parser.add_argument("--output", type=path, metavar="FILE", help="instead of standard output")

    def handle(self, *, policy, account, state, key_import, since, until, format, formula_safe, output, **options):
        if output is not None:
            self.check_output("--output", output)
        policy = self.find_policy(policy=policy, account=account)
        keys = export_keys(
            policy=policy,
            audit=self.audit,
            state=state,
            key_import=None if key_import is None else self.find_import(policy, key_import),
            since=since,
            until=until,
        )
        with ExitStack() as stack:
            out = sys.stdout
            if output is not None:
                try:
                    out = open(output, "w", encoding="utf-8", newline="")  # noqa: SIM115 `stack` closes it
                except OSError as error:
                    raise CommandError(f"{escaped(output)}: {error.strerror}") from None
                stack.enter_context(out)
            for lines in serialize_keys(keys, format, formula_safe):
                out.write(lines)

    def find_import(self, policy, text):
        imports = (
            policy.key_imports.filter(pk=parse_uuid(text)) if parse_uuid(text) else policy.key_imports.filter(name=text)
        )
        found = list(imports[:2])
        if len(found) != 1:
            raise CommandError(f"{'Several imports are' if found else 'No import is'} called {text!r}.", returncode=2)
        return found[0]


def day_or_time(text):
    """A day or a time as somebody types it, in UTC unless it says otherwise."""
    day = parse_date(text)
    found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
    if found is None:
        raise ValueError
    return timezone.make_aware(found) if timezone.is_naive(found) else found
