"""Earlier versions of the API: what attributes were called then, and what an answer looked like.

A serializer states as data what was different; everything else is written for the current version. Versions are
compared as text: each part is a single digit.
"""

from dataclasses import dataclass, replace
from functools import cache

from keygen_site.jsonapi.request_documents import Member, camel, snake
from keygen_site.jsonapi.serializers import ResourceSerializer

# The last version that showed the names within a value of the metadata in snake_case (contract: platform 2.4).
SNAKE_METADATA = "1.4"
_SERIALIZERS: dict[str, type["VersionedSerializer"]] = {}


@dataclass(frozen=True)
class RenamedAttribute:
    """An attribute as it was up to some version.

    Attributes:
        name: what it was called.
        now: the attribute that it is today; a client of any version may send that one too, and then it counts.
        until: the last version that had it.
        flag: of a boolean, the values of today that it stands for when true and when false. It was shown beside
            the attribute of today; any other was shown in its place.
    """

    name: str
    now: str
    until: str
    flag: tuple[str, str] | None = None

    def read(self, value):
        """What a client of then said, as we say it today."""
        if self.flag is None:
            return value
        true, false = self.flag
        return true if value else false

    def show(self, attributes):
        """The attributes of a resource object as they were then."""
        name, now = camel(self.name), camel(self.now)
        if self.flag:
            _, false = self.flag
            return attributes | {name: attributes[now] != false}
        return {name if other == now else other: value for other, value in attributes.items()}


@dataclass(frozen=True)
class ChangedDefault:
    """What a new resource had for an attribute, up to some version, where the client did not say."""

    name: str
    value: str
    until: str


@dataclass(frozen=True)
class RenamedRelationship:
    """A relationship as it was called, and where its link led, up to some version."""

    name: str
    now: str
    until: str

    def show(self, relationships):
        """The relationships of a resource object as they were then."""
        return dict(self._renamed(name, shown) for name, shown in relationships.items())

    def _renamed(self, name, shown):
        if name != self.now:
            return name, shown
        related = shown["links"]["related"].removesuffix(self.now) + self.name
        return self.name, shown | {"links": {"related": related}}


class VersionedSerializer(ResourceSerializer):
    """A serializer whose resource has changed: `former`, `changed_defaults` and `renamed_relationships` say how."""

    former: tuple[RenamedAttribute, ...] = ()
    changed_defaults: tuple[ChangedDefault, ...] = ()
    renamed_relationships: tuple[RenamedRelationship, ...] = ()

    def __init_subclass__(cls, **options):
        super().__init_subclass__(**options)
        _SERIALIZERS[cls.type_name()] = cls

    @property
    def version(self):
        return self.context["request"].version

    @classmethod
    @cache
    def schema(cls, creating):
        schema = super().schema(creating)
        data = schema["data"]
        attributes = dict(data.members["attributes"].members)
        for then in cls.former:
            attributes[then.name] = Member("boolean") if then.flag else attributes[then.now]
        members = data.members | {"attributes": replace(data.members["attributes"], members=attributes)}
        return {"data": replace(data, members=members)}

    def is_valid(self, *, raise_exception=False):
        gone = [f"/data/attributes/{camel(then.name)}" for then in self.former if self.version > then.until]
        self.context["withheld"] = [*self.context.get("withheld", ()), *gone]
        super().is_valid(raise_exception=raise_exception)
        values = self._validated_data
        for then in self.former:
            if then.name in values:
                values.setdefault(then.now, then.read(values.pop(then.name)))
        if self.instance is None:
            for default in self.changed_defaults:
                if self.version <= default.until:
                    values.setdefault(default.name, default.value)
        return True


def downgrade(answer, version):
    """Turn what a viewset answers into what it was in an earlier version: a resource object, a list or a document."""
    data = answer if isinstance(answer, list) else answer.get("data", answer)
    for resource_object in data if isinstance(data, list) else [data]:
        if resource_object and "attributes" in resource_object:
            resource_object["attributes"] = _attributes(version, resource_object)
            serializer = _SERIALIZERS.get(resource_object["type"])
            for then in serializer.renamed_relationships if serializer else ():
                if version <= then.until:
                    resource_object["relationships"] = then.show(resource_object["relationships"])


def _attributes(version, resource_object):
    attributes = resource_object["attributes"]
    serializer = _SERIALIZERS.get(resource_object["type"])
    for then in serializer.former if serializer else ():
        if version <= then.until:
            attributes = then.show(attributes)
    if version <= SNAKE_METADATA and "metadata" in attributes:
        metadata = {name: _snaked(value) for name, value in attributes["metadata"].items()}
        attributes = attributes | {"metadata": metadata}
    return attributes


def _snaked(value):
    if isinstance(value, dict):
        return {snake(name): _snaked(content) for name, content in value.items()}
    return [_snaked(item) for item in value] if isinstance(value, list) else value
