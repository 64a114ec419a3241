"""The relations of users to products and licenses, as far as `accounts` asks for them.

Products and licenses belong to an app above, which registers them when it is ready.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import BooleanField, Model, Q, Value

from accounts.bearers import Bearer

NO_USERS = NO_GROUPS = Q(pk__in=[])


class UserRelations:
    """Base of the registered relations: users are related to nothing."""

    def visible_to(self, bearer: Bearer) -> Q:
        """The users that a license or a user may see (contract: platform 8.4)."""
        return Q(pk=bearer.id) if bearer.role == "user" else NO_USERS

    def of_product(self, product_id: UUID) -> Q:
        """The users of a product, of any role."""
        return NO_USERS

    def groups_of_license(self, license_id: UUID) -> Q:
        """The group that a license belongs to."""
        return NO_GROUPS

    def active_since(self, since: datetime) -> Any:
        """An expression: whether a user's licenses were active since a timestamp."""
        return Value(False, output_field=BooleanField())

    def belongs_to_others(self, user: Model, product_id: UUID) -> bool:
        """Whether a user is also the user of another product."""
        return False


_relations = UserRelations()


def register_relations(relations: UserRelations) -> None:
    """Replace the relations that `user_relations` returns."""
    global _relations
    _relations = relations


def user_relations() -> UserRelations:
    return _relations
