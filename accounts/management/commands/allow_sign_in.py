from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction
from django.db.models import Q

from accounts.audit import AuditContext
from accounts.ip_addresses import normalize_ip
from accounts.known_addresses import KNOWN_FOR, remember_address
from accounts.models import Account, Activity, User
from keygen_site.management.options import name
from keygen_site.management.project_command import ProjectCommand


class Command(ProjectCommand):
    """Lets a user sign in from an IP address, even while others guess the password from many addresses."""

    examples = (
        "ann@acme.test 192.0.2.1 --account acme",
        "root@example.com 2001:db8::1",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("email", type=name, help="email address of the user")
        parser.add_argument("ip_address", type=name, help="IP address that the user signs in from")
        parser.add_argument("--account", type=name, help="short name or id of the account (default: a superuser)")

    def handle(self, *, email: str, ip_address: str, account: str | None, **options: Any) -> None:
        address = normalize_ip(ip_address)
        if not address:
            raise CommandError(f"{ip_address} is no IP address. Write it as 192.0.2.1 or 2001:db8::1.")
        scope = Q(account__in=Account.objects.by_identifier(account)) if account else Q(account=None)
        user = User.objects.filter(scope, email=email).first()
        if user is None:
            where = f"in the account {account}" if account else "among the superusers (--account names an account)"
            raise CommandError(f"No user has the email {email} {where}.")
        with transaction.atomic():
            remember_address(user, address)
            Activity.objects.record(Activity.Event.SIGN_IN_ALLOWED, user, AuditContext.of_command(self))
        self.report(
            f"{user.email} may sign in from {address} for {KNOWN_FOR.days} days.",
            {"email": user.email, "ipAddress": str(address), "days": KNOWN_FOR.days},
        )
