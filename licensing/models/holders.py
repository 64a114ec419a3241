"""Holders: the users who own a license or are attached to it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Model, OuterRef, Q, QuerySet

from accounts.bearers import Bearer
from accounts.models import Group, User
from accounts.models.user_relations import NO_USERS, UserRelations
from keygen_site.db.conditions import HasRow
from licensing.models.license_queries import ACTIVITY_FIELDS

# The accessors from a user to the licenses that the user owns, and to those that the user is attached to.
OWNED, ATTACHED = "owned_licenses", "licenses"


def holders_of_product(product_id: UUID) -> Q:
    """Users of any role who hold a license of a product."""
    return _holders(product__in=[product_id])


def holders_of_licenses(licenses: Iterable[UUID] | QuerySet[Any]) -> Q:
    return _holders(pk__in=licenses)


def _holders(**terms: Any) -> Q:
    # Subqueries rather than joins, which return duplicates, and rows that cannot be counted or locked.
    owners, attached = (
        User.objects.filter(**{f"{path}__{name}": value for name, value in terms.items()}).values("pk")
        for path in (OWNED, ATTACHED)
    )
    return Q(pk__in=owners) | Q(pk__in=attached)


class HolderRelations(UserRelations):
    """The relations of users through the licenses that they hold."""

    def visible_to(self, bearer: Bearer) -> Q:
        """A license sees its holders; a user those who share a license with them."""
        match bearer.role:
            case "license":
                return holders_of_licenses([bearer.id])
            case "user":
                mates = Q(pk=bearer.id)
                for path in (f"{mine}__{theirs}" for mine in (OWNED, ATTACHED) for theirs in ("owner", "users")):
                    mates |= Q(pk__in=User.objects.filter(pk=bearer.id).values(path))
                return mates
        return NO_USERS

    def of_product(self, product_id: UUID) -> Q:
        return holders_of_product(product_id)

    def groups_of_license(self, license_id: UUID) -> Q:
        return Q(pk__in=Group.objects.filter(licenses=license_id).values("pk"))

    def active_since(self, since: datetime) -> Any:
        owned, attached = (
            # Not EXISTS, for which PostgreSQL would read the licenses of all users for each page.
            HasRow(
                User.objects.filter(
                    # One path at a time, so that all timestamps are of the same license.
                    Q(*((f"{path}__{name}__gte", since) for name in ACTIVITY_FIELDS), _connector=Q.OR),
                    pk=OuterRef("pk"),
                )
            )
            for path in (OWNED, ATTACHED)
        )
        return owned | attached

    def belongs_to_others(self, user: Model, product_id: UUID) -> bool:
        return any(getattr(user, path).exclude(product=product_id).exists() for path in (OWNED, ATTACHED))
