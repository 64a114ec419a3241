from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from accounts.audit import AuditContext
from accounts.models import Account, Activity, User
from accounts.second_factors import remove_second_factor
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Removes the second factor of a user who lost the device and the recovery codes, and ends the user's sessions.

    For the last superuser; another superuser resets it in the console.
    """

    examples = (
        "root@example.com",
        "ann@acme.test --account acme",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", type=name, help="email address of the user")
        parser.add_argument("--account", type=name, help="id or slug of the user's account (default: a superuser)")

    def handle(self, *, email: str, account: str | None, **options: Any) -> None:
        users = User.objects.filter(email=email.strip().lower())
        if account is None:
            user = users.filter(account=None).first()
        else:
            user = users.filter(account__in=Account.objects.by_identifier(account)).first()
        if user is None:
            whose = f"in the account {account}" if account else "among the superusers: --account names another account"
            raise CommandError(f"There is no user {email} {whose}.", returncode=2)
        audit = AuditContext.of_command(self)
        with transaction.atomic():
            if not remove_second_factor(user, reset_by=audit.actor):
                raise CommandError(f"{email} has no second factor.")
            Activity.objects.record(Activity.Event.SECOND_FACTOR_OFF, user, audit)
        self.report(
            f"The second factor of {email} was removed. The next sign-in needs the password only.",
            {"email": user.email, "account": account and user.account.slug},
        )
