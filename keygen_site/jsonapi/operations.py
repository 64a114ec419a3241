"""What viewsets say of their actions for the description of the API (`keygen_site.jsonapi.openapi`).

Most of that description is read from tables that the API runs by: routes, the members of documents, attributes,
relationships, permissions. The usual actions (list, retrieve, create, partial_update, destroy) need nothing more;
any other states an `Operation` in its viewset's `operations`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keygen_site.jsonapi.request_documents import Member

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
OBJECT = {"type": "object", "additionalProperties": {"type": "string"}}


def choice(*values):
    """The schema of a parameter that is one of a few texts."""
    return {"type": "string", "enum": list(values)}


@dataclass(frozen=True)
class Parameter:
    """A parameter in the query.

    Attributes:
        description: what it does.
        schema: what it may be, as JSON Schema.
        style: `deepObject` for `name[member]=value` with any members.
    """

    description: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    style: str = ""


@dataclass(frozen=True)
class File:
    """A body that is no document: the media types that it may have."""

    media_types: tuple[str, ...]


@dataclass(frozen=True)
class Operation:
    """What an action takes and gives.

    Attributes:
        summary: what it does, in a few words.
        description: what else one must know.
        takes: the members of its document, or a `File`, or None.
        gives: the type of the resources that its answer's `data` is of, e.g. `keys`; several, where it depends; a
            `File`; or nothing.
        many, paged: whether `data` is a list, and one in pages. Without a type it is an empty one.
        nullable: whether `data` may be null; `optional`: or not there.
        data: the schema of `data` where it is no stored resource.
        meta: the members of the answer's `meta`; whether they are `required` says whether they are always there.
        included: the type of the resources that may be beside `data`.
        status: of success; None: it only ever refuses.
        parameters: in the query, by name.
        deprecated: whether it is there for earlier versions of the API only.
    """

    summary: str
    description: str = ""
    takes: Mapping[str, Member] | File | None = None
    gives: str | tuple[str, ...] | File = ()
    many: bool = False
    paged: bool = False
    nullable: bool = False
    optional: bool = False
    data: Mapping[str, Any] | None = None
    meta: Mapping[str, Member] = field(default_factory=dict)
    included: str = ""
    status: int | None = 200
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    deprecated: bool = False
