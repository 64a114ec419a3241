"""Naming a pool at the command line, and what else the commands about pools share."""

import os
import re
from collections.abc import Iterable

from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.models import Q

from accounts.audit import AuditContext
from accounts.models import Account
from keygen_site.db.uuids import parse_uuid
from keygen_site.management.options import name
from licensing.models import Policy
from pools.key_files import escaped

SHOWN = 20  # candidates


class PoolCommand(BaseCommand):
    """Base of the commands about pools.

    Exit codes: 0 done, 1 it failed, 2 wrong usage; others as the command says.
    """

    @property
    def audit(self):
        """Who acts, for the ledger: the command."""
        return AuditContext(operator=f"manage.py {type(self).__module__.rpartition('.')[2]}")

    def add_policy(self, parser, *, required=True):
        parser.add_argument(
            "--policy", type=name, required=required, help="whose pool: an id, a name, or the beginning of one"
        )
        parser.add_argument("--account", type=name, help="where several accounts have such a policy: an id or slug")

    def find_account(self, identifier):
        account = Account.objects.by_identifier(identifier).first()
        if account is None:
            raise CommandError(f"There is no account {identifier!r}.", returncode=2)
        return account

    def find_policy(self, *, policy, account):
        """The policy with a pool that somebody means.

        Raises:
            CommandError: none or several; those are listed.
        """
        policies = Policy.objects.filter(use_pool=True).select_related("account", "product").order_by("name", "id")
        if account is not None:
            policies = policies.filter(account=self.find_account(account))
        meant = [Q(name=policy), Q(name__istartswith=policy)]
        if uuid := parse_uuid(policy):
            meant.insert(0, Q(pk=uuid))
        elif re.fullmatch(r"[0-9a-fA-F-]+", policy):
            meant[1] |= Q(pk__startswith=policy.lower())
        for those in meant:
            found = list(policies.filter(those)[: SHOWN + 1])
            if len(found) == 1:
                return found[0]
            if found:
                raise CommandError(f"Several policies are meant by {policy!r}:\n{listed(found)}", returncode=2)
        known = list(policies[: SHOWN + 1])
        raise CommandError(
            f"No policy with a pool is meant by {policy!r}. " + (f"There are:\n{listed(known)}" if known else ""),
            returncode=2,
        )

    def check_label(self, option: str, text: str) -> None:
        """Check a text that is only kept, not looked up. It may be empty.

        Raises:
            CommandError: it is too long, or has control characters or bytes that are not UTF-8.
        """
        if len(text) > 255 or not text.isprintable():
            raise CommandError(f"{option} must have 255 characters at most, without control ones.", returncode=2)

    def check_output(self, option: str, path: str, inputs: Iterable[str] = ()) -> None:
        """Check that a file to be written is none that the command reads, also by way of a link.

        Args:
            inputs: paths of the files that are read, besides those of an SQLite database.

        Raises:
            CommandError: writing it would destroy the file that is read.
        """
        for read in [*inputs, *database_files()]:
            if os.path.isfile(path) and is_same_file(path, read):
                raise CommandError(
                    f"{option}: {escaped(path)} is a file that this command reads; choose another one to write.",
                    returncode=2,
                )


def database_files() -> list[str]:
    """Return the paths of the SQLite database and the files beside it; none on PostgreSQL."""
    if connection.vendor != "sqlite":
        return []
    database = str(connection.settings_dict["NAME"])
    return [database, f"{database}-wal", f"{database}-shm"]


def is_same_file(one: str, other: str) -> bool:
    """Return whether two paths lead to one file; a file that is not there is no other's."""
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def listed(policies):
    """Policies, a line each."""
    lines = [f"  {policy.pk}  {policy.account.slug}  {policy.name}" for policy in policies[:SHOWN]]
    return "\n".join(lines + ["  …"] * (len(policies) > SHOWN))
