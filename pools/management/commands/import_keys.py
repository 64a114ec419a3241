import csv
import os
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Any, BinaryIO, TextIO
from uuid import UUID

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from uuid_utils.compat import uuid7

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import count as at_least_one
from keygen_site.management.options import path
from keygen_site.management.project_command import EXIT_INTERRUPTED, EXIT_NOT_WRITTEN
from keygen_site.wording import count_of, was
from licensing.models import Policy
from pools.key_files import (
    ColumnAmbiguous,
    KeyFile,
    Line,
    ReadOptions,
    UsedRows,
    escape_text,
    open_key_file,
)
from pools.key_files.descriptions import describe_understood
from pools.management.output_files import open_output
from pools.management.pool_command import PoolCommand, parse_day_or_time
from pools.management.read_options import add_read_options, read_options
from pools.models import KeyImport
from pools.services.import_workers import LOW_PRIORITY
from pools.services.imports import AlreadyImported, ImportReport, import_keys
from pools.services.rejections import REJECTED_COLUMNS, Rejection, rejected_row

EXIT_REJECTED = 3
EXIT_ALREADY_IMPORTED = 6


class Command(PoolCommand):
    """Imports files of keys into the pool of a policy: text with one key per line, CSV, Excel workbooks (.xlsx),
    NDJSON or JSON, each also as gzip or zip.

    The command detects the format of a file from its content, prints it, and refuses a file that it does not
    understand with certainty; options resolve the doubt. All keys are added or, if a line is rejected, none;
    --skip-invalid adds the others. The pool hands them out in the order of the lines.
    """

    examples = (
        'keys.txt --policy "Summer sale" --dry-run',
        'partner.csv --policy "Summer sale" --column "Serial No." --name "ACME PO 4711"',
        'old.csv --policy "Summer sale" --encoding windows-1252 --delimiter semicolon --trim',
        'keys.txt --policy "Summer sale" --skip-invalid --rejected rejected.csv',
        '- --policy "Summer sale" --json < keys.txt',
    )
    exit_codes = {
        0: "all keys were added, or can be added (--dry-run)",
        1: "a file was refused as a whole, or the import failed; nothing was added",
        EXIT_REJECTED: "lines were rejected (left out with --skip-invalid; otherwise nothing was added), or there "
        "are serious warnings without --accept-warnings, and nothing was added",
        EXIT_NOT_WRITTEN: "the --rejected file or the report could not be written; keys were added only if the "
        "output says so",
        EXIT_ALREADY_IMPORTED: "all keys have been imported before; nothing was added",
        EXIT_INTERRUPTED: "interrupted; nothing was added, unless the message says so",
    }

    import_id: UUID | None = None

    def run_from_argv(self, argv: list[str]) -> None:
        os.nice(LOW_PRIORITY)  # requests go first, if the server runs on this machine
        super().run_from_argv(argv)

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("files", type=path, nargs="+", metavar="file", help="file of keys; - for standard input")
        self.add_policy(parser)
        parser.add_argument("--name", default="", help='name of the import, e.g. "ACME PO 4711"')
        add_read_options(parser)
        parser.add_argument(
            "--used-rows",
            choices=[str(value) for value in UsedRows],
            default=str(UsedRows.REJECT),
            help="rows whose column status, used, popped or the like says that the key was used: reject them "
            "(default), add them as popped (used), or add them as available (ignore)",
        )
        parser.add_argument(
            "--accept-warnings",
            action="store_true",
            help="add the keys even if some lines are almost certainly no keys: look at the warnings first",
        )
        parser.add_argument(
            "--skip-invalid", action="store_true", help="add the other lines even if some lines are rejected"
        )
        parser.add_argument("--dry-run", action="store_true", help="add nothing, and report what would be added")
        parser.add_argument(
            "--rejected", type=path, metavar="FILE", help="write all rejected lines with their reasons to this CSV file"
        )
        parser.add_argument("--force", action="store_true", help="replace an existing --rejected file")
        parser.add_argument(
            "--used",
            nargs="?",
            const="now",
            metavar="TIME",
            help="the keys were used in another system, at the time in their column popped or else at this time "
            "(default: now): add them as popped, so that they are never handed out",
        )
        parser.add_argument(
            "--first", type=at_least_one, default=20, help="number of rejected lines to print (default: 20)"
        )

    def handle(
        self,
        *,
        files: list[str],
        policy: str,
        account: str | None,
        name: str,
        rejected: str | None,
        used: str | None,
        first: int,
        **options: Any,
    ) -> None:
        self.import_id = uuid7()
        self.check_label("--name", name)
        if rejected is not None:
            inputs = ["/dev/stdin" if file == "-" else file for file in files]
            self.check_output("--rejected", rejected, inputs, force=options["force"])
        pooled_policy = self.find_policy(policy=policy, account=account)
        used_time = None if used is None else parse_used(used)
        # If all keys are used, the rows that say so are no exceptions: they say when.
        used_rows = UsedRows.USED if used_time else UsedRows(options["used_rows"])
        reading = read_options(options, used_rows)
        names = [escape_text(file) for file in files]
        begun = time.monotonic()
        report: ImportReport | None = None
        try:
            with ExitStack() as stack:
                write = (
                    write_rejections(stack.enter_context(open_output(rejected, force=options["force"])), names)
                    if rejected is not None
                    else lambda rejections: None
                )
                opened = [self.open(file, stack) for file in files]
                key_files = [open_named(shown, binary, reading) for shown, binary in zip(names, opened, strict=True)]
                report = import_keys(
                    policy=pooled_policy,
                    files=key_files,
                    audit=self.audit,
                    name=name,
                    source=", ".join(os.path.basename(file) for file in names)[:255],
                    skip_invalid=options["skip_invalid"],
                    dry_run=options["dry_run"],
                    used=used_time,
                    accept_warnings=options["accept_warnings"],
                    import_id=self.import_id,
                    on_rejected=write,
                    on_progress=show_progress(opened, stack),
                )
        except DomainError as error:
            raise CommandError(describe_error(error)) from None
        finally:
            if report:  # also if the --rejected file could not be moved into place
                seconds = time.monotonic() - begun
                text = "\n".join(describe_report(report, names, pooled_policy, first, seconds))
                self.report(text, report.as_dict(names, first) | {"seconds": round(seconds, 3)})
        if isinstance(report.refusal, AlreadyImported):
            sys.exit(EXIT_ALREADY_IMPORTED)
        if report.refusal or report.rejected:
            sys.exit(EXIT_REJECTED)

    def describe_interruption(self) -> str:
        key_import = self.import_id and KeyImport.objects.filter(pk=self.import_id, loading=None).first()
        if not key_import:
            return "nothing was added."
        added = f"{count_of(key_import.added, 'key')} {was(key_import.added)} added"
        return f"{added}, as import {key_import.pk}. The report may be incomplete."

    def open(self, file: str, stack: ExitStack) -> BinaryIO:
        if file == "-":
            return self.open_stdin("keys")
        try:
            return stack.enter_context(open(file, "rb"))
        except OSError as error:
            raise CommandError(f"{escape_text(file)}: {error.strerror}") from None


