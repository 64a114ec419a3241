import csv
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack

from django.core.management.base import CommandError
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.options import name, path
from pools.key_files import FORMATS, FileUnreadable, Line, escaped, format_of, read_keys
from pools.management.pool_command import PoolCommand
from pools.services.imports import import_keys

REJECTED = 3


class Command(PoolCommand):
    """Adds files of keys to the pool of a policy: text with a key a line, CSV or NDJSON, each also gzipped.

    All keys are added or, if a line is rejected, none; --skip-invalid adds the good ones. The pool hands them out in
    the order of the lines. Ends with 0 when all is done, 1 when it failed, 2 for wrong usage, and 3 when lines were
    rejected.
    """

    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument(
            "files", type=path, nargs="+", metavar="file", help="its ending tells its format; - is standard input"
        )
        self.add_policy(parser)
        parser.add_argument("--name", default="", help='what to call the import, e.g. "ACME PO 4711"')
        parser.add_argument("--format", choices=FORMATS, help="of all the files, where their endings do not tell")
        parser.add_argument(
            "--column", type=name, help="where the keys are: name or number of a CSV's column, member of NDJSON"
        )
        parser.add_argument("--skip-invalid", action="store_true", help="add the good lines though others are rejected")
        parser.add_argument("--dry-run", action="store_true", help="only say what would happen")
        parser.add_argument(
            "--rejected", type=path, metavar="FILE", help="write all rejected lines and their reasons there, CSV"
        )
        parser.add_argument("--first", type=int, default=20, help="how many rejected lines to show (20)")
        parser.add_argument("--json", action="store_true", help="the report as JSON")

    def handle(self, *, files, policy, account, name, format, column, skip_invalid, dry_run, rejected, **options):
        self.check_label("--name", name)
        if rejected is not None:
            self.check_output("--rejected", rejected, ["/dev/stdin" if file == "-" else file for file in files])
        policy = self.find_policy(policy=policy, account=account)
        names = [escaped(file) for file in files]
        begun = time.monotonic()
        with ExitStack() as stack:
            opened = [self.open(file, stack) for file in files]
            readings = [
                lines_of(shown, read_keys(one, format or format_of(file), column))
                for one, file, shown in zip(opened, files, names, strict=True)
            ]
            try:
                report = import_keys(
                    policy=policy,
                    files=readings,
                    audit=self.audit,
                    name=name,
                    source=", ".join(os.path.basename(file) for file in names)[:255],
                    skip_invalid=skip_invalid,
                    dry_run=dry_run,
                    on_rejected=rejected_into(rejected, names, stack) if rejected else lambda rejections: None,
                    on_progress=progress_of(opened, stack),
                )
            except DomainError as error:
                raise CommandError(error.detail) from None
        seconds = time.monotonic() - begun
        if options["json"]:
            printed = report.as_dict(names, options["first"]) | {"seconds": round(seconds, 3)}
            self.stdout.write(json.dumps(printed))
        else:
            self.print_report(report, names, policy, options["first"], seconds)
        if report.rejected:
            sys.exit(REJECTED)

    def open(self, file, stack):
        if file == "-":
            return sys.stdin.buffer
        try:
            return stack.enter_context(open(file, "rb"))
        except OSError as error:
            raise CommandError(f"{escaped(file)}: {error.strerror}") from None

    def print_report(self, report, files, policy, first, seconds):
        rate = report.lines / seconds if seconds else 0
        if report.dry_run:
            said = f"{report.good:,} keys can be added to the pool of {policy.name!r}; nothing was written"
        elif report.key_import:
            said = f"{report.added:,} keys were added to the pool of {policy.name!r} as import {report.key_import.pk}"
        else:
            said = f"No key was added to the pool of {policy.name!r}"
        self.stdout.write(f"{said} ({report.lines:,} lines, {seconds:.1f} s, {rate:,.0f} a second).")
        if report.blank:
            self.stdout.write(f"{report.blank:,} blank lines were passed over.")
        if not report.rejected:
            return
        if report.nothing_new:
            self.stdout.write("All of these keys have been added before.")
        self.stdout.write(f"{report.rejected:,} lines were rejected, because the key")
        for reason, count in report.reasons.most_common():
            self.stdout.write(f"{count:>12,}  {reason.value}")
        self.stdout.write("The first of them:" if report.rejected > first else "They are:")
        for place, line, text, reason in report.first[:first]:
            where = f"{files[place]}:{line}" if line else "while the import ran"
            shown = f" {text[:4]}…" if text[:4].isprintable() else ""
            self.stdout.write(f"  {where}: the key{shown} {reason.value}")


def lines_of(file: str, lines: Iterator[Line]) -> Iterator[Line]:
    """Yield the lines of a file. An error about the file as a whole names it."""
    try:
        yield from lines
    except FileUnreadable as error:
        raise FileUnreadable(f"{file}: {error.detail}") from None


def rejected_into(path, files, stack):
    """Something that writes rejections into a CSV file."""
    try:
        out = open(path, "w", newline="", encoding="utf-8")  # noqa: SIM115 `stack` closes it
    except OSError as error:
        raise CommandError(f"{escaped(path)}: {error.strerror}") from None
    writer = csv.writer(stack.enter_context(out))
    writer.writerow(["file", "line", "code", "reason", "text"])

    def write(rejections):
        writer.writerows(
            (files[place], line, reason.code, f"the key {reason.value}", text)
            for place, line, text, reason in rejections
        )

    return write


def progress_of(files, stack):
    """Something that shows how far an import is: a bar on a terminal, nothing elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        return lambda report: None
    known = sum(os.fstat(file.fileno()).st_size for file in files if file.seekable())
    columns = BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[said]}"), TimeRemainingColumn()
    bar = stack.enter_context(Progress(*columns, console=console, transient=True))
    task = bar.add_task("", total=known or None, said="")
    begun = time.monotonic()

    def show(report):
        rate = report.lines / (time.monotonic() - begun)
        read = sum(file.tell() for file in files if file.seekable())
        bar.update(task, completed=read, said=f"{report.lines:,} lines, {rate:,.0f} a second")

    return show
