from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.audit import AuditContext
from accounts.management.passwords import ask_password, read_variable
from accounts.models import Activity
from accounts.services import create_account, give_operator_access
from keygen_site.management.options import name as name_type
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Creates an account, its first admin, and a token for the admin, which is shown once.

    With a password the admin can sign in to the API and, as an Operator, to the console.
    """

    examples = (
        'acme ann@acme.test --name "Acme Inc."',
        "acme ann@acme.test --password",
        "acme ann@acme.test --password-variable ACME_PASSWORD --json",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("slug", type=name_type, help="short name of the account, as in /v1/accounts/<slug>/…")
        parser.add_argument("email", type=name_type, help="email address of its first admin")
        parser.add_argument("--name", type=name_type, help="full name of the account (default: the slug)")

        password = parser.add_mutually_exclusive_group()
        password.add_argument("--password", action="store_true", help="ask for a password of the admin")
        password.add_argument(
            "--password-variable", type=name_type, metavar="NAME", help="the environment variable with the password"
        )

    def handle(
        self,
        *,
        slug: str,
        email: str,
        name: str | None,
        password: bool,
        password_variable: str | None,
        **options: Any,
    ) -> None:
        secret = read_variable(password_variable) if password_variable else ask_password(email) if password else None
        try:
            with transaction.atomic():
                account, admin, token = create_account(slug=slug, name=name or slug, email=email, password=secret)
                Activity.objects.record(Activity.Event.CREATED, account, AuditContext.of_command(self))
                if secret is not None:
                    give_operator_access(admin)
        except ValidationError as error:
            problems = "; ".join(f"{field} {' and '.join(said)}" for field, said in error.message_dict.items())
            raise CommandError(problems) from None
        if not self.as_json:
            self.note(f"Account {account.slug} ({account.pk}). The token of {email}, shown only now:")
        self.report(
            token,
            {
                "account": {"id": str(account.pk), "slug": account.slug, "name": account.name},
                "admin": {"id": str(admin.pk), "email": admin.email},
                "token": token,
            },
        )
