"""The base of the commands about pools."""

import errno
import json
import os
import re
import signal
import stat
import sys
import tempfile
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, BinaryIO, TextIO

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.audit import AuditContext
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.text import is_one_line
from keygen_site.management.options import name
from licensing.models import License, Policy
from pools.key_files import escape_text
from pools.models import Key, KeyImport
from pools.services.keys import KeyNotFound

MAX_LISTED = 20  # policies or imports that an option may mean
EXIT_NOT_WRITTEN = 5
EXIT_INTERRUPTED = 130


class PoolCommand(BaseCommand):
    """A command about pools.

    Exit codes: 0 done, 1 failed, 2 wrong usage, 5 the output could not be written, 130 interrupted; some commands have
    more.
    """

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            return super().execute(*args, **options)
        except KeyboardInterrupt:
            raise CommandError("Interrupted.", returncode=EXIT_INTERRUPTED) from None

    def report(self, text: str) -> None:
        """Print the result of what the command has done. Characters that the terminal cannot show are escaped.

        Raises:
            CommandError: the output failed. The error has the result.
        """
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            self.write_output(text.encode(encoding, "backslashreplace").decode(encoding))
        except OSError as error:
            raise CommandError(
                f"The command is done, but its output could not be written ({error.strerror}):\n{text}",
                returncode=EXIT_NOT_WRITTEN,
            ) from None

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

    @property
    def audit(self) -> AuditContext:
        """The audit context for the ledger: the command is the operator."""
        return AuditContext(operator=f"manage.py {type(self).__module__.rpartition('.')[2]}")

    def add_policy(self, parser: CommandParser, *, required: bool = True) -> None:
        parser.add_argument(
            "--policy",
            type=name,
            required=required,
            help="policy of the pool: its id or name, or the beginning of either",
        )
        parser.add_argument("--account", type=name, help="account of the policy: its id or slug")

    def find_account(self, identifier: str) -> Account:
        account = Account.objects.by_identifier(identifier).first()
        if account is None:
            raise CommandError(f"There is no account {identifier!r}.", returncode=2)
        return account

    def find_policy(self, *, policy: str, account: str | None) -> Policy:
        """The policy with a pool that the options name.

        Raises:
            CommandError: there is none, or several; the error lists the candidates.
        """
        policies = Policy.objects.filter(use_pool=True).select_related("account", "product").order_by("name", "id")
        if account is not None:
            policies = policies.filter(account=self.find_account(account))
        conditions = [Q(name=policy), Q(name__istartswith=policy)]
        if uuid := parse_uuid(policy):
            conditions.insert(0, Q(pk=uuid))
        elif re.fullmatch(r"[0-9a-fA-F-]+", policy):
            conditions[1] |= Q(pk__startswith=policy.lower())
        for condition in conditions:
            found = list(policies.filter(condition)[: MAX_LISTED + 1])
            if len(found) == 1:
                return found[0]
            if found:
                raise CommandError(f"Several policies match {policy!r}:\n{list_policies(found)}", returncode=2)
        known = list(policies[: MAX_LISTED + 1])
        raise CommandError(
            f"No policy with a pool matches {policy!r}." + (f" There are:\n{list_policies(known)}" if known else ""),
            returncode=2,
        )

    def find_import(self, policy: Policy, text: str) -> KeyImport:
        """The import into the pool of a policy that an option names by its id or name.

        Raises:
            CommandError: there is none, or several.
        """
        uuid = parse_uuid(text)
        imports = policy.key_imports.filter(loading=None, **({"pk": uuid} if uuid else {"name": text})).order_by("id")
        found = list(imports[: MAX_LISTED + 1])
        if len(found) == 1:
            return found[0]
        if found:
            raise CommandError(
                f"Several imports have the name {text!r}. Choose one by its id:\n{list_imports(found)}", returncode=2
            )
        raise CommandError(f"No import into the pool of {policy.name!r} has the id or name {text!r}.", returncode=2)

    def add_key(self, parser: CommandParser) -> None:
        parser.add_argument(
            "key", type=name, help="id of the key; - to read the key itself from standard input, away from the shell"
        )

    def find_key(self, policy: Policy, argument: str) -> str:
        """The text of the key that an argument names.

        Raises:
            CommandError: it is not an id of a key of the pool, or standard input has no single line.
        """
        if argument == "-":
            return self.read_key()
        uuid = parse_uuid(argument)
        key = policy.pool.filter(pk=uuid).first() if uuid else None
        if key is None:
            raise CommandError(
                f"The pool of {policy.name!r} has no key with the id {argument!r}. To name a key by its text, write - "
                "and pass the key on standard input.",
                returncode=2,
            )
        return key.key

    def read_key(self) -> str:
        """The key on standard input, which is UTF-8 in any locale.

        Raises:
            CommandError: standard input has no single line.
        """
        content = self.open_stdin("the key").read()
        line = content.removesuffix(b"\n").removesuffix(b"\r")
        if not line or b"\n" in line:
            raise CommandError("Standard input must have one line with the key.", returncode=2)
        try:
            return line.decode()
        except UnicodeDecodeError:
            raise CommandError("Standard input must be UTF-8.", returncode=2) from None

    def open_stdin(self, content: str) -> BinaryIO:
        """Standard input. A person at a terminal is told what to enter.

        Raises:
            CommandError: it is closed.
        """
        if sys.stdin is None:
            raise CommandError("Standard input is closed.", returncode=2)
        if sys.stdin.isatty():
            self.stderr.write(f"Reading {content} from standard input. Ctrl-D ends the input.")
        return sys.stdin.buffer

    def refusal(self, error: DomainError, policy: Policy) -> CommandError:
        """The error of a command that names a key, from the error of the service."""
        if isinstance(error, KeyNotFound):
            return CommandError(f"The pool of {policy.name!r} has no such key.", returncode=2)
        return CommandError(f"The key {error.detail}.")

    def add_reference(self, parser: CommandParser) -> None:
        parser.add_argument("--reference", default="", help="reference for the ledger, e.g. an order number")

    def add_reason(self, parser: CommandParser, example: str) -> None:
        parser.add_argument("--reason", default="", help=f"reason for the ledger, e.g. {example}")

    def audit_with(self, reference: str) -> AuditContext:
        """The audit context with the reference of an option.

        Raises:
            CommandError: the reference is too long, or not one line.
        """
        self.check_label("--reference", reference)
        return replace(self.audit, reference=reference)

    def check_label(self, option: str, text: str) -> None:
        """Check a text that is stored. It may be empty.

        Raises:
            CommandError: it is too long, or has control characters or bytes that are not UTF-8.
        """
        if len(text) > 255 or not is_one_line(text):
            raise CommandError(f"{option} must have 255 characters at most, without control characters.", returncode=2)

    def check_output(self, option: str, path: str, inputs: Iterable[str] = (), *, force: bool) -> None:
        """Check that the output file is not a file that the command reads, also not through a link.

        Args:
            inputs: the paths of the input files. The files of an SQLite database are checked in any case.
            force: whether an existing file may be replaced.

        Raises:
            CommandError: writing would destroy an input file, or an existing file without `force`.
        """
        for read in [*inputs, *database_files()]:
            if os.path.isfile(path) and is_same_file(path, read):
                raise CommandError(
                    f"{option}: {escape_text(path)} is a file that this command reads. Choose another output file.",
                    returncode=2,
                )
        if os.path.isfile(path) and not force:
            raise CommandError(
                f"{option}: {escape_text(path)} exists. Choose another file, or replace it with --force.", returncode=2
            )


