"""Naming a pool at the command line."""

import re

from django.core.management.base import BaseCommand, CommandError
from django.db.models import Q

from accounts.bearers import Origin
from accounts.models import Account
from keygen_site.ids import as_uuid
from licensing.models import Policy

SHOWN = 20  # candidates


class PolicyCommand(BaseCommand):
    """Base of the commands about pools.

    Exit codes: 0 done, 1 it failed, 2 wrong usage; others as the command says.
    """

    @property
    def origin(self):
        """Who acts, for the ledger: the command."""
        return Origin(operator=f"manage.py {type(self).__module__.rpartition('.')[2]}")

    def add_policy(self, parser, *, required=True):
        parser.add_argument("--policy", required=required, help="whose pool: an id, a name, or the beginning of one")
        parser.add_argument("--account", help="where several accounts have such a policy: an id or slug")

    def find_account(self, identifier):
        account = Account.objects.named(identifier).first()
        if account is None:
            raise CommandError(f"There is no account {identifier!r}.", returncode=2)
        return account

    def find_policy(self, *, policy, account):
        """The policy with a pool that somebody means.

        Raises:
            CommandError: none or several; those are listed.
        """
        policies = Policy.objects.filter(use_pool=True).select_related("account", "product").order_by("name", "id")
        if account:
            policies = policies.filter(account=self.find_account(account))
        meant = [Q(name=policy), Q(name__istartswith=policy)]
        if uuid := as_uuid(policy):
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


def listed(policies):
    """Policies, a line each."""
    lines = [f"  {policy.pk}  {policy.account.slug}  {policy.name}" for policy in policies[:SHOWN]]
    return "\n".join(lines + ["  …"] * (len(policies) > SHOWN))
