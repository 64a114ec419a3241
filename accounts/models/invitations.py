"""Invitations of people to the team of an account."""

from datetime import datetime, timedelta

from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from accounts.models.accounts import Account
from accounts.models.users import EmailField, User, validate_email
from keygen_site.models import Resource

INVITATION_LIFETIME = timedelta(days=7)


class Invitation(Resource):
    """An invitation of a person to the team of an account. It is deleted when it is accepted or revoked.

    Attributes:
        role, group: of the person after joining.
        inviter: who sent the last link. The invitation is void when they may no longer give this role.
        sent: when the last link was made. Earlier links do not work.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="invitations")
    email = EmailField(max_length=255, validators=[validate_email])
    role = models.CharField(max_length=16, choices=User.Role)
    group = models.ForeignKey(Group, models.CASCADE, related_name="+")
    inviter = models.ForeignKey(User, models.CASCADE, related_name="+")
    sent = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "email"], name="accounts_invitation_unique"),
        ]
        indexes = [models.Index(fields=["account", "id"], name="accounts_invitation_listed")]
        default_permissions = ()  # those to add users

    def __str__(self) -> str:
        return self.email

    @property
    def name(self) -> str:
        """The name in records of changes."""
        return self.email

    @property
    def expires(self) -> datetime:
        """When the last link stops working."""
        return self.sent + INVITATION_LIFETIME

    @property
    def is_expired(self) -> bool:
        return self.expires <= timezone.now()

    def clean(self) -> None:
        if User.objects.filter(account=self.account_id, email=self.email).exists():
            problem = "This email belongs to a user of the account already."
        elif Invitation.objects.filter(account=self.account_id, email=self.email).exclude(pk=self.pk).exists():
            problem = "This person is invited already. Resend the invitation instead."
        else:
            return
        raise ValidationError({"email": ValidationError(problem, code="taken")})
