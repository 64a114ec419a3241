"""Groups, their owners and their contents, over HTTP."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from django.core.exceptions import ValidationError

from accounts.api.attachments import AttachmentViewSet, identifiers
from accounts.api.base import APIViewSet
from accounts.api.serializers.groups import GroupOwnerSerializer, GroupSerializer
from accounts.api.serializers.users import UserSerializer
from accounts.bearers import Bearer
from accounts.group_owners import attach_owners, detach_owners
from accounts.models import Group, GroupOwner, User
from accounts.models.user_relations import user_relations
from accounts.permissions import Forbidden
from keygen_site.db.conditions import unindexed
from keygen_site.jsonapi.lookups import Parent, Rows
from keygen_site.jsonapi.operations import Gives, operation
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.viewsets import CreateMixin, DestroyMixin, ListMixin, RetrieveMixin, UpdateMixin
from keygen_site.models import must_exist

_OWNERS = identifiers("users", "user")


def read_group(document: dict[str, Any], bearer: Bearer) -> Group | None:
    """The group that a document names, for a user, a license or a machine; None to leave its group.

    Raises:
        ValidationError: the bearer sees no such group.
    """
    linked = document["data"]
    if linked is None:
        return None
    group = Group.objects.visible_to(bearer).filter(pk=linked["id"]).first()
    if group is None:
        raise ValidationError({"group": must_exist()})
    return group


class GroupViewSet(CreateMixin, RetrieveMixin, UpdateMixin, DestroyMixin, ListMixin, APIViewSet):
    """The groups of an account (contract: entitlements-groups 8)."""

    queryset = Group.objects.all()
    serializer_class = GroupSerializer

    @classmethod
    def visible(cls, action: str, bearer: Any, parent_id: UUID | None, now: datetime) -> Rows:
        if action == "list":
            return super().visible(action, bearer, parent_id, now)
        # A single group that users and licenses do not see is 403, not 404: clients know it so.
        return cls.rows(action, now).filter(account=bearer.account_id)

    def find_row(self, *, locked: bool) -> Group:
        if self.action == "destroy":
            group: Group = super().find_row(locked=False)
            self.authorize(group)  # others keep no one waiting
            group.lock_first()
        return cast(Group, super().find_row(locked=locked))

    def authorize(self, row: Group | None = None) -> None:
        super().authorize(row)
        if row is not None and self.actor.role in ("license", "user"):
            visible = Group.objects.visible_to(self.actor).filter(pk=row.pk)
            if not visible.exists():
                raise Forbidden


class GroupOwnerViewSet(RetrieveMixin, ListMixin, AttachmentViewSet):
    """The owners of a group (contract: entitlements-groups 10)."""

    queryset = GroupOwner.objects.all()
    serializer_class = attachment_serializer = GroupOwnerSerializer
    parent = Parent("group", Group.objects.all(), narrow=lambda owners, group_id: owners.filter(group=group_id))
    read_permission = "group.owners.read"
    group: Group

    @operation(
        "Attach owners to a group, 1 to 100",
        permission="group.owners.attach",
        takes=_OWNERS,
        gives=Gives(GroupOwnerSerializer, many=True),
        locks=True,
        idempotent=True,
        document_first=True,
        records="owners-attached",
    )
    def attach(self, request: APIRequest, document: list[UUID]) -> list[Any]:
        return attach_owners(self.lock_parent(), document)

    @operation(
        "Detach owners from a group, 1 to 100",
        permission="group.owners.detach",
        takes=_OWNERS,
        locks=True,
        document_first=True,
        records="owners-detached",
    )
    def detach(self, request: APIRequest, document: list[UUID]) -> None:
        detach_owners(self.lock_parent(), document)


class GroupContents(RetrieveMixin, ListMixin, APIViewSet):
    """Base of the viewsets of the users, licenses and machines in a group, for staff, products and owners.

    An owner of the group sees all of them, a product those of its own (contract: entitlements-groups 9).
    """

    parent = Parent("group", Group.objects.all(), narrow=lambda rows, group_id: rows.filter(group=group_id))
    group: Group

    @classmethod
    def visible(cls, action: str, bearer: Any, parent_id: UUID | None, now: datetime) -> Rows:
        rows = cls.rows(action, now).filter(unindexed(account=bearer.account_id))
        rows = cls.parent.narrow(rows, parent_id)  # type: ignore[arg-type, union-attr]
        return cls.of_product(rows, bearer) if bearer.role == "product" and action == "list" else rows

    @classmethod
    def of_product(cls, rows: Rows, bearer: Bearer) -> Rows:
        """Those of the rows that a product may see."""
        return rows.visible_to(bearer)

    def find_row(self, *, locked: bool) -> Any:
        self.authorize()  # 403, whether or not the row exists
        return super().find_row(locked=locked)

    def authorize(self, row: Any = None) -> None:
        super().authorize(row)
        bearer = self.actor
        if bearer.role == "user" and not self.group.is_owned_by(bearer):
            raise Forbidden  # a member sees the group, but not its contents
        if row is not None and bearer.role == "product":
            own = self.of_product(type(row).objects.filter(pk=row.pk), bearer)
            if not own.exists():
                raise Forbidden


class GroupUserViewSet(GroupContents):
    """The users of a group, of any role."""

    queryset = User.objects.all()
    serializer_class = UserSerializer
    read_permission = "group.users.read"

    @classmethod
    def rows(cls, action: str, now: datetime) -> Rows:
        return User.objects.with_activity(now)

    @classmethod
    def visible(cls, action: str, bearer: Any, parent_id: UUID | None, now: datetime) -> Rows:
        rows = super().visible(action, bearer, parent_id, now)
        return cls.of_product(rows, bearer) if bearer.role == "product" else rows

    @classmethod
    def of_product(cls, rows: Rows, bearer: Bearer) -> Rows:
        return rows.filter(user_relations().of_product(bearer.id))
