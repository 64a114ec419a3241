from licensing.serializers.policies import PolicySerializer
from licensing.serializers.products import ProductSerializer

__all__ = ["PolicySerializer", "ProductSerializer"]
