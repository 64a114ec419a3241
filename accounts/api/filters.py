"""Filters of the lists of tokens and users (contract: platform 5.5, 8.5)."""

from django.apps import apps
from django.db.models import Q
from django_filters import rest_framework as filters

from accounts.api.serializers.tokens import BEARER_TYPES
from accounts.models import Token, User
from accounts.models.tokens import type_of
from accounts.models.users import OWNED
from keygen_site.db.metadata import METADATA, filter_metadata
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.operations import FLAG, OBJECT, Parameter, choice

FALSE = ("0", "f", "false", "off", "no")


class TokenFilterSet(filters.FilterSet):
    """Filters of `GET /tokens`: `bearer[type]`, `bearer[id]`, `bearer[role]`, of which the last may be a list."""

    parameters = {
        "bearer[type]": Parameter("Only those of bearers of this type.", choice("user", "product", "license")),
        "bearer[id]": "Only those of this bearer.",
        "bearer[role]": "Only those of bearers of this role; also as a list, `bearer[role][]`.",
    }

    class Meta:
        model = Token
        fields = []

    def filter_queryset(self, queryset):
        if name := self.data.get("bearer[type]"):
            model = BEARER_TYPES.get(name)
            queryset = queryset.filter(bearer_type=type_of(apps.get_model(model))) if model else queryset.none()
        if identifier := self.data.get("bearer[id]"):
            uuid = parse_uuid(identifier)
            queryset = queryset.filter(bearer_id=uuid) if uuid else queryset.none()
        if roles := listed(self.data, "bearer[role]"):
            # Products and licenses have no other role than what they are.
            models = [apps.get_model(BEARER_TYPES[role]) for role in roles if role in ("product", "license")]
            queryset = queryset.filter(
                Q(bearer_role__in=roles) | Q(bearer_type__in=[type_of(model) for model in models])
            )
        return queryset


class HolderFilter(filters.CharFilter):
    """Users who hold a license of which a field has this id, among the licenses that the bearer may see."""

    def filter(self, queryset, value):
        if not value:
            return queryset
        uuid = parse_uuid(value)
        licenses = apps.get_model("licensing.License").objects.visible_to(self.parent.request.user)
        return queryset.for_licenses(licenses.filter(**{self.field_name: uuid})) if uuid else queryset.none()


class AssignedFilter(filters.CharFilter):
    """Users who own a license, or own none."""

    def filter(self, queryset, value):
        if not value:
            return queryset
        owners = User.objects.exclude(**{OWNED: None}).values("pk")
        return queryset.exclude(pk__in=owners) if value.lower() in FALSE else queryset.filter(pk__in=owners)


class UserFilterSet(filters.FilterSet):
    """Filters of `GET /users`. Without `roles[]` only those of role `user` are listed."""

    product = HolderFilter("product")
    license = HolderFilter("pk")
    assigned = AssignedFilter()
    active = AssignedFilter()
    parameters = {
        "product": "Only those who hold a license of this product.",
        "license": "Only those of this license.",
        "assigned": Parameter("Only those who own a license, or own none.", FLAG),
        "active": Parameter("The same as `assigned`.", FLAG),
        "status": Parameter("Only those of this status.", choice("active", "inactive", "banned")),
        "roles[]": Parameter(
            "Those of these roles; without it, of the role `user`.",
            {"type": "array", "items": choice(*User.Role.values)},
        ),
        "metadata": Parameter(METADATA, OBJECT, "deepObject"),
    }

    unasked = True  # the role

    class Meta:
        model = User
        fields = []

    def filter_queryset(self, queryset):
        queryset = super().filter_queryset(queryset)
        if status := self.data.get("status"):
            queryset = queryset.with_status(status.upper())
        return filter_metadata(queryset, self.data).filter(role__in=listed(self.data, "roles") or [User.Role.USER])


def listed(query, name):
    """The values of a parameter that may be sent once or as a list: `roles[]=a&roles[]=b`."""
    return [value for value in [*query.getlist(name), *query.getlist(f"{name}[]")] if value]
