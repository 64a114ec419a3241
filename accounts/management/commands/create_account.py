from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.services import create_account
from keygen_site.management.options import name


class Command(BaseCommand):
    """Creates an account, its first admin, and a token for the admin, which is shown once.

    Exit codes: 0 created, 1 failed, 2 wrong usage.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", type=name, help="short name of the account, as in /v1/accounts/<slug>/…")
        parser.add_argument("email", type=name, help="email address of its first admin")
        parser.add_argument("--name", type=name, help="full name of the account (default: the slug)")

    def handle(self, *, slug: str, email: str, name: str | None, **options: Any) -> None:
        try:
            account, _, token = create_account(slug=slug, name=name or slug, email=email)
        except ValidationError as error:
            problems = "; ".join(f"{field} {' and '.join(said)}" for field, said in error.message_dict.items())
            raise CommandError(problems) from None
        self.stderr.write(f"Account {account.slug} ({account.pk}). The token of {email}, shown only now:")
        self.stdout.write(token)
