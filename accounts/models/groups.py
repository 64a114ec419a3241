"""Groups of users, licenses and machines, and the users who own them (contract: entitlements-groups 7 to 12)."""

from typing import Any, Self

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from accounts.bearers import Bearer
from accounts.models.accounts import Account
from accounts.models.user_relations import user_relations
from keygen_site.db.fields import AtLeast, AtMost, ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.models import Resource


class GroupQuerySet(models.QuerySet["Group"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The groups that a bearer may see: staff and products all, a user its own and those that it owns.

        A license sees its group (contract: entitlements-groups 8).
        """
        groups = self.filter(account=bearer.account_id)
        if bearer.is_staff or bearer.role == "product":
            return groups
        match bearer.role:
            case "license":
                return groups.filter(user_relations().groups_of_license(bearer.id))
            case "user":
                own = Q(users=bearer.id) | Q(owners__user=bearer.id)
                # A subquery rather than a join, which returns duplicates, and rows that cannot be counted or locked.
                return groups.filter(pk__in=self.model.objects.filter(own).values("pk"))
        return groups.none()


def _limit_field() -> models.IntegerField:
    """The maximum number of members of a kind; null is no limit."""
    return models.IntegerField(null=True, blank=True, validators=[AtLeast(0), AtMost(2**31 - 1)])


class Group(Resource):
    """A set of users, licenses and machines. Each of these belongs to at most one group.

    A limit admits no further member; it removes none when it is lowered.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="groups", db_index=False)
    name = ShortTextField(max_length=255)
    max_users = _limit_field()
    max_licenses = _limit_field()
    max_machines = _limit_field()
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])

    objects = GroupQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["account", "id"], name="accounts_group_listed")]

    class JSONAPIMeta:
        resource_name = "groups"

    def __str__(self) -> str:
        return self.name

    def limit_of(self, noun: str) -> int | None:
        """The maximum number of members of a kind, e.g. `license`; None is no limit."""
        return getattr(self, f"max_{noun}s")

    def lock_first(self) -> None:
        """Lock the licenses of the group: an activation locks its license, then the group."""
        list(self.licenses.order_by("pk").select_for_update(of=("self",)).values_list("pk"))  # type: ignore[attr-defined]

    def is_owned_by(self, bearer: Bearer) -> bool:
        """Whether the bearer is a user who owns the group."""
        return bearer.role == "user" and self.owners.filter(user=bearer.id).exists()


class GroupMember(Resource):
    """Base of the models whose rows can belong to a group: users, licenses and machines.

    A row enters a group when it is created in it or by `set_group()`. The group must then have room. The rules of the
    model, in `clean()`, ask `group_error()`; `lock_for_rules()` locks the group first.
    """

    group = models.ForeignKey(
        Group, models.SET_NULL, null=True, blank=True, related_name="%(class)ss", db_index=False, editable=False
    )

    _is_moved = False  # whether `set_group()` has put the row into another group since it was saved

    class Meta:
        abstract = True

    def set_group(self, group: Group | None) -> None:
        """Put the row into a group, or into none, without saving it."""
        self._is_moved = group is not None and group.pk != self.group_id and not self._state.adding
        self.group = group

    def inherit_group(self, *givers: "GroupMember | None") -> None:
        """Put a row without a group into the first group that one of the givers has, without saving it.

        It stays there when the giver leaves the group (contract: entitlements-groups 11.2).
        """
        for giver in givers:
            if self.group_id is None and giver is not None and giver.group_id:
                self.set_group(giver.group)

    def change_group(self, group: Group | None) -> None:
        """Move the row to a group, or out of its group. The caller locks the row.

        To put it into its own group again is possible even if that is above its limit.

        Raises:
            ValidationError: the group has no room, or another rule of the row fails.
        """
        self.set_group(group)
        self.save_changes("group")

    def validate_and_save(self, **options: Any) -> None:
        super().validate_and_save(**options)
        self._is_moved = False

    @property
    def enters_group(self) -> bool:
        """Whether saving the row makes it a new member of its group."""
        return self.group_id is not None and (self._state.adding or self._is_moved)

    def lock_for_rules(self) -> None:
        super().lock_for_rules()
        self.lock_group()

    def lock_group(self) -> None:
        """Lock the group that the row enters, if it has a limit, so that concurrent requests do not exceed it.

        A group that is deleted meanwhile leaves the row without one, as it does with its members.
        The order of locks is license, group, machine, token.
        """
        if self.enters_group and self.group and self._group_limit() is not None:
            locked = Group.objects.select_for_update(no_key=True)  # type: ignore[misc]
            self.group = locked.filter(pk=self.group.pk).first()

    def group_error(self) -> ValidationError | None:
        """The error of a row that enters a full group, or None (contract: entitlements-groups 12)."""
        if not self.enters_group or (limit := self._group_limit()) is None:
            return None
        noun = self._group_noun()
        members: models.Manager[Any] = getattr(self.group, f"{noun}s")
        if members.count() < limit:
            return None
        detail = f"{noun} count has exceeded maximum allowed by current group ({limit})"
        return ValidationError(detail, code=f"{noun}_limit_exceeded")

    def _group_limit(self) -> int | None:
        return self.group.limit_of(self._group_noun()) if self.group else None

    def _group_noun(self) -> str:
        return str(self._meta.concrete_model._meta.model_name)  # type: ignore[union-attr]


class GroupOwnerQuerySet(models.QuerySet["GroupOwner"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The owners of the groups that a bearer may see."""
        return self.filter(account=bearer.account_id, group__in=Group.objects.visible_to(bearer))


class GroupOwner(Resource):
    """The ownership of a group by a user, who may read its contents. An owner need not be a member."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    group = models.ForeignKey(Group, models.CASCADE, related_name="owners", db_index=False)
    user = models.ForeignKey("User", models.CASCADE, related_name="group_owners")

    objects = GroupOwnerQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["group", "user"], name="accounts_groupowner_unique")]

    class JSONAPIMeta:
        resource_name = "group-owners"

    def __str__(self) -> str:
        return f"{self.user} of {self.group}"
