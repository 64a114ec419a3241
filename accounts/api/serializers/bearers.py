from functools import cache

from django.db.models import Model

from keygen_site.jsonapi.serializers import ResourceSerializer


@cache
def serializer_of(model: type[Model]) -> type[ResourceSerializer]:
    """The serializer of a model, which may belong to an app above this one."""
    waiting: list[type[ResourceSerializer]] = [ResourceSerializer]
    while waiting:
        serializer = waiting.pop()
        if hasattr(serializer, "Meta") and serializer.Meta.model is model:
            return serializer
        waiting += serializer.__subclasses__()
    raise LookupError(model)
