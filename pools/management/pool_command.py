"""The base of the commands about pools."""

import os
import re
from collections.abc import Iterable

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.models import Q

from accounts.audit import AuditContext
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.management.options import name
from licensing.models import Policy
from pools.key_files import escape_text

MAX_LISTED_POLICIES = 20


class PoolCommand(BaseCommand):
    """A command about pools.

    Exit codes: 0 done, 1 failed, 2 wrong usage; some commands have more.
    """

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
            found = list(policies.filter(condition)[: MAX_LISTED_POLICIES + 1])
            if len(found) == 1:
                return found[0]
            if found:
                raise CommandError(f"Several policies match {policy!r}:\n{list_policies(found)}", returncode=2)
        known = list(policies[: MAX_LISTED_POLICIES + 1])
        raise CommandError(
            f"No policy with a pool matches {policy!r}." + (f" There are:\n{list_policies(known)}" if known else ""),
            returncode=2,
        )

    def check_label(self, option: str, text: str) -> None:
        """Check a text that is stored. It may be empty.

        Raises:
            CommandError: it is too long, or has control characters or bytes that are not UTF-8.
        """
        if len(text) > 255 or not text.isprintable():
            raise CommandError(f"{option} must have 255 characters at most, without control characters.", returncode=2)

    def check_output(self, option: str, path: str, inputs: Iterable[str] = ()) -> None:
        """Check that the output file is not a file that the command reads, also not through a link.

        Args:
            inputs: the paths of the input files. The files of an SQLite database are checked in any case.

        Raises:
            CommandError: writing would destroy an input file.
        """
        for read in [*inputs, *database_files()]:
            if os.path.isfile(path) and is_same_file(path, read):
                raise CommandError(
                    f"{option}: {escape_text(path)} is a file that this command reads. Choose another output file.",
                    returncode=2,
                )


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
    lines = [f"  {policy.pk}  {policy.account.slug}  {policy.name}" for policy in policies[:MAX_LISTED_POLICIES]]
    return "\n".join(lines + ["  …"] * (len(policies) > MAX_LISTED_POLICIES))
