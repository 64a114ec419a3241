"""The codes of errors, with the meaning that the docstrings of their classes have."""

from collections.abc import Iterable, Iterator
from typing import Any

from keygen_site import body_limits, http  # noqa: F401  # middleware, otherwise loaded with the first request
from keygen_site.jsonapi.errors import DomainError
from keygen_site.jsonapi.openapi.docstrings import first_paragraph


def known_errors() -> list[type[DomainError]]:
    """The errors with a code, by status and code."""
    found = {error for error in _subclasses_of(DomainError) if vars(error).get("code")}
    return sorted(found, key=lambda error: (error.status, str(error.code), error.__name__))


def error_codes() -> list[dict[str, Any]]:
    """All codes, each with its status and its meaning."""
    found: dict[str, dict[str, Any]] = {}
    for error in known_errors():
        entry = found.setdefault(str(error.code), {"code": error.code, "status": error.status, "description": ""})
        meaning = first_paragraph(error)
        if meaning not in entry["description"]:
            entry["description"] = f"{entry['description']} {meaning}".strip()
    return [found[code] for code in sorted(found)]


def list_errors(errors: Iterable[type[DomainError]]) -> str:
    """A Markdown list of errors: of each the code and its meaning, or its text if it has no code."""
    lines = {f"- `{error.code}`: {first_paragraph(error)}" if error.code else f"- “{error.detail}”" for error in errors}
    return "\n".join(sorted(lines))


def _subclasses_of(error: type[DomainError]) -> Iterator[type[DomainError]]:
    for kind in error.__subclasses__():
        yield kind
        yield from _subclasses_of(kind)
