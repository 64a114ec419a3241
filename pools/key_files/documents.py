"""JSON arrays, and lines with a JSON object each (NDJSON)."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from pools.key_files.columns import POPPED_NAME, Columns, find_columns
from pools.key_files.errors import FileUnreadable, option
from pools.key_files.headers import has_key_name
from pools.key_files.lines import Line, Reason
from pools.key_files.names import find_state_kind, fold_name, says_used
from pools.key_files.options import ReadOptions, UsedRows
from pools.key_files.text_lines import OVERLONG_LINE
from pools.key_files.texts import KeyReader, is_blank

_MAX_ELEMENT_CHARACTERS = 1 << 16
_BLANKS = re.compile(r"[ \t\r\n]*")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
BLANK, MALFORMED = object(), object()  # replace a blank line, and an element that is not JSON
_ERROR_NAMES = {"error", "errors", "message", "exception", "traceback"}


class Element(NamedTuple):
    """A value of a JSON array, or of a line of NDJSON.

    Attributes:
        number: of the line, or of the element in the array, from 1.
        value: MALFORMED if it is not JSON, BLANK for a blank line.
        text: of the line, or of the element.
    """

    number: int
    value: Any
    text: str = ""


def read_array(blocks: Iterable[str]) -> Iterator[Element]:
    """The elements of a JSON array, in flat memory.

    Raises:
        FileUnreadable: it is not JSON, or not one whole array.
    """
    decode = json.JSONDecoder().raw_decode
    source = iter(blocks)
    buffer, position, done = "", 0, 0
    is_ended = False
    number = 0
    expected = "["
    while True:
        position = _BLANKS.match(buffer, position).end()  # type: ignore[union-attr]
        if position == len(buffer) and not is_ended:
            done += position
            buffer, position = next(source, ""), 0
            is_ended = not buffer
            continue
        character = buffer[position : position + 1]
        if expected == "end":
            if not character:
                return
            raise _not_json(done + position, "there is more after the array")
        if expected in ("[", ",") and character == expected:
            position += 1
            expected = "first" if expected == "[" else "element"
            continue
        if character == "]" and expected in ("first", ","):
            position += 1
            expected = "end"
            continue
        if expected in ("[", ",") or not character:
            raise _not_json(done + position, "it is cut off" if not character else f"{character!r} is unexpected")
        try:
            value, end = decode(buffer, position)
            if "\\ud" in (written := buffer[position:end].lower()):
                orjson.loads(written)  # refuses half a surrogate pair
            if end == len(buffer) and not is_ended:
                raise ValueError  # a number may go on in the next block
        except (ValueError, RecursionError) as error:
            if is_ended or len(buffer) - position > _MAX_ELEMENT_CHARACTERS or isinstance(error, RecursionError):
                raise _not_json(done + position, f"element {number + 1:,} is not JSON, or is cut off") from None
            more = next(source, "")
            is_ended = not more
            done += position
            buffer, position = buffer[position:] + more, 0
            continue
        number += 1
        yield Element(number, value, buffer[position:end])
        position, expected = end, ","


def _not_json(position: int, reason: str) -> FileUnreadable:
    return FileUnreadable(f"The file is not a whole JSON array: at character {position + 1:,}, {reason}. Send it again")


def read_lines(lines: Iterable[str], number: int = 1) -> Iterator[Element]:
    """The values of NDJSON."""
    for each, line in enumerate(lines, number):
        if is_blank(line):
            yield Element(each, BLANK)
            continue
        try:
            yield Element(each, orjson.loads(line), line)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            yield Element(each, MALFORMED, line)


def find_members(elements: Sequence[Element], options: ReadOptions) -> Columns:
    """The members of the objects, as columns. None has a key if the elements are texts.

    Raises:
        ColumnAmbiguous, FileUnreadable: see `find_columns`.
    """
    objects = [element.value for element in elements if isinstance(element.value, dict)]
    names = list(dict.fromkeys(name for each in objects for name in each))
    if not objects and any(isinstance(element.value, str) for element in elements):
        return Columns((), 1, 0)
    if not any(isinstance(value, str) for each in objects for value in each.values()):
        raise FileUnreadable(
            "This is JSON. It has no keys: the file must be an array of texts or of objects, or have an object on each "
            'line, with the key as a text: {"key": "…"}'
        )
    if len(objects) == 1 and options.column is None and _ERROR_NAMES & {name.lower() for name in names}:
        raise FileUnreadable(
            "This is JSON. It looks like an error message that was downloaded in place of the keys. Download the keys "
            f"again. Or, if it has a key, say in which member: {option('column', 'NAME')}"
        )

    # Another name of a key in later objects makes them malformed, not the file ambiguous.
    first = next((set(each) for each in objects if has_key_name(list(each))), set(names))
    names = [name for name in names if name in first or not has_key_name([name]) or options.column is not None]

    def samples(index: int) -> Iterator[str]:
        return (_to_text(each.get(names[index])) for each in objects)

    return find_columns(names, options, samples, "member")


def read_elements(
    elements: Iterable[Element], columns: Columns, options: ReadOptions, reader: KeyReader
) -> Iterator[Line]:
    """The lines of the elements."""
    key = columns.names[columns.key] if columns.names else None
    seen, states = set(columns.names), [name for _, name in columns.states]
    for number, value, text in elements:
        if value is BLANK:
            yield Line(number, "")
            continue
        if isinstance(value, str) and key is None:
            yield reader.read(number, value) if value else Line(number, "", Reason.MALFORMED)
            continue
        members = value if isinstance(value, dict) else {}
        found = members.get(key) if key is not None else None
        if not isinstance(found, str) or is_blank(found) or _has_twice(text, key):
            yield _reject(number, value, text, reader)
            continue
        if options.used_rows is not UsedRows.IGNORE and not members.keys() <= seen:
            states += [name for name in members if name not in seen and find_state_kind(name)]
            seen |= members.keys()
        used = next((name for name in states if says_used(name, _to_text(members.get(name)))), None)
        if used is None:
            yield reader.read(number, found)
        elif options.used_rows is UsedRows.REJECT:
            yield reader.reject_used(number, found, f"{used}: {_to_text(members.get(used))}")
        else:
            popped = next((_to_text(members.get(name)) for name in states if fold_name(name) == POPPED_NAME), "")
            yield reader.read(number, found, popped=popped, is_used=True)


def _has_twice(text: str, name: str | None) -> bool:
    """Whether an object has a member twice."""
    if name is None or text.count(f'"{name}"') < 2:
        return False
    pairs: list[tuple[str, Any]] = json.loads(text, object_pairs_hook=list)
    return sum(member == name for member, _ in pairs) > 1


def _reject(number: int, value: Any, text: str, reader: KeyReader) -> Line:
    shown = json.dumps(value, ensure_ascii=False) if "\n" in text else text
    if text and _SURROGATE.search(text):
        reason = Reason.TOO_LONG if OVERLONG_LINE in text else Reason.NOT_UTF8
        return Line(number, reader.show(text), reason)
    return Line(number, reader.show(shown), Reason.MALFORMED)


def _to_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
