"""May the bearer do this? (contract: keys 0.4 and 5, platform 6.2)"""

from rest_framework.permissions import BasePermission

from accounts.roles import MAY
from keygen_site.errors import DomainError


class Forbidden(DomainError):
    """In sight, but refused; `reason` says by which of the two questions of `accounts.roles`."""

    status = 403
    title = "Access denied"

    def __init__(self, reason="ensure the token or license is allowed to access all resources"):
        super().__init__(f"You do not have permission to complete the request ({reason})")


def require(permission, bearer):
    """Refuse a bearer who does not hold a permission, or whose role may not use it.

    Raises:
        Forbidden: with the reason.
    """
    if permission not in bearer.permissions:
        raise Forbidden(f"{bearer.role.replace('-', ' ')} lacks permission to perform action")
    if bearer.role not in MAY[permission]:
        raise Forbidden


class HoldsPermission(BasePermission):
    """Looks the action up in the viewset's `permissions`; an action missing from it is refused."""

    def has_permission(self, request, view):
        permission = view.permissions.get(view.action)
        if permission is None:
            raise Forbidden
        require(permission, request.user)
        return True
