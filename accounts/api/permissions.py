from typing import Any

from rest_framework.permissions import BasePermission

from accounts.permissions import require


class HoldsPermission(BasePermission):
    """Requires the permission of the action's operation. Only an anonymous operation gets here without a bearer."""

    def has_permission(self, request: Any, view: Any) -> bool:
        if request.user is not None:
            require(view.operation.permission, request.user)
        return True
