"""Reads the document of a search (contract: search 1 to 3)."""

import re
from dataclasses import dataclass, replace
from typing import Any

from accounts.searchable import MIN_TERM_CHARACTERS, Member, Metadata, Searchable, searchable_named
from keygen_site.jsonapi.errors import BadRequest
from keygen_site.jsonapi.request_documents import METADATA_DEPTH, Schema, meta
from keygen_site.jsonapi.text import camel, metadata_name, snake
from keygen_site.jsonapi.types import OBJECT, STRING

_TYPE = replace(STRING, schema={**STRING.schema, "examples": ["users"]})
_QUERY = replace(OBJECT, schema={**OBJECT.schema, "examples": [{"email": "@example."}]})
SEARCH = meta(
    type=Schema(_TYPE, required=True, description="The type of the resources, e.g. `licenses`."),
    op=Schema(STRING, description="`AND`, the default: all members of the query match; `OR`: at least one does."),
    query=Schema(
        _QUERY,
        required=True,
        depth=METADATA_DEPTH + 1,
        description="The terms by name. Texts match anywhere in a value, in any case, and have three letters or more.",
    ),
)
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_UNDERSCORE = re.compile(r"_([A-Za-z0-9]*)")


@dataclass(frozen=True)
class SearchQuery:
    """A query whose type can be searched. Its terms have not been read yet."""

    searchable: Searchable
    type: str
    any_of: bool
    query: dict[str, Any]

    @classmethod
    def of(cls, document: dict[str, Any]) -> "SearchQuery":
        """The query of a valid document.

        Raises:
            BadRequest: the operator or the type is not supported.
        """
        members = document["meta"]
        operator, shown_type = members.get("op", "AND"), _camel_type(members["type"])
        if operator.upper() not in ("AND", "OR"):
            raise BadRequest(f"search operator '{operator}' is not supported", pointer="/meta/op")
        searchable = searchable_named(members["type"])
        if searchable is None:
            raise BadRequest(f"search type '{shown_type}' is not supported", pointer="/meta/type")
        return cls(searchable, shown_type, operator.upper() == "OR", members["query"])

    def read_terms(self) -> list[tuple[Member, Any]]:
        """The members with their terms, in the order of the document. The term None matches nothing.

        Of several spellings of a name, the last one counts.

        Raises:
            BadRequest: the first member that the type does not have, or whose term is malformed.
        """
        terms: dict[str, tuple[Member, Any]] = {}
        for sent, value in self.query.items():
            name = snake(_NOT_ASCII.sub("", sent))
            shown, member = camel(name), self.searchable.members.get(name)
            pointer = f"/meta/query/{shown}"
            if member is None:
                detail = f"search query '{shown}' is not supported for resource type '{self.type}'"
                raise BadRequest(detail, pointer=pointer)
            if isinstance(member, Metadata):
                terms[name] = (member, _read_metadata(value, pointer))
            else:
                terms[name] = (member, _read_term(member, value, shown, pointer))
        return list(terms.values())


def _read_term(member: Member, value: Any, name: str, pointer: str) -> str | None:
    if value is None:
        return None
    if member.takes_numbers and type(value) in (int, float):
        return str(value)
    term: str = STRING.read(value, pointer)
    _require_length(term, name, pointer)
    return term


def _read_metadata(value: Any, pointer: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        detail = "search query for 'metadata' must be a hash of key-value search terms"
        raise BadRequest(detail, pointer=pointer)
    if not value:
        raise BadRequest("cannot be blank", pointer=pointer)
    for name, term in value.items():
        if isinstance(term, str):
            _require_length(term, metadata_name(name), f"{pointer}/{metadata_name(name)}")
    return value


def _require_length(term: str, name: str, pointer: str) -> None:
    if len(term) < MIN_TERM_CHARACTERS:
        detail = f"search query for '{name}' is too small (minimum {MIN_TERM_CHARACTERS} characters)"
        raise BadRequest(detail, pointer=pointer)


def _camel_type(name: str) -> str:
    """A type as errors name it: in lowerCamel, with its hyphens."""
    return name[:1].lower() + _UNDERSCORE.sub(lambda match: match[1].capitalize(), name[1:])
