from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.audit import AuditContext
from accounts.management.passwords import ask_password, read_variable
from accounts.models import Account, Activity, User
from accounts.services import change_user
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Sets the password of a user, and ends the user's sessions and API tokens.

    Asks for the password twice; without a terminal, reads it from the first line of standard input.
    """

    examples = (
        "ann@acme.test",
        "ann@acme.test --account acme --password-variable NEW_PASSWORD",
        "root@example.com --superuser < password.txt",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", type=name, help="email address of the user")
        parser.add_argument(
            "--password-variable", type=name, metavar="NAME", help="read the password from this environment variable"
        )
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--account", type=name, help="slug or id of the account, if several have such a user")
        which.add_argument("--superuser", action="store_true", help="the superuser with this email address")

    def handle(
        self, *, email: str, account: str | None, superuser: bool, password_variable: str | None, **options: Any
    ) -> None:
        user = self.find_user(email.strip().lower(), account, superuser)
        password = read_variable(password_variable) if password_variable else ask_password(str(user))
        try:
            with transaction.atomic():
                change_user(user, {"password": password})
                Activity.objects.record(Activity.Event.PASSWORD_CHANGED, user, AuditContext.of_command(self))
        except ValidationError as error:
            raise CommandError(f"The password {'; '.join(error.messages)}. Nothing was changed.") from None
        self.report(
            f"The password of {user} was changed. Sessions and API tokens have ended.",
            {"email": user.email, "account": user.account and user.account.slug},
        )

    def find_user(self, email: str, account: str | None, superuser: bool) -> User:
        users = User.objects.filter(email=email).select_related("account")
        if superuser:
            users = users.filter(account=None)
        elif account:
            users = users.filter(account__in=Account.objects.by_identifier(account))
        found = list(users[:10])
        if not found:
            raise CommandError(f"There is no such user with the email {email}.")
        if len(found) > 1:
            ways = ", ".join(f"--account {user.account.slug}" if user.account else "--superuser" for user in found)
            raise CommandError(f"There are several users with the email {email}. Choose one of: {ways}")
        return found[0]
