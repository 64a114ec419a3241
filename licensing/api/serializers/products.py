"""Products as resource objects."""

from dataclasses import replace
from functools import cache
from typing import Any

from rest_framework import serializers

from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.serializers import ACCOUNT, ResourceSerializer, to_many
from licensing.models import Product


class ProductSerializer(ResourceSerializer):
    """A product that a vendor sells (contract: keys 8)."""

    section = Section(
        60, "Products", "What is sold. A product has policies, and may have tokens of its own, for shops."
    )

    platforms = serializers.ListField(child=serializers.CharField(), allow_null=True)

    relationships = {
        "account": ACCOUNT,
        "policies": to_many(),
        "licenses": to_many(),
        "machines": to_many(description="The machines of licenses of the product."),
        "users": to_many(),
        "tokens": to_many(),
        "platforms": to_many(description="Not supported: the URL does not exist."),
        "channels": to_many(description="Not supported: the URL does not exist."),
        "releases": to_many(description="Not supported: the URL does not exist."),
        "artifacts": to_many(description="Not supported: the URL does not exist."),
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
        descriptions = {
            "name": "The name, for people.",
            "code": "A short name, unique in the account, which URLs may use instead of the id. It cannot be removed.",
            "distribution_strategy": "Who may download releases: `LICENSED`, `OPEN` or `CLOSED`. No effect yet.",
            "url": "The product's web page, with `http` or `https`.",
            "platforms": "The platforms that the product runs on, for people.",
        }
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
            members["relationships"] = Schema(members={}, description="Must be empty.")
        return {"data": replace(data, members=members)}

    @classmethod
    def create_row(cls, values: dict[str, Any]) -> Product:
        # In a new product null stands for the default; later it clears a value.
        return super().create_row({name: value for name, value in values.items() if value is not None})
