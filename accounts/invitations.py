"""Inviting people to the team of an account by a link in a mail.

The link has a signed token, which is not stored. It works once, for INVITATION_LIFETIME, and only while the invitation
is as it was when the link was made, the account is active, and the inviter still has the right to give this role and
group.
"""

from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.conf import settings
from django.contrib.auth.models import Group
from django.core import signing
from django.core.exceptions import ValidationError
from django.db import transaction
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts import rate_limits
from accounts.errors import LinkInvalid
from accounts.known_addresses import remember_address
from accounts.mail import can_send_mail, quote, send_mail
from accounts.models import Account, Invitation, User
from accounts.models.invitations import INVITATION_LIFETIME
from accounts.permissions import may_give_access
from keygen_site.jsonapi.errors import DomainError

MAX_INVITATIONS = 200  # pending ones of an account
_SALT = "accounts.invitations"


@dataclass(frozen=True)
class TeamRole:
    """A role in the team: a role of the API, and a group of the console.

    Attributes:
        group: the name of the group.
        help: a plain description of its permissions.
    """

    name: str
    label: str
    help: str
    role: str
    group: str


TEAM_ROLES = (
    TeamRole("admin", "Admin", "Everything in this account, including the team.", User.Role.ADMIN, "Operator"),
    TeamRole(
        "operator",
        "Operator",
        "Pools, keys, licenses, products and API tokens. Invites colleagues, but not admins.",
        User.Role.DEVELOPER,
        "Operator",
    ),
    TeamRole(
        "support", "Support", "Looks things up, suspends and renews licenses.", User.Role.SUPPORT_AGENT, "Support"
    ),
    TeamRole(
        "auditor", "Auditor", "Sees everything but full keys, and changes nothing.", User.Role.READ_ONLY, "Auditor"
    ),
)


class InvitationRefused(DomainError):
    """The operator may not give this role."""

    status = 403
    detail = "You can only invite people to roles that allow no more than your own."


class TooManyInvitations(DomainError):
    detail = f"{MAX_INVITATIONS} invitations are pending. Revoke those that are not needed."


def roles_to_give(operator: User) -> list[tuple[TeamRole, Group]]:
    """The roles that an operator may give to others, with their groups."""
    groups = {group.name: group for group in Group.objects.filter(name__in={each.group for each in TEAM_ROLES})}
    return [
        (each, groups[each.group])
        for each in TEAM_ROLES
        if each.group in groups and may_give_access(operator, each.role, groups[each.group])
    ]


def role_label(role: str, group: str) -> str:
    """The label of a role and a group, e.g. `Operator`."""
    labels = {(each.role, each.group): each.label for each in TEAM_ROLES}
    return labels.get((role, group), group)


@transaction.atomic
def invite(*, account: Account, email: str, role: str, group: Group, inviter: User) -> Invitation:
    """Invite a person to the team of an account. The mail is sent when the transaction commits.

    Raises:
        InvitationRefused: the inviter may not give this role, or not in this account.
        TooManyInvitations: too many are pending.
        TooManyRequests: the account has sent too many.
        ValidationError: by field; the email belongs to a user, or is invited already.
    """
    if inviter.account_id not in (None, account.pk) or not may_give_access(inviter, role, group):
        raise InvitationRefused
    if account.invitations.count() >= MAX_INVITATIONS:
        raise TooManyInvitations
    rate_limits.INVITATIONS.hit(account.pk)
    invitation = Invitation(account=account, email=email, role=role, group=group, inviter=inviter)
    invitation.validate_and_save()
    _mail_when_committed(invitation)
    return invitation


@transaction.atomic
def resend_invitation(invitation: Invitation, inviter: User) -> Invitation:
    """Make a new link, and mail it. The links before stop working. Who resends is the inviter from now on.

    Raises:
        InvitationRefused, TooManyRequests, ValidationError: as `invite()` does.
    """
    if inviter.account_id not in (None, invitation.account_id):
        raise InvitationRefused
    if not may_give_access(inviter, invitation.role, invitation.group):
        raise InvitationRefused
    rate_limits.INVITATIONS.hit(invitation.account_id)
    invitation.inviter, invitation.sent = inviter, timezone.now()
    invitation.save_changes("inviter", "sent")
    _mail_when_committed(invitation)
    return invitation


