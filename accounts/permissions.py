"""Permissions and rank: what a bearer may do (contract: keys 0.4 and 5, platform 6.2)."""

from enum import StrEnum

from django.contrib.auth.models import Group
from django.db.models import Model, Q, QuerySet

from accounts.bearers import Bearer
from accounts.models import User
from accounts.models.tokens import role_of
from accounts.models.user_relations import user_relations
from accounts.roles import ALLOWED_ROLES, CONSOLE_RANK, RANKS, ROLE_PERMISSIONS
from keygen_site.jsonapi.errors import DomainError

NOT_ALLOWED = "ensure the token or license is allowed to access all resources"
NO_CREDENTIAL = "ensure a token or license is present and valid"  # for requests without a credential


class Forbidden(DomainError):
    """The bearer may see the resource, but not do this. `reason` names the rule, see `accounts.roles`."""

    status = 403
    title = "Access denied"

    def __init__(self, reason: str = NOT_ALLOWED) -> None:
        super().__init__(f"You do not have permission to complete the request ({reason})")


def is_permitted(permission: str, bearer: Bearer) -> bool:
    """Whether a bearer and the token hold a permission, and the role may use it."""
    return _why_not_held(permission, bearer) is None and bearer.role in ALLOWED_ROLES[permission]


def usable_permissions(role: str) -> frozenset[str]:
    """The permissions that a role holds and may use."""
    return frozenset(each for each in ROLE_PERMISSIONS[role] if role in ALLOWED_ROLES.get(each, ()))


def require(permission: str, bearer: Bearer) -> None:
    """Refuse a bearer who does not hold a permission, or whose role may not use it.

    Raises:
        Forbidden: with the reason.
    """
    require_held(permission, bearer)
    if bearer.role not in ALLOWED_ROLES[permission]:
        raise Forbidden


def require_held(permission: str, bearer: Bearer) -> None:
    """Refuse a bearer who does not hold a permission, or whose token is limited to others.

    Raises:
        Forbidden: with the reason.
    """
    if reason := _why_not_held(permission, bearer):
        raise Forbidden(reason)


def holds_all(role: str, bearer: Bearer) -> bool:
    """Whether a bearer and the token hold all standard permissions of a role."""
    return all(_why_not_held(permission, bearer) is None for permission in ROLE_PERMISSIONS[role])


def _why_not_held(permission: str, bearer: Bearer) -> str | None:
    if permission not in bearer.permissions:
        return f"{role_label(bearer.role)} lacks permission to perform action"
    if bearer.token_permissions is not None and permission not in bearer.token_permissions:
        return "token lacks permission to perform action"
    return None


def role_label(role: str) -> str:
    """A role as an error names it, e.g. `sales agent`."""
    return role.replace("-", " ")


class Change(StrEnum):
    """The ways to change a user that the rule of rank distinguishes."""

    PROFILE = "profile"  # names, metadata, role
    EMAIL = "email"
    PASSWORD = "password"
    TOKENS = "tokens"  # make or regenerate a token: the actor gets its text
    REVOKE = "revoke"  # delete a token
    BAN = "ban"
    UNBAN = "unban"
    DELETE = "delete"
    SECOND_FACTOR = "second factor"  # reset it for a user who lost the device
    CONSOLE = "console"  # access to the console, and the group there


# Changes that only give access or take it away. The actor cannot act in the user's name afterwards.
ACCESS = frozenset({Change.REVOKE, Change.BAN, Change.UNBAN, Change.DELETE, Change.CONSOLE})


def may_change(actor: Bearer, bearer: Model | None, change: Change = Change.PROFILE) -> bool:
    """Whether an actor's rank permits a change of a user, or of a token of a user, product or license."""
    return why_not_change(actor, bearer, change) is None


def require_change(actor: Bearer, bearer: Model | None, change: Change = Change.PROFILE) -> None:
    """Refuse a change that the actor's rank does not permit.

    Raises:
        Forbidden: with the reason.
    """
    if reason := why_not_change(actor, bearer, change):
        raise Forbidden(reason)


