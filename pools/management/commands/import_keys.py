import csv
import json
import os
import sys
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, TextIO

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import name, path
from licensing.models import Policy
from pools.key_files import FORMATS, FileUnreadable, KeyFile, Line, ReadOptions, escape_text, open_key_file
from pools.management.pool_command import PoolCommand, open_output, parse_day_or_time
from pools.services.imports import AlreadyImported, ImportReport, WarningsNotAccepted, import_keys
from pools.services.rejections import REJECTED_COLUMNS, Rejection, rejected_row

EXIT_REJECTED = 3
EXIT_ALREADY_IMPORTED = 6


class Command(PoolCommand):
    """Imports files of keys into the pool of a policy: text with one key per line, CSV or NDJSON, also gzipped.

    All keys are added or, if a line is rejected, none; --skip-invalid adds the others. The pool hands them out in the
    order of the lines. Exit codes: 0 all keys added, 1 failed, 2 wrong usage, 3 lines were rejected, 5 the --rejected
    file or the report could not be written: keys were added only if the output says so, 6 an earlier import has added
    all keys.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "files",
            type=path,
            nargs="+",
            metavar="file",
            help="file of keys, whose name tells its format; - for standard input",
        )
        self.add_policy(parser)
        parser.add_argument("--name", default="", help='name of the import, e.g. "ACME PO 4711"')
        parser.add_argument("--format", choices=FORMATS, help="format of all files (default: by their names)")
        parser.add_argument(
            "--column",
            type=name,
            help="name or number of the CSV column, or name of the NDJSON member, with the keys "
            "(default: key, code or license_key)",
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
        parser.add_argument("--first", type=int, default=20, help="number of rejected lines to print (default: 20)")
        parser.add_argument("--json", action="store_true", help="print the report as JSON")

    def handle(  # type: ignore[override]
        self,
        *,
        files: list[str],
        policy: str,
        account: str | None,
        name: str,
        format: str | None,
        column: str | None,
        skip_invalid: bool,
        dry_run: bool,
        rejected: str | None,
        used: str | None,
        first: int,
        **options: Any,
    ) -> None:
        self.check_label("--name", name)
        if rejected is not None:
            inputs = ["/dev/stdin" if file == "-" else file for file in files]
            self.check_output("--rejected", rejected, inputs, force=options["force"])
        pooled_policy = self.find_policy(policy=policy, account=account)
        names = [escape_text(file) for file in files]
        reading = ReadOptions(format=format, column=column)
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
                report = import_keys(
                    policy=pooled_policy,
                    files=[
                        name_in_errors(shown, partial(open_key_file, binary, reading, name=file))
                        for binary, file, shown in zip(opened, files, names, strict=True)
                    ],
                    audit=self.audit,
                    name=name,
                    source=", ".join(os.path.basename(file) for file in names)[:255],
                    skip_invalid=skip_invalid,
                    dry_run=dry_run,
                    used=None if used is None else parse_used(used),
                    on_rejected=write,
                    on_progress=show_progress(opened, stack),
                )
        except DomainError as error:
            raise CommandError(error.detail) from None
        finally:
            if report:  # also if the --rejected file could not be moved into place
                seconds = time.monotonic() - begun
                if options["json"]:
                    text = json.dumps(report.as_dict(names, first) | {"seconds": round(seconds, 3)})
                else:
                    text = "\n".join(describe_report(report, names, pooled_policy, first, seconds))
                self.report(text)
        if isinstance(report.refusal, AlreadyImported):
            sys.exit(EXIT_ALREADY_IMPORTED)
        if isinstance(report.refusal, WarningsNotAccepted):
            raise CommandError(report.refusal.detail)
        if report.rejected:
            sys.exit(EXIT_REJECTED)

    def open(self, file: str, stack: ExitStack) -> BinaryIO:
        if file == "-":
            return self.open_stdin("keys")
        try:
            return stack.enter_context(open(file, "rb"))
        except OSError as error:
            raise CommandError(f"{escape_text(file)}: {error.strerror}") from None


def describe_report(
    report: ImportReport, files: list[str], policy: Policy, first: int, seconds: float
) -> Iterator[str]:
    """Yield the lines of a report for people."""
    rate = report.lines / seconds if seconds else 0
    if report.dry_run:
        result = f"{report.good:,} keys can be added to the pool of {policy.name!r}; nothing was written"
    elif report.key_import:
        result = f"{report.added:,} keys were added to the pool of {policy.name!r} as import {report.key_import.pk}"
    else:
        result = f"No key was added to the pool of {policy.name!r}"
    yield f"{result} ({report.lines:,} lines, {seconds:.1f} s, {rate:,.0f} lines per second)."
    if report.blank:
        yield f"{report.blank:,} blank lines were skipped."
    if not report.rejected:
        return
    if report.already_imported:
        yield "All of these keys have been added before."
    yield f"{report.rejected:,} lines were rejected because the key:"
    for reason, count in report.reasons.most_common():
        yield f"{count:>12,}  {reason.value}"
    yield "The first rejected lines:" if report.rejected > first else "The rejected lines:"
    for each in report.first[:first]:
        where = f"{files[each.file]}:{each.line}" if each.line else "during the import"
        shown = f"{each.text[:4]}…: " if each.text[:4].isprintable() else ""
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


def name_in_errors(file: str, open_file: Callable[[], KeyFile]) -> Iterator[Line]:
    """Yield the lines of a file. An error about the whole file gets the file's name."""
    try:
        yield from open_file()
    except FileUnreadable as error:
        raise FileUnreadable(f"{file}: {error.detail}") from None


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
        bar.update(task, completed=read, text=f"{report.lines:,} lines, {rate:,.0f} per second")

    return show
