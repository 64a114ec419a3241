from functools import cache

from accounts.serializers.accounts import AccountSerializer
from accounts.serializers.tokens import OF_LICENSE, TokenSerializer
from accounts.serializers.users import UserSerializer
from keygen_site.serializers import ResourceSerializer

__all__ = ["OF_LICENSE", "AccountSerializer", "TokenSerializer", "UserSerializer", "serializer_of"]


@cache
def serializer_of(model):
    """The serializer of a model, also of one that is above accounts."""
    waiting = [ResourceSerializer]
    while waiting:
        serializer = waiting.pop()
        if hasattr(serializer, "Meta") and serializer.Meta.model is model:
            return serializer
        waiting += serializer.__subclasses__()
    raise LookupError(model)
