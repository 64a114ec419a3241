"""The API versions 1.0 to 1.8, and the differences of the earlier ones from the current one.

A serializer declares its differences; all other code is written for the current version. Versions are compared as text:
each part is a single digit.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework.request import Request

from keygen_site.api_versions import CURRENT_VERSION, VERSIONS
from keygen_site.jsonapi.errors import DOCUMENTATION, BadRequest
from keygen_site.jsonapi.request_documents import Schema
from keygen_site.jsonapi.serializers import ResourceSerializer, Values
from keygen_site.jsonapi.text import camel, metadata_snake_name, snake
from keygen_site.jsonapi.types import BOOLEAN

EDITION = "CE"

# The last version with each difference.
LAST_WITH_CONSTANTS = "1.1"  # a validation had `constant` instead of `code` (contract: licenses 2.4)
LAST_WITH_LATE_HEARTBEATS = "1.2"  # a new machine was shown as not started (contract: machines 14)
LAST_WITH_ID_HEADERS = "1.3"  # `Keygen-Account-Id` instead of `Keygen-Account`
LAST_WITH_SNAKE_METADATA = "1.4"  # names within a value of the metadata in snake_case (contract: platform 2.4)
LAST_WITH_USER = "1.5"  # the owner of a license was called its user

_SERIALIZERS: dict[str, type["VersionedSerializer"]] = {}


class VersionInvalid(BadRequest):
    """The header `Keygen-Version` names no version from 1.0 to 1.8."""

    code = "INVALID_API_VERSION"
    detail = "unsupported API version requested"
    about = f"{DOCUMENTATION}/versioning/"


def parse_version(request: HttpRequest | Request) -> str | None:
    """The API version that the header `Keygen-Version` names; None without the header.

    Raises:
        VersionInvalid: there is no such version.
    """
    header = request.META.get("HTTP_KEYGEN_VERSION")
    if header is None:
        return None
    version = header.strip().removeprefix("v")
    if version not in VERSIONS:
        raise VersionInvalid
    return version


def set_version(request: HttpRequest, response: HttpResponseBase) -> None:
    """Set the headers about the version on a response that no viewset made."""
    try:
        version = parse_version(request)
    except VersionInvalid:
        version = None
    response["Keygen-Version"] = version or CURRENT_VERSION
    response["Keygen-Edition"] = EDITION


@dataclass(frozen=True)
class RenamedAttribute:
    """An attribute that had another name up to some version.

    Attributes:
        name: the earlier name.
        now: the current name. A client of any version may send it. If it sends both, the earlier name takes
            precedence, or of a boolean the later in the document.
        until: the last version with the earlier name.
        boolean_of: for an earlier boolean, the current values that true and false stand for. The response has both
            attributes then; any other earlier attribute replaces the current one.
    """

    name: str
    now: str
    until: str
    boolean_of: tuple[str, str] | None = None

    def read(self, value: Any) -> Any:
        """The current value for a value sent under the earlier name."""
        if self.boolean_of is None:
            return value
        true, false = self.boolean_of
        return true if value else false

    def show(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """The attributes of a resource object in the earlier version."""
        name, now = camel(self.name), camel(self.now)
        if self.boolean_of:
            _, false = self.boolean_of
            return attributes | {name: attributes[now] != false}
        return {name if other == now else other: value for other, value in attributes.items()}


@dataclass(frozen=True)
class ChangedDefault:
    """The default that an attribute of a new resource had up to some version."""

    name: str
    value: str
    until: str


class ChangedRelationship(dict[str, Any]):
    """A relationship in a resource object that named another resource up to the version of its `RenamedRelationship`.

    Attributes:
        earlier_data: its `data` in these versions.
    """

    def __init__(self, shown: dict[str, Any], *, earlier_data: dict[str, str] | None) -> None:
        super().__init__(shown)
        self.earlier_data = earlier_data


@dataclass(frozen=True)
class RenamedRelationship:
    """A relationship that had another name and link up to some version."""

    name: str
    now: str
    until: str

    def show(self, relationships: dict[str, Any]) -> dict[str, Any]:
        """The relationships of a resource object in the earlier version."""
        return dict(self._rename(name, shown) for name, shown in relationships.items())

    def _rename(self, name: str, shown: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        if name != self.now:
            return name, shown
        related = shown["links"]["related"].removesuffix(self.now) + self.name
        earlier = shown | {"links": {"related": related}}
        if isinstance(shown, ChangedRelationship):
            earlier["data"] = shown.earlier_data
        return self.name, earlier


class VersionedSerializer(ResourceSerializer):
    """A serializer of a resource that differs between versions."""

    renamed_attributes: ClassVar[tuple[RenamedAttribute, ...]] = ()
    changed_defaults: ClassVar[tuple[ChangedDefault, ...]] = ()
    renamed_relationships: ClassVar[tuple[RenamedRelationship, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        _SERIALIZERS[cls.type_name()] = cls

    @classmethod
    @cache
    def schema(cls, creating: bool) -> dict[str, Schema]:
        data = super().schema(creating)["data"]
        assert data.members is not None
        current = data.members["attributes"].members or {}
        earlier = {
            then.name: Schema(BOOLEAN) if then.boolean_of else current[then.now] for then in cls.renamed_attributes
        }
        attributes = replace(data.members["attributes"], members={**current, **earlier})
        return {"data": replace(data, members={**data.members, "attributes": attributes})}

    @classmethod
    def read(
        cls, body: dict[str, Any], *, creating: bool, bearer: Any, version: str, withheld: Iterable[str] = ()
    ) -> Values:
        gone = [f"/data/attributes/{camel(then.name)}" for then in cls.renamed_attributes if version > then.until]
        found = super().read(body, creating=creating, bearer=bearer, version=version, withheld=[*withheld, *gone])
        sent = [snake(name) for name in body["data"].get("attributes") or ()]
        for then in cls.renamed_attributes:
            if then.name in found.values:
                value = then.read(found.values.pop(then.name))
                if not (then.boolean_of and then.now in sent and sent.index(then.now) > sent.index(then.name)):
                    found.values[then.now] = value
        if creating:
            for default in cls.changed_defaults:
                if version <= default.until:
                    found.values.setdefault(default.name, default.value)
        return found


def downgrade(data: Any, version: str, *, relationships: bool = True) -> None:
    """Change the data of a response in place to that of an earlier version.

    Args:
        data: a resource object, a list of them, or a document with one of these.
        relationships: whether relationships get their earlier names.
    """
    data = data if isinstance(data, list) else data.get("data", data)
    for resource_object in data if isinstance(data, list) else [data]:
        if resource_object and "attributes" in resource_object:
            resource_object["attributes"] = _attributes(version, resource_object)
            serializer = _SERIALIZERS.get(resource_object["type"])
            for then in serializer.renamed_relationships if serializer else ():
                if relationships and version <= then.until:
                    resource_object["relationships"] = then.show(resource_object["relationships"])


def _attributes(version: str, resource_object: dict[str, Any]) -> dict[str, Any]:
    attributes = resource_object["attributes"]
    serializer = _SERIALIZERS.get(resource_object["type"])
    for then in serializer.renamed_attributes if serializer else ():
        if version <= then.until:
            attributes = then.show(attributes)
    if version <= LAST_WITH_SNAKE_METADATA and "metadata" in attributes:
        metadata = {name: _restore_snake_names(value) for name, value in attributes["metadata"].items()}
        attributes = attributes | {"metadata": metadata}
    return attributes


def _restore_snake_names(value: Any) -> Any:
    if isinstance(value, dict):
        return {metadata_snake_name(name): _restore_snake_names(content) for name, content in value.items()}
    return [_restore_snake_names(item) for item in value] if isinstance(value, list) else value
