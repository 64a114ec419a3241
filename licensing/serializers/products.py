from keygen_site.serializers import ACCOUNT, ResourceSerializer, to_many
from licensing.models import Product


class ProductSerializer(ResourceSerializer):
    """A product on the wire (contract: keys 8)."""

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
