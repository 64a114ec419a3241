"""May the bearer do this? (contract: keys 0.4 and 5, platform 6.2)"""

from rest_framework.permissions import BasePermission

from accounts.roles import MAY
from keygen_site.errors import DomainError

NOT_FOR_ALL = "ensure the token or license is allowed to access all resources"
NOT_FOR_ANYBODY = "ensure a token or license is present and valid"  # said to those who sent no credential


class Forbidden(DomainError):
    """In sight, but refused; `reason` says by which of the two questions of `accounts.roles`, or by another rule."""

    status = 403
    title = "Access denied"

    def __init__(self, reason=NOT_FOR_ALL):
        super().__init__(f"You do not have permission to complete the request ({reason})")


def require(permission, bearer):
    """Refuse a bearer who does not hold a permission, or whose role may not use it.

    Raises:
        Forbidden: with the reason.
    """
    if permission not in bearer.permissions:
        raise Forbidden(f"{in_words(bearer.role)} lacks permission to perform action")
    if bearer.role not in MAY[permission]:
        raise Forbidden


def in_words(role):
    """A role as an error names it, e.g. `sales agent`."""
    return role.replace("-", " ")


class HoldsPermission(BasePermission):
    """Looks the action up in the viewset's `permissions`; an action missing from it is refused."""

    def has_permission(self, request, view):
        permission = view.permissions.get(view.action)
        if permission is None:
            raise Forbidden
        # Nobody in particular gets here only in the viewset's `anonymous` actions, which look for themselves.
        if request.user is not None:
            require(permission, request.user)
        return True
