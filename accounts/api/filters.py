"""Filters of the lists of tokens and users (contract: platform 5.5, 8.5)."""

from typing import Any

from django.db.models import Q

from accounts.bearers import models_by_type, types
from accounts.models import Token, User
from accounts.models.tokens import content_type_of
from keygen_site.db.metadata import METADATA_FILTER_HELP
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import EnumFilter, FilterSet, IdFilter, MetadataFilter, PartsFilter, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.operations import Parameter, choice


def list_values(query: Any, name: str) -> list[str]:
    """The values of a parameter that may be sent once or as a list: `roles[]=a&roles[]=b`."""
    return [value for value in [*query.getlist(name), *query.getlist(f"{name}[]")] if value]


class BearerFilter(PartsFilter):
    """Tokens by the type, the id or the role of their bearer."""

    def __init__(self) -> None:
        super().__init__(
            {
                "type": "Only tokens of bearers of this type.",
                "id": "Only tokens of this bearer.",
                "role": "Only tokens of bearers of this role; also as a list, `bearer[role][]`.",
            }
        )

    def narrow_by(self, queryset: Rows, given: dict[str, str]) -> Rows:
        if not self.parts.keys() & {part.partition("]")[0] for part in given}:
            return queryset.none()
        if name := given.get("type"):
            model = models_by_type().get(name.lower())
            queryset = queryset.filter(bearer_type=content_type_of(model)) if model else queryset.none()
        if identifier := given.get("id"):
            uuid = parse_uuid(identifier)
            queryset = queryset.filter(bearer_id=uuid) if uuid else queryset.none()
        if roles := list_values(self.parent.data, "bearer[role]"):
            # The role of all bearers but users is the name of their type.
            models = [types()[role].model for role in roles if role in types() and role != "user"]
            queryset = queryset.filter(
                Q(bearer_role__in=roles) | Q(bearer_type__in=[content_type_of(model) for model in models])
            )
        return queryset

    def describe(self, name: str) -> dict[str, Parameter]:
        found = super().describe(name)
        found["bearer[type]"] = Parameter(self.parts["type"], choice(*types()))
        return found


class TokenFilterSet(FilterSet):
    """Filters of `GET /tokens`."""

    bearer = BearerFilter()

    class Meta:
        model = Token
        fields: list[str] = []


class StatusFilter(EnumFilter):
    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.with_status(value.upper())


class RolesFilter(QueryFilter):
    """Users of some roles; without the parameter, of the role `user`. A value that is not a list does not filter."""

    schema = {"type": "array", "items": choice(*User.Role.values)}

    def filter(self, queryset: Rows, value: str) -> Rows:
        query = self.parent.data
        if not any(name == "roles" or name.startswith("roles[") for name in query):
            return queryset.filter(role=User.Role.USER)
        roles = [role.replace("_", "-") for role in query.getlist("roles[]") if role]
        return queryset.filter(role__in=roles) if roles else queryset

    def describe(self, name: str) -> dict[str, Parameter]:
        return {f"{name}[]": Parameter(self.extra["help_text"], self.schema)}


class RoleFilterSet(FilterSet):
    """The filter of `GET /products/:id/users`, without which only users of the role `user` are listed."""

    roles = RolesFilter(help_text="Users of these roles; by default, of the role `user`.")

    applies_by_default = True

    class Meta:
        model = User
        fields: list[str] = []


class UserFilterSet(RoleFilterSet):
    """Filters of `GET /users`.

    An app above adds the filters by its own resources, see `include`.
    """

    status = StatusFilter("active", "inactive", "banned", help_text="Only users of this status.")
    group = IdFilter("group", "Only users of this group.")
    metadata = MetadataFilter(help_text=METADATA_FILTER_HELP)

    class Meta:
        model = User
        fields: list[str] = []

    @classmethod
    def include(cls, filterset: type[FilterSet]) -> None:
        """Add the filters of another filter set, before the own ones."""
        cls.base_filters = {**filterset.base_filters, **cls.base_filters}
