"""The base of the commands about pools."""

import os
import re
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from typing import BinaryIO, ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db.models import Q
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from accounts.audit import AuditContext
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.text import is_one_line
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand
from keygen_site.wording import count_of, was
from licensing.models import Policy
from pools.key_files import escape_text
from pools.management.output_files import database_files, is_same_file
from pools.models import Key, KeyImport
from pools.services.import_changes import ImportChange
from pools.services.keys import KeyNotFound

MAX_LISTED = 20  # policies or imports that an option may mean


class PoolCommand(ProjectCommand):
    """A command about pools."""

    @property
    def audit(self) -> AuditContext:
        """The audit context for the ledger: the command is the operator."""
        return AuditContext.of_command(self)

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
        """Standard input. At a terminal, prints a prompt first.

        Raises:
            CommandError: it is closed.
        """
        if sys.stdin is None:
            raise CommandError("Standard input is closed.", returncode=2)
        if sys.stdin.isatty():
            self.note(f"Reading {content} from standard input. Ctrl-D ends the input.")
        return sys.stdin.buffer

    def refusal(self, error: DomainError, policy: Policy) -> CommandError:
        """The error of a command that names a key, from the error of the service."""
        if isinstance(error, KeyNotFound):
            return CommandError(f"The pool of {policy.name!r} has no such key.", returncode=2)
        return CommandError(f"The key {error.detail}.")

    def report_key(self, key: Key, state: str) -> None:
        """Report the new state of a key, without its text."""
        self.report(f"The key {key.masked} {state}.", {"key": {"id": str(key.pk), "state": key.state}})

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


class ImportChangeCommand(PoolCommand):
    """A command that changes the available keys of an import, in many transactions."""

    participle: ClassVar[str]
    changed = 0

    def note_progress(self, changed: int) -> None:
        self.changed = changed

    def describe_interruption(self) -> str:
        if self.is_done:
            return super().describe_interruption()
        return f"{self.describe_changed()}. Repeat the command for the others."

    def describe_changed(self) -> str:
        return f"{count_of(self.changed, 'key')} {was(self.changed)} {self.participle}"

    def report_change(self, key_import: KeyImport, result: ImportChange, where: str = "") -> None:
        self.changed = result.changed
        text = f"{self.describe_changed()}{where}. {result.describe_left()}"
        self.report(text, {"import": str(key_import.pk), **result.as_dict()})


def list_policies(policies: list[Policy]) -> str:
    """The first policies, one on each line."""
    lines = [f"  {policy.pk}  {policy.account.slug}  {policy.name}" for policy in policies[:MAX_LISTED]]
    return "\n".join(lines + ["  …"] * (len(policies) > MAX_LISTED))


def list_imports(imports: list[KeyImport]) -> str:
    """The first imports, one on each line."""
    lines = [
        f"  {each.pk}  {each.created:%Y-%m-%d %H:%M}  {count_of(each.added, 'key')}" for each in imports[:MAX_LISTED]
    ]
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
