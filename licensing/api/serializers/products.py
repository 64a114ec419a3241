"""Products as resource objects."""

from dataclasses import replace
from functools import cache
from typing import Any

from rest_framework import serializers

from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.serializers import ACCOUNT, ResourceSerializer, to_many
from licensing.models import Product


class ProductSerializer(ResourceSerializer):
    """A product (contract: keys 8)."""

    platforms = serializers.ListField(child=serializers.CharField(), allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "policies": to_many(),
        "licenses": to_many(),
        "machines": to_many(),
        "users": to_many(),
        "tokens": to_many(),
        "platforms": to_many(),
        "channels": to_many(),
        "releases": to_many(),
        "artifacts": to_many(),
    }

    class Meta:
        model = Product
        fields = [
            "name",
            "code",
            "distribution_strategy",
            "url",
            "platforms",
            "metadata",
            "created",
            "updated",
        ]
        on_create = ["name", "code", "distribution_strategy", "url", "platforms", "metadata"]
        on_update = on_create
        required = ["name"]
        examples = {"name": "Rocket", "url": "https://acme.test"}
        extra_kwargs = {name: {"allow_blank": False} for name in ("code", "url", "distribution_strategy")}

    @classmethod
    @cache
    def schema(cls, creating: bool) -> dict[str, Schema]:
        data = super().schema(creating)["data"]
        members = dict(data.members or {})
        # A code cannot be unset: null counts as absent (contract: keys 8.1).
        attributes = members["attributes"].members or {}
        code = replace(attributes["code"], nullable=False)
        members["attributes"] = replace(members["attributes"], members={**attributes, "code": code})
        if creating:
            # No relationship can be set, but some clients always send the member, even if empty.
            members["relationships"] = Schema(members={})
        return {"data": replace(data, members=members)}

    @classmethod
    def create_row(cls, values: dict[str, Any]) -> Product:
        # In a new product null stands for the default; later it clears a value.
        return super().create_row({name: value for name, value in values.items() if value is not None})
