"""Filters of the lists of tokens and users (contract: platform 5.5, 8.5)."""

from typing import Any

from django.apps import apps
from django.db.models import Q

from accounts.api.serializers.tokens import BEARER_TYPES
from accounts.models import Token, User
from accounts.models.tokens import type_of
from accounts.models.users import OWNED
from keygen_site.db.metadata import METADATA
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.filters import BooleanFilter, EnumFilter, FilterSet, MetadataFilter, PartsFilter, QueryFilter
from keygen_site.jsonapi.lookups import Rows
from keygen_site.jsonapi.operations import Parameter, choice


def values_of(query: Any, name: str) -> list[str]:
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
        if name := given.get("type"):
            model = BEARER_TYPES.get(name)
            queryset = queryset.filter(bearer_type=type_of(apps.get_model(model))) if model else queryset.none()
        if identifier := given.get("id"):
            uuid = parse_uuid(identifier)
            queryset = queryset.filter(bearer_id=uuid) if uuid else queryset.none()
        if roles := values_of(self.parent.data, "bearer[role]"):
            # Products and licenses have no other role than their type.
            models = [apps.get_model(BEARER_TYPES[role]) for role in roles if role in ("product", "license")]
            queryset = queryset.filter(
                Q(bearer_role__in=roles) | Q(bearer_type__in=[type_of(model) for model in models])
            )
        return queryset

    def described(self, name: str) -> dict[str, Parameter]:
        found = super().described(name)
        found["bearer[type]"] = Parameter(self.parts["type"], choice("user", "product", "license"))
        return found


class TokenFilterSet(FilterSet):
    """Filters of `GET /tokens`."""

    bearer = BearerFilter()

    class Meta:
        model = Token
        fields: list[str] = []


class HolderFilter(QueryFilter):
    """Users who hold a license of which a field has this id, among the licenses that the bearer may see."""

    def narrow(self, queryset: Rows, value: str) -> Rows:
        uuid = parse_uuid(value)
        licenses = apps.get_model("licensing.License").objects.visible_to(self.parent.request.user)
        return queryset.for_licenses(licenses.filter(**{self.field_name: uuid})) if uuid else queryset.none()  # type: ignore[attr-defined]


class AssignedFilter(BooleanFilter):
    """Users who own a license, or own none."""

    def matching(self, queryset: Rows, wanted: bool) -> Rows:
        owners = User.objects.exclude(**{OWNED: None}).values("pk")
        return queryset.filter(pk__in=owners) if wanted else queryset.exclude(pk__in=owners)


class StatusFilter(EnumFilter):
    def narrow(self, queryset: Rows, value: str) -> Rows:
        return queryset.with_status(value.upper())  # type: ignore[attr-defined]


class RolesFilter(QueryFilter):
    """Users of some roles; without a value, of the role `user`."""

    schema = {"type": "array", "items": choice(*User.Role.values)}

    def filter(self, queryset: Rows, value: str) -> Rows:
        return queryset.filter(role__in=values_of(self.parent.data, "roles") or [User.Role.USER])

    def described(self, name: str) -> dict[str, Parameter]:
        return {f"{name}[]": Parameter(self.extra["help_text"], self.schema)}


class UserFilterSet(FilterSet):
    """Filters of `GET /users`. Without `roles[]` only users of the role `user` are listed."""

    product = HolderFilter("product", "Only users who hold a license of this product.")
    license = HolderFilter("pk", "Only users of this license.")
    assigned = AssignedFilter(help_text="Only users who own a license, or own none.")
    active = AssignedFilter(help_text="The same as `assigned`.")
    status = StatusFilter("active", "inactive", "banned", help_text="Only users of this status.")
    roles = RolesFilter(help_text="Users of these roles; by default, of the role `user`.")
    metadata = MetadataFilter(help_text=METADATA)

    applies_by_default = True

    class Meta:
        model = User
        fields: list[str] = []
