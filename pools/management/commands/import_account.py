import csv
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, TextIO

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskProgressColumn, TimeRemainingColumn

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import name, path
from keygen_site.management.project_command import EXIT_INTERRUPTED, EXIT_NOT_WRITTEN
from keygen_site.spreadsheets import defuse_formula
from keygen_site.wording import count_of
from pools.key_files import UsedRows, escape_text
from pools.management.commands.import_keys import EXIT_ALREADY_IMPORTED, EXIT_REJECTED, describe_error, open_named
from pools.management.output_files import open_output
from pools.management.pool_command import PoolCommand
from pools.management.read_options import READ_OPTIONS, add_read_options, read_options
from pools.management.secret_files import read_secret_file
from pools.moving.errors import AlreadyMoved
from pools.moving.importing import import_account
from pools.moving.reports import FINDING_COLUMNS, Finding, MoveReport

SHOWN_FINDINGS, SHOWN_FINDINGS_OF_A_KIND = 20, 5


class Command(PoolCommand):
    """Imports an account from an export of keygen-api, with everything that its customers hold: tokens,
    passwords, license keys and files go on working.

    Write the export with `rake keygen:export`, and the table of tokens, which is not in it, with
    `psql -c "\\copy (select * from tokens) to tokens.csv csv header"`. The account is imported as a whole or, if
    something contradicts something, not at all. Keys that would be sold twice are left out and named.

    An account that moved in before is replaced by a newer export, unless it was used since. Keys that
    were marked as used stay so.
    """

    examples = (
        "acme.export --tokens tokens.csv --dry-run",
        "acme.export --tokens tokens.csv --used-keys sold.csv --report report.csv",
        "acme.export --secret-file secret.txt --slug acme-europe",
        "- --json < acme.export",
    )
    exit_codes = {
        0: "the account was imported, or can be imported (--dry-run)",
        1: "the export was refused, or the import failed; nothing was changed",
        EXIT_REJECTED: "the account was imported, or can be, without some rows, which the report names",
        EXIT_NOT_WRITTEN: "the --report file or the report could not be written; the account was imported only if the "
        "output says so",
        EXIT_ALREADY_IMPORTED: "the same export has been imported before; nothing was changed",
        EXIT_INTERRUPTED: "interrupted; nothing was changed, unless the message says so",
    }

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=path, help="the export; - for standard input")
        parser.add_argument(
            "--secret-file", type=path, metavar="FILE", help="file with the secret that the export is encrypted with"
        )
        parser.add_argument("--tokens", type=path, metavar="FILE", help="the table of tokens, as CSV with a header")
        parser.add_argument(
            "--used-keys",
            type=path,
            nargs="+",
            action="extend",
            default=[],
            metavar="FILE",
            help="files of keys that were popped without a license, in any format that import_keys reads: they never "
            "enter a pool",
        )
        reading = parser.add_argument_group("how the files of --used-keys are read, as by import_keys")
        add_read_options(reading)
        reading.add_argument(
            "--accept-warnings",
            action="store_true",
            help="read a file even if some lines are almost certainly no keys: look at the warnings first",
        )
        parser.add_argument(
            "--used-digests",
            type=path,
            metavar="FILE",
            help="the file that export_account --used-digests has written with an export",
        )
        parser.add_argument(
            "--accept-unmarked",
            action="store_true",
            help="import an export of export_account even if not all keys that were used can be marked: those could "
            "enter a pool again",
        )
        parser.add_argument(
            "--without-tokens",
            action="store_true",
            help="replace an account that moved in with tokens by one without: programs that use them stop working",
        )
        parser.add_argument("--slug", type=name, help="slug of the account (default: that of the export)")
        parser.add_argument(
            "--sha256",
            type=name,
            metavar="DIGEST",
            help="SHA-256 of the export in hex, as its export has printed it: another file is refused",
        )
        parser.add_argument("--dry-run", action="store_true", help="change nothing, and report what would be imported")
        parser.add_argument(
            "--report", type=path, metavar="FILE", help="write all rows that need a person's eye to this CSV file"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing --report file")

    def handle(
        self,
        *,
        file: str,
        secret_file: str | None,
        tokens: str | None,
        used_keys: list[str],
        used_digests: str | None,
        accept_warnings: bool,
        accept_unmarked: bool,
        without_tokens: bool,
        slug: str | None,
        sha256: str | None,
        dry_run: bool,
        report: str | None,
        force: bool,
        **options: Any,
    ) -> None:
        given = "/dev/stdin" if file == "-" else file
        inputs = [each for each in (given, secret_file, tokens, *used_keys, used_digests) if each]
        told = [each for each in READ_OPTIONS if options[each] is not None and (options[each] or each == "header")]
        told += ["accept-warnings"] * accept_warnings
        if told and not used_keys:
            raise CommandError(f"--{told[0]} is about the files of --used-keys, and there is none.", returncode=2)
        if tokens is not None and without_tokens:
            raise CommandError("--tokens and --without-tokens exclude each other.", returncode=2)
        if report is not None:
            self.check_output("--report", report, inputs, force=force)
        secret = None if secret_file is None else read_secret_file(secret_file)
        begun = time.monotonic()
        result: MoveReport | None = None
        try:
            with ExitStack() as stack:
                write = (
                    write_findings(stack.enter_context(open_output(report, force=force)))
                    if report is not None
                    else lambda finding: None
                )
                export = self.open_stdin("the export") if file == "-" else open_file(file, stack)
                result = import_account(
                    export=export,
                    audit=self.audit,
                    secret=secret,
                    tokens=None if tokens is None else open_file(tokens, stack),
                    used_keys=[
                        # All keys of the file are used; its state column is ignored.
                        open_named(escape_text(each), open_file(each, stack), read_options(options, UsedRows.IGNORE))
                        for each in used_keys
                    ],
                    used_digests=None if used_digests is None else open_file(used_digests, stack),
                    accept_warnings=accept_warnings,
                    accept_unmarked=accept_unmarked,
                    without_tokens=without_tokens,
                    slug=slug,
                    sha256=sha256 and sha256.strip().lower().removeprefix("sha-256="),
                    source="standard input" if file == "-" else escape_text(os.path.basename(file)),
                    dry_run=dry_run,
                    on_finding=write,
                    on_progress=show_progress(export, stack),
                )
        except AlreadyMoved as error:
            self.report(f"{error.detail}.", {"alreadyImported": True})
            sys.exit(EXIT_ALREADY_IMPORTED)
        except DomainError as error:
            if error.meta.get("candidates"):
                raise CommandError(describe_error(error)) from None
            raise CommandError(f"{error.detail.removesuffix('.')}.") from None
        finally:
            if result:  # also if the --report file could not be moved into place
                seconds = time.monotonic() - begun
                self.report("\n".join(describe(result, seconds)), result.as_dict() | {"seconds": round(seconds, 3)})
        if result.named_left_out:
            sys.exit(EXIT_REJECTED)


def open_file(file: str, stack: ExitStack) -> BinaryIO:
    try:
        return stack.enter_context(open(file, "rb"))
    except OSError as error:
        raise CommandError(f"{escape_text(file)}: {error.strerror}") from None


def write_findings(out: TextIO) -> Callable[[Finding], None]:
    """Begin a CSV file, and return a function that writes a finding into it.

    Each write reaches the file: if the disk is full, the import fails before it is written.
    """
    writer = csv.writer(out)
    writer.writerow(FINDING_COLUMNS)
    out.flush()

    def write(finding: Finding) -> None:
        writer.writerow([*map(defuse_formula, finding[:-1]), "yes" if finding.kept else "no"])
        out.flush()

    return write


def show_progress(file: BinaryIO, stack: ExitStack) -> Callable[[int], None]:
    """Show a progress bar in bytes on a terminal, and return a function that updates it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda position: None
    size = os.fstat(file.fileno()).st_size if file.seekable() else None
    columns = BarColumn(), TaskProgressColumn(), DownloadColumn(), TimeRemainingColumn()
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("", total=size)
    return lambda position: bar.update(task, completed=position)


def describe(report: MoveReport, seconds: float) -> Iterator[str]:
    """Yield the lines of a report for people: one for each class, then the rows that need a person's eye."""
    verb = "can be imported; nothing was written" if report.dry_run else "was imported"
    yield f"The account {report.slug} ({report.account_id}) {verb} ({seconds:.1f} s)."
    if report.replaced:
        yield "It moved in before, and was not used since: the earlier import is replaced."
    yield f"digest: sha-256={report.sha256}"
    width = max(map(len, report.counts))
    for class_name, count in report.counts.items():
        reasons = "; ".join(f"{number:,} left out: {reason}" for reason, number in count.left_out.most_common())
        yield f"  {class_name:{width}}  {count.kept:>10,}" + (f"  ({reasons})" if reasons else "")
    if not report.findings_count:
        return
    yield f"{count_of(report.findings_count, 'row')} to look at:"
    shown: Counter[tuple[str, str]] = Counter()
    for finding in report.findings:
        kind = finding.class_name, finding.problem
        if shown[kind] < SHOWN_FINDINGS_OF_A_KIND and shown.total() < SHOWN_FINDINGS:
            shown[kind] += 1
            label = " ".join(filter(None, [finding.class_name, finding.id, finding.label]))
            yield f"  {escape_text(label)}: {finding.problem}"
    if report.findings_count > shown.total():
        yield f"  and {report.findings_count - shown.total():,} more: --report FILE writes all"