class PrintingCommand(PoolCommand):
    """A command that hands out keys by printing them. A key that was popped is printed, or named on standard error."""

    def format_keys(self, keys: list[Key], *, as_json: bool) -> str:
        """The output, which standard output can take.

        Raises:
            CommandError: it cannot. The pop is rolled back.
        """
        if sys.stdout is None:
            raise CommandError("Standard output is closed, so nothing was changed.")
        if as_json:
            return json.dumps([{"id": str(key.pk), "key": key.key} for key in keys])
        text = "\n".join(key.key for key in keys)
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            raise CommandError(
                f"The next key cannot be printed in the encoding {encoding}, so nothing was changed. Use --json, or "
                "set PYTHONIOENCODING=utf-8."
            ) from None
        return text

    def hand_out(self, pop: Callable[[], list[Key]], policy: Policy, *, as_json: bool) -> None:
        """Pop keys in a transaction, and print them after its commit.

        Raises:
            CommandError: the output failed or was interrupted. It names the popped keys and says how to return them.
            DomainError: from `pop`.
        """
        keys: list[Key] = []
        try:
            with exit_on_sigterm():
                with transaction.atomic():
                    keys = pop()
                    text = self.format_keys(keys, as_json=as_json)
                self.write_output(text)
        except OSError as error:
            raise CommandError(describe_loss(keys, policy, str(error.strerror)), returncode=EXIT_NOT_WRITTEN) from None
        except (KeyboardInterrupt, SystemExit):
            raise CommandError(describe_loss(keys, policy, "Interrupted"), returncode=EXIT_INTERRUPTED) from None


