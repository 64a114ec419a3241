"""Errors about a file as a whole."""

from collections.abc import Sequence
from typing import NamedTuple

from keygen_site.jsonapi.errors import REFERENCE, DomainError
from pools.key_files.key_texts import escape_text

_SHOWN_CHARACTERS, _SHOWN_CELLS = 100, 50


def option(name: str, value: str = "") -> str:
    """The spellings of an option at the command, the API and the console, for messages."""
    command = f"--{name} {value}".rstrip()
    query = f"?{name}={value}" if value else f"?{name}"
    return f"`{command}` (command), `{query}` (API) or the field {name.capitalize()} (console)"


class FileUnreadable(DomainError):
    """The file cannot be read. The detail says why, and may quote the file."""

    code = "FILE_UNREADABLE"
    about = REFERENCE

    def __init__(self, detail: str) -> None:
        super().__init__(escape_text(detail))


class FileTooLarge(DomainError):
    """The file is larger than the setting `MAX_IMPORT_BYTES`."""

    status = 413
    title = "Request entity too large"
    detail = "The file is too large"
    code = "FILE_TOO_LARGE"
    about = REFERENCE


class Candidate(NamedTuple):
    """A column that may hold the keys.

    Attributes:
        column: its name in the header, or "" without one.
        number: from 1.
        samples: its first cells, at most three.
    """

    column: str
    number: int
    samples: tuple[str, ...]


class ColumnAmbiguous(DomainError):
    """More than one column may hold the keys, or none certainly does: say which one. The candidates are in `meta`."""

    code = "COLUMN_AMBIGUOUS"
    about = REFERENCE

    def __init__(self, detail: str, candidates: Sequence[Candidate]) -> None:
        self.candidates = tuple(candidates)
        self.meta = {
            "candidates": [
                {"column": column, "number": number, "samples": list(samples)} for column, number, samples in candidates
            ]
        }
        super().__init__(escape_text(detail))


class HeaderAmbiguous(ColumnAmbiguous):
    """The first line may be a header or a key: the user has to say which. The candidates are the columns below it.

    Attributes:
        first_row: the first cells of the line.
    """

    def __init__(self, detail: str, candidates: Sequence[Candidate], first_row: Sequence[str]) -> None:
        super().__init__(detail, candidates)
        self.first_row = tuple(escape_text(cell[:_SHOWN_CHARACTERS]) for cell in first_row[:_SHOWN_CELLS])
        self.meta = {**self.meta, "firstRow": list(self.first_row)}


class NoKeys(DomainError):
    """A file has no line with a key: it is empty, or has only blank lines or a header."""

    code = "NO_KEYS"
    about = REFERENCE
    detail = "The file has no keys: it is empty, or has only blank lines or a header"
