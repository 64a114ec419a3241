"""The base of all commands of this project."""

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from textwrap import fill
from typing import Any, ClassVar, NoReturn, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser, DjangoHelpFormatter, SystemCheckError

from keygen_site.management.streams import discard_stdout

EXIT_NOT_WRITTEN = 5
EXIT_INTERRUPTED = 130
COMMON_EXIT_CODES = {0: "done", 1: "refused or failed", 2: "wrong usage", EXIT_INTERRUPTED: "interrupted"}


class HelpFormatter(DjangoHelpFormatter):
    """Help without the options that all of Django's commands have, and with lists as they are written."""

    def add_usage(self, usage: str | None, actions: Iterable[argparse.Action], *args: Any, **kwargs: Any) -> None:
        super().add_usage(usage, self.without_common(actions), *args, **kwargs)

    def add_arguments(self, actions: Iterable[argparse.Action]) -> None:
        super().add_arguments(self.without_common(actions))

    def without_common(self, actions: Iterable[argparse.Action]) -> list[argparse.Action]:
        return [action for action in actions if not self.show_last.intersection(action.option_strings)]

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.rstrip().split("\n\n")
        return "\n\n".join(
            paragraph if "\n  " in paragraph else super(HelpFormatter, self)._fill_text(paragraph, width, indent)
            for paragraph in paragraphs
        )


class ProjectCommand(BaseCommand):
    """A command with examples in its help, a result as text or JSON, and one line for each way to fail.

    The docstring of a subclass is its help.

    Attributes:
        examples: the arguments of some calls, for the help. Redirections and pipes may follow.
        exit_codes: the meanings of this command's exit codes, in addition to those of all commands.
        has_result: whether the command prints a result, and so has the option --json.
        only_reads: whether it changes nothing. Such a command ends quietly if the reader of its output has gone.
    """

    examples: ClassVar[tuple[str, ...]] = ()
    exit_codes: ClassVar[Mapping[int, str]] = {}
    has_result: ClassVar[bool] = True
    only_reads: ClassVar[bool] = False
    is_done = False  # the change, if any, is committed, and its report is being printed

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.help = cleandoc(cls.__doc__ or "")

    def __init__(
        self,
        stdout: TextIO | None = None,
        stderr: TextIO | None = None,
        no_color: bool = False,
        force_color: bool = False,
    ) -> None:
        no_color = no_color or (not force_color and bool(os.environ.get("NO_COLOR")))
        super().__init__(stdout, stderr, no_color, force_color)

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        codes = COMMON_EXIT_CODES
        if self.has_result and not self.only_reads:
            codes = codes | {EXIT_NOT_WRITTEN: "done, but the output could not be written; standard error has it"}
        codes = codes | dict(self.exit_codes)
        epilog = "\n".join(
            [
                "examples:",
                *(f"  manage.py {subcommand} {example}".rstrip() for example in self.examples),
                "",
                "exit codes:",
                *(
                    fill(codes[code], 80, initial_indent=f"  {code:<5}", subsequent_indent=" " * 7)
                    for code in sorted(codes)
                ),
                "",
                "Django's options work too: --settings, --pythonpath, --traceback, --no-color, --force-color, "
                "--skip-checks, --version, --verbosity.",
            ]
        )
        parser = super().create_parser(prog_name, subcommand, formatter_class=HelpFormatter, epilog=epilog, **kwargs)
        if self.has_result:
            parser.add_argument("--json", action="store_true", help="print the result as one JSON object")
        return parser

    def run_from_argv(self, argv: list[str]) -> None:
        try:
            super().run_from_argv([*argv[:2], "--traceback", *argv[2:]])  # so that errors arrive here
        except CommandError as error:
            if "--traceback" in argv:
                raise
            self.fail(error)

    def fail(self, error: CommandError) -> NoReturn:
        """Print an error, and end the process with its exit code."""
        if isinstance(error, SystemCheckError) or error.returncode == EXIT_INTERRUPTED:
            self.note(str(error))
        else:
            self.stderr.write(f"Error: {error}")
        sys.exit(error.returncode)

    def execute(self, *args: Any, **options: Any) -> Any:
        self.as_json = bool(options.get("json"))
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError(f"Interrupted: {self.describe_interruption()}", returncode=EXIT_INTERRUPTED) from None

    def describe_interruption(self) -> str:
        """A sentence on the changes that the command made before it was interrupted."""
        return "the command is done, but its output may be incomplete." if self.is_done else "nothing was changed."

    def note(self, text: str) -> None:
        """Print a message to standard error that is no error, and so is not in red."""
        self.stderr.write(text, str)

    def report(self, text: str, result: Mapping[str, Any]) -> None:
        """Print the result of the command. Characters that the terminal cannot show are escaped.

        Args:
            text: for people.
            result: for --json, with names in camel case, as in the API.

        Raises:
            CommandError: the output failed. The error of a command that has changed something has the result.
        """
        self.is_done = not self.only_reads
        if self.as_json:
            text = json.dumps(result)
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            self.write_output(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            if not self.only_reads:
                problem = f"The command is done, but its output could not be written ({error.strerror}):\n{text}"
            elif isinstance(error, BrokenPipeError):
                return
            else:
                problem = f"The output could not be written ({error.strerror})."
            raise CommandError(problem, returncode=EXIT_NOT_WRITTEN) from None

    def write_output(self, text: str) -> None:
        """Write to standard output, not only into its buffer.

        Raises:
            OSError: the output failed, or standard output is closed.
        """
        if sys.stdout is None:
            raise OSError(errno.EBADF, "standard output is closed")
        try:
            self.stdout.write(text)
            self.stdout.flush()
        except BaseException:
            discard_stdout()
            raise