def make_link(invitation: Invitation) -> str:
    """The link of an invitation. Anyone who has it can join as the invited person."""
    token = signing.dumps({"invitation": str(invitation.pk), "state": invitation_state(invitation)}, salt=_SALT)
    return f"{settings.SITE_URL}{reverse('admin:join')}?token={token}"


def find_invitation(token: str) -> Invitation | None:
    """The invitation whose link has this token, if it can be accepted."""
    try:
        claims = signing.loads(token, salt=_SALT, max_age=INVITATION_LIFETIME)
    except signing.BadSignature:
        return None
    return open_invitation(claims["invitation"], claims["state"])


def open_invitation(id: UUID | str, state: str, *, locked: bool = False) -> Invitation | None:
    """The invitation with an id, if it is still in this state and can be accepted."""
    rows = Invitation.objects.select_related("account", "group", "inviter__account").filter(pk=id)
    invitation = (rows.select_for_update(of=("self",)) if locked else rows).first()
    if invitation is None or not constant_time_compare(state, invitation_state(invitation)):
        return None
    if invitation.is_expired or not invitation.account.is_active:
        return None
    if invitation.inviter.account_id not in (None, invitation.account_id):
        return None
    return invitation if may_give_access(invitation.inviter, invitation.role, invitation.group) else None


def invitation_state(invitation: Invitation) -> str:
    """A text that changes with everything that an invitation gives, and with each link. It reveals nothing."""
    facts = (invitation.account_id, invitation.email, invitation.role, invitation.group_id, invitation.inviter_id)
    text = " ".join([*map(str, facts), invitation.sent.isoformat()])
    return salted_hmac(_SALT, text, algorithm="sha256").hexdigest()[:32]


def accept_invitation(
    *, id: UUID | str, state: str, password: str, first_name: str = "", last_name: str = "", ip_address: str
) -> User:
    """Make the invited person a user of the account, with access to the console. The invitation is used up.

    Raises:
        LinkInvalid: the invitation is not in this state, or cannot be accepted.
        TooManyRequests: there were too many attempts from this IP address.
        ValidationError: by field; the password breaks the rule of `accounts.passwords`.
    """
    invitation = open_invitation(id, state)
    if invitation is None:
        raise LinkInvalid
    rate_limits.PASSWORD_CHANGES_BY_IP.hit(invitation.account_id, ip_address)
    user = User.objects.new_user(  # before the transaction: hashing is slow
        invitation.email,
        password,
        account=invitation.account,
        role=invitation.role,
        first_name=first_name or None,
        last_name=last_name or None,
        is_staff=True,
    )
    with transaction.atomic():
        invitation = open_invitation(id, state, locked=True)
        if invitation is None:
            raise LinkInvalid
        try:
            user.validate_and_save()
        except ValidationError as error:
            if "email" in error.error_dict:  # the person became a user in another way
                raise LinkInvalid from None
            raise
        user.groups.set([invitation.group])
        invitation.delete()
    remember_address(user, ip_address)
    return user


def _mail_when_committed(invitation: Invitation) -> None:
    if can_send_mail():
        transaction.on_commit(partial(_mail_link, invitation), robust=True)


def _mail_link(invitation: Invitation) -> None:
    account = quote(invitation.account.name)
    context = {
        "account": account,
        "inviter": quote(invitation.inviter.full_name or ""),
        "role": role_label(invitation.role, invitation.group.name),
        "link": make_link(invitation),
        "days": INVITATION_LIFETIME.days,
    }
    text = render_to_string("accounts/invitation.txt", context)
    send_mail(invitation.account, f"Your invitation to {account}", text, invitation.email)
