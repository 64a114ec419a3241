from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account, SigningKey
from accounts.signing.algorithms import KEY_KINDS
from keygen_site.management.options import name


class Command(BaseCommand):
    """Gives an account new signing keys. The public keys of the old ones stay published, as `meta.retiredKeys`.

    The old private keys are deleted. Prints the new public keys. Exit codes: 0 rotated, 1 failed, 2 wrong usage.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("account", type=name, help="id or slug of the account")
        parser.add_argument(
            "--algorithm",
            action="append",
            choices=KEY_KINDS,
            help="only the key of this algorithm; may be repeated (default: all)",
        )

    def handle(self, *, account: str, algorithm: list[str] | None, **options: Any) -> None:
        found = Account.objects.by_identifier(account).first()
        if found is None:
            raise CommandError(f"There is no account {account}.", returncode=2)
        for key in SigningKey.objects.rotate(found, *(algorithm or KEY_KINDS)):
            self.stdout.write(f"{key.kind} {key.public}")
