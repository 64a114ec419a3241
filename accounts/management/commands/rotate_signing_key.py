from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.audit import AuditContext
from accounts.models import Account, Activity, SigningKey
from accounts.signing.algorithms import KEY_KINDS
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Gives an account new signing keys. The public keys of the old ones stay published, as `meta.retiredKeys`.

    The old private keys are deleted. Prints the new public keys.
    """

    examples = (
        "acme",
        "acme --algorithm ed25519",
    )

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
        with transaction.atomic():
            keys = list(SigningKey.objects.rotate(found, *(algorithm or KEY_KINDS)))
            Activity.objects.record(Activity.Event.KEYS_ROTATED, found, AuditContext.of_command(self))
        self.report(
            "\n".join(f"{key.kind} {key.public}" for key in keys),
            {"account": found.slug, "keys": [{"algorithm": key.kind, "publicKey": key.public} for key in keys]},
        )
