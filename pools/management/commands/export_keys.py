import sys
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q

from keygen_site.db.uuids import parse_uuid
from keygen_site.management.options import name, path
from keygen_site.management.project_command import EXIT_NOT_WRITTEN
from keygen_site.management.streams import discard_stdout
from keygen_site.wording import count_of, was
from licensing.models import Policy, Product
from pools.key_files import WRITTEN_FORMATS, ExportedKey, escape_text, serialize_keys
from pools.management.output_files import is_special, open_output
from pools.management.pool_command import (
    PoolCommand,
    parse_day_or_time,
)
from pools.services.exports import EXPORT_STATES, StatesLost, check_format, export_pools


class Command(PoolCommand):
    """Exports the keys of one or more pools as text, CSV or NDJSON. The command import_keys can read the file.

    The export is recorded in the ledger, and its keys count as disclosed: they cannot be put back into their pool. The
    file is UTF-8 in any locale. If the reader of the output stops early, as `head` does, the command ends with 0.
    """

    examples = (
        '--policy "Summer sale" --state popped --since 2026-01-01 --output handed-out.csv',
        "--product Rocket --account acme --state all --format ndjson | gzip > rocket.ndjson.gz",
        '--policy "Summer sale" --format text --import "ACME PO 4711" | head',
    )
    exit_codes = {EXIT_NOT_WRITTEN: "the output failed, after some or all keys were disclosed; export again"}

    exported = 0  # keys

    def add_arguments(self, parser: CommandParser) -> None:
        pools = parser.add_mutually_exclusive_group(required=True)
        pools.add_argument(
            "--policy",
            type=name,
            action="append",
            help="policy of the pool: its id or name, or the beginning of either; more than once for several pools",
        )
        pools.add_argument("--product", type=name, help="export all pools of this product: its id or name")
        parser.add_argument("--account", type=name, help="account of the policies or the product: its id or slug")
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
            "--for-spreadsheet",
            action="store_true",
            help="write CSV that a spreadsheet opens without changing keys such as 00123 or =1+1, and that import_keys "
            "can read again, also when the spreadsheet has saved it",
        )
        parser.add_argument("--output", type=path, metavar="FILE", help="write to this file, not to standard output")
        parser.add_argument("--force", action="store_true", help="replace an existing --output file")

    def handle(
        self,
        *,
        policy: list[str] | None,
        product: str | None,
        account: str | None,
        state: str,
        key_import: str | None,
        since: datetime | None,
        until: datetime | None,
        format: str,
        for_spreadsheet: bool,
        output: str | None,
        **options: Any,
    ) -> None:
        if output is not None:
            self.check_output("--output", output, force=options["force"])
        elif sys.stdout is None:
            raise CommandError("Standard output is closed, so nothing was exported.")
        if self.as_json and output is None:
            raise CommandError(
                "--json needs --output: standard output has the keys. For keys as JSON, use --format ndjson.",
                returncode=2,
            )
        if for_spreadsheet and format != "csv":
            raise CommandError("--for-spreadsheet needs --format csv.", returncode=2)
        try:
            check_format(state, format)
        except StatesLost as error:
            raise CommandError(f"{error.detail}.", returncode=2) from None
        policies = self.find_policies(policy or [], product, account)
        if key_import is not None and len(policies) > 1:
            raise CommandError("--import needs a single --policy.", returncode=2)
        found_import = None if key_import is None else self.find_import(policies[0], key_import)

        def read_lines() -> Iterator[str]:
            keys = export_pools(
                policies=policies, audit=self.audit, state=state, key_import=found_import, since=since, until=until
            )
            return serialize_keys(self.count(keys), format, for_spreadsheet=for_spreadsheet)

        if output is not None:
            try:
                with open_output(output, force=options["force"]) as out:
                    out.writelines(read_lines())
            except CommandError as error:
                if error.returncode == EXIT_NOT_WRITTEN:
                    error.args = (f"{error}. The keys so far count as disclosed. Export them again.",)
                raise
            self.report_export(output)
            return
        try:
            for lines in read_lines():
                sys.stdout.buffer.write(lines.encode())
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            discard_stdout()
        except OSError as error:
            discard_stdout()
            raise CommandError(
                f"The export broke off: {error.strerror}. The keys so far count as disclosed. Export them again.",
                returncode=EXIT_NOT_WRITTEN,
            ) from None

    def count(self, keys: Iterable[ExportedKey]) -> Iterator[ExportedKey]:
        for key in keys:
            self.exported += 1
            yield key

    def report_export(self, output: str) -> None:
        text = f"{count_of(self.exported, 'key')} {was(self.exported)} written to {escape_text(output)}."
        result = {"file": escape_text(output), "keys": self.exported}
        if self.as_json:
            self.report(text, result)
        elif not is_special(output):
            self.note(text)

    def describe_interruption(self) -> str:
        if not self.exported:
            return "nothing was exported."
        return "the export is not complete. The keys so far count as disclosed. Export them again."

    def find_policies(self, policies: list[str], product: str | None, account: str | None) -> list[Policy]:
        """The policies with pools that the options name, each once.

        Raises:
            CommandError: one of them names no pool, or several.
        """
        if product is None:
            found = [self.find_policy(policy=policy, account=account) for policy in policies]
            return list({policy.pk: policy for policy in found}.values())
        products = Product.objects.order_by("id")
        if account is not None:
            products = products.filter(account=self.find_account(account))
        uuid = parse_uuid(product)
        matching = list(products.filter(Q(pk=uuid) if uuid else Q(name=product))[:2])
        if len(matching) != 1:
            problem = "Several products have" if matching else "No product has"
            advice = ". Choose one by its id, or with --account." if matching else "."
            raise CommandError(f"{problem} the id or name {product!r}{advice}", returncode=2)
        pools = matching[0].policies.filter(use_pool=True).select_related("account", "product").order_by("name", "id")
        found = list(pools)
        if not found:
            raise CommandError(f"The product {product!r} has no policy with a pool.", returncode=2)
        return found
