"""Attaching owners to groups (contract: entitlements-groups 10)."""

from collections.abc import Sequence
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import Group, GroupOwner, User
from keygen_site.jsonapi.errors import DomainError
from keygen_site.models import must_exist


class OwnerNotFound(DomainError):
    """A user who is to be detached does not own the group."""


@transaction.atomic
def attach_owners(group: Group, user_ids: Sequence[UUID]) -> list[GroupOwner]:
    """Make users of the account owners of a group, all of them or none. The caller locks the group.

    Raises:
        ValidationError: the first user who does not exist, or who owns the group already.
    """
    users = User.objects.filter(account=group.account_id).in_bulk(user_ids)
    owning = set(group.owners.values_list("user", flat=True))
    added = []
    for user_id in user_ids:
        if user_id not in users:
            raise ValidationError({"user": must_exist()})
        if user_id in owning:
            raise ValidationError({"user": ValidationError("already exists", code="taken")})
        owning.add(user_id)
        added.append(GroupOwner(account=group.account, group=group, user=users[user_id]))
    return GroupOwner.objects.bulk_create(added)


@transaction.atomic
def detach_owners(group: Group, user_ids: Sequence[UUID]) -> None:
    """End the ownership of users, of all of them or of none. The caller locks the group.

    Raises:
        OwnerNotFound: the first user who does not own the group.
    """
    owning = set(group.owners.values_list("user", flat=True))
    for index, user_id in enumerate(user_ids):
        if user_id not in owning:
            raise OwnerNotFound(f"owner relationship for user '{user_id}' not found", pointer=f"/data/{index}")
    group.owners.filter(user__in=user_ids).delete()
