"""The base of the commands that print keys."""

import json
import sys
from collections.abc import Callable

from django.core.management.base import CommandError
from django.db import transaction

from keygen_site.management.project_command import EXIT_INTERRUPTED, EXIT_NOT_WRITTEN
from keygen_site.wording import count_of, was
from licensing.models import License, Policy
from pools.management.output_files import exit_on_sigterm
from pools.management.pool_command import PoolCommand
from pools.models import Key


class PrintingCommand(PoolCommand):
    """A command that hands out keys by printing them. A key that was popped is printed, or named on standard error."""

    def format_keys(self, keys: list[Key]) -> str:
        """The output, which standard output can take.

        Raises:
            CommandError: it cannot. The pop is rolled back.
        """
        if sys.stdout is None:
            raise CommandError("Standard output is closed, so nothing was changed.")
        if self.as_json:
            return json.dumps({"keys": [{"id": str(key.pk), "key": key.key} for key in keys]})
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

    def hand_out(self, pop: Callable[[], list[Key]], policy: Policy) -> None:
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
                    text = self.format_keys(keys)
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
    lines = [f"{problem}: {count_of(len(popped), 'popped key')} {was(len(popped))} not printed completely."]
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
