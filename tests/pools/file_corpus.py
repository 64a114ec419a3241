"""The corpus of files in `tests/pools/files`: folders of files as operators get them, each with an `expected.toml`.

A table of `expected.toml` describes one file:

    is             a description of the file
    options        the options that the operator gives, named as in the API
    media-type     the type that the client of the API declares; by default that of the file's ending
    pool           keys that an earlier import has put into the pool
    understood     members of the report's `understood`
    accepted       the keys that are added, in order, if invalid lines are skipped and warnings are accepted
    used           the keys that are added as popped
    rejected       each rejected line with the code of its reason: "3 cells"
    warnings       each warning: whether it is serious or mild, its code, and its first five lines: "serious words 1 9".
                   Without numbers, any lines will do.
    trimmed        the number of keys from which blanks were removed
    asked          the columns that the question offers; "header" if the question is whether the first line is a header
    refused, says  the code of the error, and a part of its text
"""

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "files"
EXPECTATIONS = "expected.toml"
MEDIA_TYPES = {
    ".txt": "text/plain",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".ndjson": "application/x-ndjson",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".gz": "application/gzip",
    ".zip": "application/zip",
}


@dataclass(frozen=True)
class Case:
    """A file of the corpus and the expected result of its import."""

    path: Path
    media_type: str
    options: dict[str, Any]
    pool: list[str]
    understood: dict[str, Any]
    trimmed: int
    outcome: dict[str, Any] = field(default_factory=dict)

    def __repr__(self):
        return f"{self.path.parent.name}/{self.path.name}"

    @property
    def is_refused(self):
        """Whether the file as a whole is refused, or a question is asked."""
        return "refused" in self.outcome

    @property
    def is_clean(self):
        """Whether all lines are added without `skip-invalid` and `accept-warnings`."""
        serious = [warning for warning in self.outcome["warnings"] if warning.startswith("serious")]
        return not self.outcome["rejected"] and not serious


@cache
def folders():
    return sorted(path.name for path in FOLDER.iterdir() if path.is_dir())


@cache
def cases_of(folder):
    """The cases of a folder, in the order of their descriptions."""
    described = tomllib.loads((FOLDER / folder / EXPECTATIONS).read_text(encoding="utf-8"))
    return [_case(FOLDER / folder / name, **table) for name, table in described.items()]


def all_cases():
    return [case for folder in folders() for case in cases_of(folder)]


def _case(path, **table):
    if "asked" in table:
        columns = table["asked"]
        outcome = {"refused": "COLUMN_AMBIGUOUS", "says": "", "asked": columns}
    elif "refused" in table:
        outcome = {"refused": table["refused"], "says": table.get("says", ""), "asked": []}
    else:
        outcome = {name: table.get(name, []) for name in ("accepted", "used", "rejected", "warnings")}
    return Case(
        path=path,
        media_type=table.get("media-type", MEDIA_TYPES.get(path.suffix, "application/octet-stream")),
        options=table.get("options", {}),
        pool=table.get("pool", []),
        understood=table.get("understood", {}),
        trimmed=table.get("trimmed", 0),
        outcome=outcome,
    )
