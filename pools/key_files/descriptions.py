"""Sentences about a file of keys, for the command and the console."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

KINDS = {"text": "Text", "csv": "CSV", "xlsx": "Excel workbook", "ndjson": "NDJSON", "json": "JSON list"}
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def describe_understood(understood: Mapping[str, Any]) -> str:
    """Sentences that say how a file was understood.

    Args:
        understood: the result of `Understood.as_dict`.
    """
    return " ".join(_sentences(understood))


def _list_columns(names: Sequence[str]) -> str:
    return f"the column{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _sentences(understood: Mapping[str, Any]) -> Iterator[str]:
    kind, compression = understood["kind"], understood["compression"]
    parts = [KINDS.get(kind, kind) + (f" in a {compression} file" if compression else "")]
    if understood["encoding"]:
        parts.append(understood["encoding"].replace("utf", "UTF"))
    if understood["delimiter"]:
        parts.append(f"columns separated by {DELIMITERS.get(understood['delimiter'], understood['delimiter'])}")
    yield f"{', '.join(parts)}."
    column = understood["column"]
    if column is not None:
        yield f"The keys are in the column {column}."
    if sheet := understood["sheet"]:
        yield f"The sheet is {sheet}."
    if understood["header"]:
        yield f"The first row{' below the title' if understood['titleLines'] else ''} is a header, not a key."
    if states := understood["stateColumns"]:
        yield f"Whether a key has been used is in {_list_columns(states)}."
    if ignored := understood["ignoredColumns"]:
        yield f"Ignored columns: {', '.join(ignored)}."