def describe_loss(keys: list[Key], policy: Policy, problem: str) -> str:
    """A text about keys whose output failed: the ids of those that are popped, and how to return or read them."""
    popped = list(Key.objects.filter(pk__in=[key.pk for key in keys], popped__isnull=False).order_by("id"))
    if not popped:
        return f"{problem}: nothing was changed."
    was = "key was" if len(popped) == 1 else "keys were"
    lines = [f"{problem}: {len(popped)} popped {was} not printed completely."]
    returnable, disclosed = [], []
    for key in popped:
        if license := License.objects.filter(account=policy.account_id).with_key(key.key).first():
            lines.append(f"The license {license.pk} has the key {key.pk}: read it there.")
        elif key.disclosure == Key.Disclosure.POPPED:
            returnable.append(key)
        else:
            disclosed.append(key)
    if returnable:
        lines.append("Return those that reached no one to their pool:")
        lines += [f"  manage.py return_key {key.pk} --policy {policy.pk} --undelivered" for key in returnable]
    if disclosed:
        ids = ", ".join(str(key.pk) for key in disclosed)
        lines.append(f"These were exported or revealed before, so they cannot be returned: {ids}")
        lines.append(f"Read them with: manage.py export_keys --state popped --policy {policy.pk}")
    return "\n".join(lines)


@contextmanager
def open_output(path: str, *, force: bool) -> Iterator[TextIO]:
    """Open a file to write that only its owner can read: a temporary file, which is renamed at the end.

    If the context ends with an error, an existing file is unchanged. Devices and pipes are written directly.

    Args:
        force: whether an existing file may be replaced. `PoolCommand.check_output` checks this before the work begins.

    Raises:
        CommandError: the file cannot be written.
    """
    shown, target, temporary = escape_text(path), os.path.realpath(path), None
    try:
        if is_special(path):
            descriptor = os.open(path, os.O_WRONLY)
        else:  # made with mode 0600
            descriptor, temporary = tempfile.mkstemp(dir=os.path.dirname(target), prefix=".keys-")
    except OSError as error:
        raise CommandError(f"{shown}: {error.strerror}") from None
    with exit_on_sigterm():
        try:
            with open(descriptor, "w", encoding="utf-8", newline="") as out:
                yield out
                out.flush()
                if temporary:
                    os.fsync(descriptor)
                    if not force and os.path.lexists(target):
                        raise CommandError(f"{shown} exists by now. Choose another file, or replace it with --force.")
                    os.replace(temporary, target)
        except OSError as error:
            raise CommandError(f"{shown}: {error.strerror}", returncode=EXIT_NOT_WRITTEN) from None
        finally:
            if temporary:
                with suppress(FileNotFoundError):
                    os.unlink(temporary)


def is_special(path: str) -> bool:
    """Whether a path leads to something else than a file, e.g. a device or a pipe. False if there is nothing yet.

    Raises:
        OSError: a file cannot be made there either, e.g. because the name is too long.
    """
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Let the signal SIGTERM end the process by an exception, so that temporary files are deleted."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def discard_stdout() -> None:
    """Redirect standard output, which is broken, so that Python does not fail once more when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def database_files() -> list[str]:
    """The paths of the SQLite database's files; none on PostgreSQL."""
    if connection.vendor != "sqlite":
        return []
    database = str(connection.settings_dict["NAME"])
    return [database, f"{database}-wal", f"{database}-shm"]


def is_same_file(one: str, other: str) -> bool:
    """Whether two paths lead to the same file. False if either does not exist."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def list_policies(policies: list[Policy]) -> str:
    """The first policies, one on each line."""
    lines = [f"  {policy.pk}  {policy.account.slug}  {policy.name}" for policy in policies[:MAX_LISTED]]
    return "\n".join(lines + ["  …"] * (len(policies) > MAX_LISTED))


def list_imports(imports: list[KeyImport]) -> str:
    """The first imports, one on each line."""
    lines = [f"  {each.pk}  {each.created:%Y-%m-%d %H:%M}  {each.added:,} keys" for each in imports[:MAX_LISTED]]
    return "\n".join(lines + ["  …"] * (len(imports) > MAX_LISTED))


def parse_day_or_time(text: str) -> datetime:
    """A day or time, in UTC unless it has an offset."""
    error = ArgumentTypeError(f"{text!r} is not a day or time such as 2026-01-31 or 2026-01-31T12:00:00Z")
    try:
        day = parse_date(text)
        found = datetime(day.year, day.month, day.day) if day else parse_datetime(text)
        if found is None:
            raise error
        return (timezone.make_aware(found) if timezone.is_naive(found) else found).astimezone(UTC)
    except (ValueError, OverflowError):
        raise error from None
