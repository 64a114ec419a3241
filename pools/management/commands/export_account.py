import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, BinaryIO, TextIO

from django.core.management.base import CommandError, CommandParser

from accounts.models import Account, Activity
from keygen_site.db.snapshots import snapshot
from keygen_site.management.options import name, path
from keygen_site.management.project_command import EXIT_NOT_WRITTEN
from keygen_site.management.streams import discard_stdout
from pools.key_files import ExportedKey, serialize_keys
from pools.management.output_files import open_binary_output, open_output
from pools.management.pool_command import PoolCommand
from pools.management.secret_files import read_secret_file
from pools.moving.exporting import export_account, make_signing_keys
from pools.moving.format import ExportWriter
from pools.moving.table_files import used_keys_for_file, write_tokens
from pools.moving.unexported import TOKENS, UNEXPORTED, USED_DIGESTS, USED_KEYS, Unexported
from pools.moving.used_digests import write_used_digests

OPTIONS = ("--output", "--tokens", "--used-keys", "--used-digests")  # of files that are written


class Command(PoolCommand):
    """Exports an account as keygen-api does, so that keygen-api or another server of this project can import it.

    All files are of one moment. The export has the private keys of the account, and without --secret-file they are not
    encrypted. Standard error lists the rows that the format cannot hold, and the SHA-256 of the file.

    Standard output is the export, unless --output names a file.
    """

    examples = (
        "acme --secret-file secret.txt --output acme.export --tokens tokens.csv --used-keys used.csv "
        "--used-digests used-digests.csv",
        "acme --secret-file secret.txt | ssh other-server 'cat > acme.export'",
    )
    exit_codes = {EXIT_NOT_WRITTEN: "the output failed; no file is complete"}

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", type=name, help="id or slug of the account")
        parser.add_argument(
            "--secret-file", type=path, metavar="FILE", help="encrypt the export with the secret in this file"
        )
        parser.add_argument("--output", type=path, metavar="FILE", help="write to this file, not to standard output")
        parser.add_argument(
            "--tokens",
            type=path,
            metavar="FILE",
            help="write the tokens that keygen-api can check to this file, as rows of its table of tokens",
        )
        parser.add_argument(
            "--used-keys",
            type=path,
            metavar="FILE",
            help="write the used keys that no license has to this file, as CSV, so that import_account marks them used",
        )
        parser.add_argument(
            "--used-digests",
            type=path,
            metavar="FILE",
            help="write the digests of used texts that are not stored themselves to this file, so that import_account "
            "marks them in this database or a copy of it, and elsewhere says how many it cannot mark",
        )
        parser.add_argument("--force", "--overwrite", action="store_true", dest="force", help="replace existing files")

    def handle(
        self,
        *,
        account: str,
        secret_file: str | None,
        output: str | None,
        tokens: str | None,
        used_keys: str | None,
        used_digests: str | None,
        force: bool,
        **options: Any,
    ) -> None:
        found = self.find_account(account)
        self.check_outputs(
            output, tokens, used_keys, used_digests, inputs=[secret_file] if secret_file else [], force=force
        )
        secret = None if secret_file is None else read_secret_file(secret_file)
        make_signing_keys(found)
        Activity.objects.record(Activity.Event.EXPORTED, found, self.audit)
        with ExitStack() as stack:
            extra: dict[str, TextIO] = {
                option: stack.enter_context(open_output(file, force=force))
                for option, file in (("tokens", tokens), ("used_keys", used_keys), ("used_digests", used_digests))
                if file is not None
            }
            out = stack.enter_context(_stdout() if output is None else open_binary_output(output, force=force))
            stack.enter_context(snapshot())
            writer = ExportWriter(out, secret)
            counts = export_account(found, writer)
            if "tokens" in extra:
                counts["tokens"] = write_tokens(found, extra["tokens"])
            if "used_keys" in extra:
                keys = self.count_keys(used_keys_for_file(found), counts)
                extra["used_keys"].writelines(serialize_keys(keys, "csv"))
            if "used_digests" in extra:
                counts["usedDigests"] = write_used_digests(found, extra["used_digests"])
            unexported = _count_unexported(found, extra)
        self.report_export(writer.sha256, counts, unexported)

    def check_outputs(self, output: str | None, *others: str | None, inputs: list[str], force: bool) -> None:
        """Check the files before the work begins.

        Raises:
            CommandError: two of them are the same, one exists, or the export would go to a terminal.
        """
        files = [file for file in (output, *others) if file is not None]
        if len(set(files)) < len(files):
            raise CommandError(f"{', '.join(OPTIONS[:-1])} and {OPTIONS[-1]} must be different files.", returncode=2)
        for option, file in zip(OPTIONS, (output, *others), strict=True):
            if file is not None:
                self.check_output(option, file, inputs, force=force)
        if output is None:
            if sys.stdout is None:
                raise CommandError("Standard output is closed, so nothing was exported.")
            if self.as_json:
                raise CommandError("--json needs --output: standard output has the export.", returncode=2)
            if sys.stdout.isatty():
                raise CommandError("The export is not text. Write it to a file with --output.", returncode=2)

    @staticmethod
    def count_keys(keys: Iterator[ExportedKey], counts: Counter[str]) -> Iterator[ExportedKey]:
        for key in keys:
            counts["usedKeys"] += 1
            yield key

    def report_export(self, sha256: str, counts: Counter[str], unexported: list[tuple[str, int]]) -> None:
        self.note(f"digest: sha-256={sha256}")
        lines = [f"{count:>11,}  {what}" for what, count in counts.items()]
        self.note("\n".join(["Exported, by class:", *lines]))
        if unexported:
            lines = [f"{count:>11,}  {what}" for what, count in unexported]
            self.note("\n".join(["Not exported, for the format has no room for it:", *lines]))
        if self.as_json:
            left_out = [{"what": what, "count": count} for what, count in unexported]
            self.report("", {"digest": f"sha-256={sha256}", "exported": dict(counts), "notExported": left_out})

    def describe_interruption(self) -> str:
        return "the export is not complete. Export again."


@contextmanager
def _stdout() -> Iterator[BinaryIO]:
    """Standard output, for bytes.

    Raises:
        CommandError: the output failed, or its reader has gone.
    """
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except OSError as error:
        discard_stdout()
        problem = f"The export broke off ({error.strerror}), so it is not complete. Export again."
        raise CommandError(problem, returncode=EXIT_NOT_WRITTEN) from None


def _count_unexported(account: Account, extra: dict[str, Any]) -> list[tuple[str, int]]:
    """The kinds of rows left out of the files, each with its number of rows. Kinds without rows are omitted."""
    optional: list[Unexported] = []
    if "used_keys" not in extra:
        optional.append(Unexported(f"{USED_KEYS.what}: write them with --used-keys", USED_KEYS.rows))
    if "used_digests" not in extra:
        optional.append(Unexported(f"{USED_DIGESTS.what}: write them with --used-digests", USED_DIGESTS.rows))
    if "tokens" not in extra:
        optional.append(Unexported(f"{TOKENS.what}: write them with --tokens", TOKENS.rows))
    counted = [(each.what, each.rows(account).count()) for each in (*optional, *UNEXPORTED)]
    return [(what, count) for what, count in counted if count]