def open_named(file: str, binary: BinaryIO, options: ReadOptions) -> KeyFile:
    """Find out the form of a file. Errors about the whole file, also while it is read, get the file's name."""
    with name_in_errors(file):
        opened = open_key_file(binary, options, name=file)
    read_blocks = opened.blocks

    def blocks() -> Iterator[list[Line]]:
        with name_in_errors(file):
            yield from read_blocks()

    opened.blocks = blocks  # type: ignore[method-assign]
    return opened


@contextmanager
def name_in_errors(file: str) -> Iterator[None]:
    """Put the name of a file before the text of an error."""
    try:
        yield
    except DomainError as error:
        error.detail = f"{file}: {error.detail}"
        raise


def describe_error(error: DomainError) -> str:
    """The text of an error. If a column is to be chosen, it lists the candidates."""
    if not isinstance(error, ColumnAmbiguous):
        return error.detail
    lines = [
        f"  {candidate['number']}  {candidate['column'] or ''}: {', '.join(candidate['samples'])}"
        for candidate in error.meta["candidates"]
    ]
    return "\n".join([error.detail, *(escape_text(line) for line in lines)])


def describe_report(
    report: ImportReport, files: list[str], policy: Policy, first: int, seconds: float
) -> Iterator[str]:
    """Yield the lines of a report for people."""
    for file, understood in zip(files, report.understood, strict=True):
        yield f"{file}: {describe_understood(understood.as_dict())}"
    last_keys = [key for key in report.last_keys if key not in report.first_keys]
    for title, keys in (("First keys", report.first_keys), ("Last keys", last_keys)):
        if keys:
            yield f"{title}: {', '.join(keys)}"
    if report.trimmed:
        yield f"{count_of(report.trimmed, 'line')} had blanks around the key, which were removed."
    for warning in report.warnings:
        title = f"{'Serious warning' if warning.is_serious else 'Warning'}"
        of = f" about {files[warning.file]}" if len(files) > 1 else ""
        yield f"{title}{of}: {warning.message}"
        if warning.count > 1:
            more = f" and {warning.count - len(warning.lines):,} more" if warning.count > len(warning.lines) else ""
            yield f"  Lines {', '.join(map(str, warning.lines))}{more}"
    rate = report.lines / seconds if seconds else 0
    if report.refusal:
        result = report.refusal.detail.removesuffix(".")
    elif report.dry_run:
        result = f"{count_of(report.good, 'key')} can be added to the pool of {policy.name!r}; nothing was written"
    elif report.key_import:
        added = f"{count_of(report.added, 'key')} {was(report.added)} added"
        result = f"{added} to the pool of {policy.name!r} as import {report.key_import.pk}"
    else:
        result = f"No key was added to the pool of {policy.name!r}"
    yield f"{result} ({count_of(report.lines, 'line')}, {seconds:.1f} s, {rate:,.0f} lines per second)."
    if report.used and not report.refusal:
        yield f"Of these keys, {report.used:,} count as popped, because they have been used."
    if report.blank:
        yield f"Blank lines that were skipped: {report.blank:,}."
    if not report.rejected:
        return
    yield f"{count_of(report.rejected, 'line')} {was(report.rejected)} rejected because the key:"
    for reason, count in report.reasons.most_common():
        yield f"{count:>12,}  {reason.value}"
    yield "The first rejected lines:" if report.rejected > first else "The rejected lines:"
    for each in report.first[:first]:
        where = f"{files[each.file]}:{each.line}" if each.line else "during the import"
        shown = f"{each.text[:4]}…: " if each.text and each.text[:4].isprintable() else ""
        yield f"  {where}: {shown}{each.sentence}"


