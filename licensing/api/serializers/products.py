from functools import cache

from rest_framework import serializers

from keygen_site.jsonapi.request_documents import Member
from keygen_site.jsonapi.serializers import ACCOUNT, ResourceSerializer, to_many
from licensing.models import Product


class ProductSerializer(ResourceSerializer):
    """A product on the wire (contract: keys 8)."""

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
        on_create = on_update = ["name", "code", "distribution_strategy", "url", "platforms", "metadata"]
        required = ["name"]
        extra_kwargs = {name: {"allow_blank": False} for name in ("code", "url", "distribution_strategy")}

    @classmethod
    @cache
    def schema(cls, creating):
        schema = super().schema(creating)
        if creating:
            # None can be set, yet clients that always send some, even if empty, are not turned away.
            schema["data"].members["relationships"] = Member(members={})
        return schema

    def create(self, validated_data):
        # In a new product null is nothing said, so the defaults hold; later it clears a value.
        return super().create({name: value for name, value in validated_data.items() if value is not None})
