import sys
from getpass import getpass
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account, User
from accounts.services import change_user
from keygen_site.management.options import name


class Command(BaseCommand):
    """Sets the password of a user, and ends the user's sessions and API tokens.

    Asks for the password twice; without a terminal, reads it from the first line of standard input.

    Exit codes: 0 changed, 1 failed, 2 wrong usage.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", type=name, help="email address of the user")
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--account", type=name, help="slug or id of the account, if several have such a user")
        which.add_argument("--superuser", action="store_true", help="the superuser with this email address")

    def handle(self, *, email: str, account: str | None, superuser: bool, **options: Any) -> None:
        user = self.find_user(email.strip().lower(), account, superuser)
        try:
            change_user(user, {"password": self.read_password(user)})
        except ValidationError as error:
            raise CommandError(f"The password {'; '.join(error.messages)}. Nothing was changed.") from None
        self.stderr.write(f"The password of {user} was changed. Sessions and API tokens have ended.")

    def read_password(self, user: User) -> str:
        if not sys.stdin.isatty():
            return sys.stdin.readline().rstrip("\r\n")
        password = getpass(f"New password of {user}: ")
        if getpass("The same again: ") != password:
            raise CommandError("The two passwords differ. Nothing was changed.")
        return password

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
