"""Whoever a credential speaks for."""

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Model

from accounts.roles import ROLE_PERMISSIONS, STAFF


@dataclass(frozen=True)
class Bearer:
    """A user, product or license that was authenticated: `request.user` of every API request.

    Attributes:
        account_id: the account that the credential belongs to.
        id, model: the row that the credential speaks for, and its model.
        role: one of `accounts.roles.ROLE_PERMISSIONS`.
        token_id: the token that was used, or None when a license key was.
        is_superuser: whether it is a superuser, who acts in the console only.
    """

    account_id: UUID
    id: UUID
    model: type[Model]
    role: str
    token_id: UUID | None = None
    is_superuser: bool = False

    is_authenticated = True

    @property
    def type(self):
        """The bearer's resource type on the wire, e.g. `products`."""
        return self.model.JSONAPIMeta.resource_name

    @property
    def is_staff(self):
        """Whether the bearer sees the whole account (contract: keys 5)."""
        return self.role in STAFF

    @property
    def permissions(self):
        """The names of what the bearer holds, e.g. `key.read`."""
        return ROLE_PERMISSIONS[self.role]
