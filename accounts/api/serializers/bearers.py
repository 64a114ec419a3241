from functools import cache

from keygen_site.jsonapi.serializers import ResourceSerializer


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