def why_not_change(actor: Bearer, bearer: Model | None, change: Change) -> str | None:
    """The reason why an actor may not change a user, or None: the only rule of rank, for the API and the console.

    Whether the actor sees the user and holds the permission is checked elsewhere.

    - Superusers change everyone, and everyone changes themselves. But only another superuser resets a second factor,
      and only another admin or a superuser decides about access to the console.
    - Users who may use the console are changed by themselves only, but admins decide about their access (`ACCESS`).
    - No one changes a user of a higher rank.
    - The email of another user is changed by admins, or by the user's product.
    - A product changes the profile only of a user who holds a license of another product.
    """
    if change == Change.SECOND_FACTOR and not (actor.is_superuser and bearer and bearer.pk != actor.id):
        return "only another superuser may reset a second factor"
    if change == Change.CONSOLE and (bearer is None or bearer.pk == actor.id or actor.role != "admin"):
        return "only another admin may decide who uses the console"
    if actor.is_superuser or (bearer is not None and bearer.pk == actor.id):
        return None
    rank = rank_of(bearer)
    if RANKS[actor.role] < rank and not (rank == CONSOLE_RANK and actor.role == "admin" and change in ACCESS):
        return f"{role_label(actor.role)} lacks privileges to perform action on user"
    if change == Change.EMAIL and actor.role not in ("admin", "product"):
        return "only an admin may change the email of another user"
    if actor.role != "product" or change == Change.PROFILE or not isinstance(bearer, User):
        return None
    return "user cannot belong to another product" if user_relations().belongs_to_others(bearer, actor.id) else None


def revocable_team(operator: User) -> QuerySet[User]:
    """The members of the team whose tokens an operator may revoke: `why_not_change()` as a condition of the database.

    Whether the operator may see them is checked elsewhere.
    """
    team = User.objects.team()
    if operator.is_superuser:
        return team
    rank = RANKS[operator.role]
    lower = Q(is_staff=False, role__in=[role for role in RANKS if RANKS[role] <= rank])
    staff = Q(is_staff=True, is_superuser=False) if operator.role == "admin" else Q()
    return team.filter(Q(pk=operator.pk) | lower | staff)


def rank_of(bearer: Model | None) -> int:
    """The rank of a user, product or license; of a token's bearer that no longer exists (None), the lowest."""
    if bearer is None:
        return 0
    if isinstance(bearer, User) and bearer.is_superuser:
        return CONSOLE_RANK + 1
    if isinstance(bearer, User) and bearer.is_staff:
        return CONSOLE_RANK
    return RANKS[role_of(bearer)]


def require_token(actor: Bearer, bearer: Model) -> None:
    """Refuse to make a token for a visible user, product or license that the actor may not speak for.

    Raises:
        Forbidden: by role (contract: platform 5.5), or by rank.
    """
    if not _may_speak_for(actor, bearer):
        raise Forbidden
    require_change(actor, bearer, Change.TOKENS)


def may_make_token(actor: Bearer, bearer: Model) -> bool:
    """Whether `require_token()` permits it."""
    return _may_speak_for(actor, bearer) and may_change(actor, bearer, Change.TOKENS)


def _may_speak_for(actor: Bearer, bearer: Model) -> bool:
    if bearer.pk == actor.id:
        return True
    match actor.role:
        case "product":
            return not isinstance(bearer, User) or User.objects.customers_of(actor).filter(pk=bearer.pk).exists()
        case "admin" | "developer":
            return not isinstance(bearer, User) or bearer.role == User.Role.USER
        case "sales-agent":
            return role_of(bearer) == "license"
    return False


def may_give_access(operator: User, role: str, group: Group) -> bool:
    """Whether an operator may let a person into the console with a role and a group: no more than the operator has.

    The role is not above the operator's rank, and neither role nor group has a permission that the operator's lack.
    """
    if not operator.may_use_console or not operator.has_perm("accounts.add_user"):
        return False
    if operator.is_superuser:
        return True
    if RANKS[operator.role] < RANKS[role] or not usable_permissions(role) <= usable_permissions(operator.role):
        return False
    rows = group.permissions.values_list("content_type__app_label", "codename")
    return {f"{app}.{codename}" for app, codename in rows} <= operator.get_all_permissions()