def parse_used(text: str) -> datetime:
    """The value of --used.

    Raises:
        CommandError: it is not a time in the past.
    """
    now = timezone.now()
    try:
        used = now if text == "now" else parse_day_or_time(text)
    except ArgumentTypeError as error:
        raise CommandError(f"--used: {error}.", returncode=2) from None
    if used > now:
        raise CommandError("--used must be a time in the past.", returncode=2)
    return used


def write_rejections(out: TextIO, files: list[str]) -> Callable[[list[Rejection]], None]:
    """Begin a CSV file, and return a function that writes rejections into it.

    Each write reaches the file: if the disk is full, the import fails before its keys are added.
    """
    writer = csv.writer(out)

    def write_rows(rows: Iterable[Sequence[object]]) -> None:
        writer.writerows(rows)
        out.flush()

    write_rows([REJECTED_COLUMNS])
    return lambda rejections: write_rows(rejected_row(each, files[each.file]) for each in rejections)


def show_progress(files: list[BinaryIO], stack: ExitStack) -> Callable[[ImportReport], None]:
    """Show a progress bar on a terminal, and return a function that updates it."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda report: None
    size = sum(os.fstat(file.fileno()).st_size for file in files if file.seekable())
    columns = BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[text]}"), TimeRemainingColumn()
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("", total=size or None, text="")
    begun = time.monotonic()

    def show(report: ImportReport) -> None:
        rate = report.lines / (time.monotonic() - begun)
        read = sum(file.tell() for file in files if file.seekable())
        bar.update(task, completed=read, text=f"{count_of(report.lines, 'line')}, {rate:,.0f} per second")

    return show
