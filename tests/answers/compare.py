"""Says how two recordings differ, equal differences together."""

import difflib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def load(path: str, renames: list[str]) -> dict[str, Any]:
    """The records of a file by their id, after a text for each `OLD=NEW` was replaced by the other."""
    text = Path(path).read_text()
    for rename in renames:
        old, _, new = rename.partition("=")
        text = text.replace(old, new)
    return {record.pop("id"): record for record in map(json.loads, text.splitlines())}


def differences(old: Any, new: Any, where: str = "") -> Iterator[str]:
    """Each value that differs, a line for each, `headers/Vary: "Origin" -> "Accept"`."""
    if type(old) is type(new) and isinstance(old, dict):
        if list(old) != list(new) and sorted(old) == sorted(new):
            yield f"{where}: the members have another order"
        for name in dict.fromkeys([*old, *new]):
            if name not in old or name not in new:
                side, value = ("only before", old[name]) if name in old else ("only after", new[name])
                yield f"{where}/{name}: {side}: {json.dumps(value)[:300]}"
            else:
                yield from differences(old[name], new[name], f"{where}/{name}")
    elif type(old) is type(new) and isinstance(old, list) and len(old) == len(new):
        for number, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from differences(one, other, f"{where}/{number}")
    elif isinstance(old, str) and isinstance(new, str) and "\n" in old + new and old != new:
        _, _, *lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
        lines = [line for line in lines if not line.startswith("@@")]
        if len(lines) == 2:
            lines = list(apart(*lines))
        yield "\n    ".join([f"{where}:", *lines[:40]])
    elif old != new or type(old) is not type(new):
        yield "{}: {} -> {}".format(where, *apart(json.dumps(old), json.dumps(new)))


def apart(old: str, new: str) -> tuple[str, str]:
    """Two texts, without most of their common beginning if they are long."""
    same = len(os.path.commonprefix([old[1:], new[1:]]))
    start = max(1, same - 60) if max(len(old), len(new)) > 300 else 1
    return old[0] + old[start:][:300], new[0] + new[start:][:300]


def compare(before: str, after: str, renames: list[str]) -> int:
    """Print the differences of two files; returns the number of records that differ."""
    old, new = load(before, renames), load(after, [])
    found: dict[str, list[str]] = {}
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            found.setdefault(f"recorded only {'before' if name in old else 'after'}", []).append(name)
        else:
            if old[name]["body"] != new[name]["body"]:  # then its length says nothing new
                for record in (old[name], new[name]):
                    record["headers"].pop("Content-Length", None)
            for difference in differences(old[name], new[name]):
                found.setdefault(difference.strip("/"), []).append(name)
    for difference, names in sorted(found.items(), key=lambda item: -len(item[1])):
        print(f"{len(names)} × {difference}", *(f"      {name}" for name in names[:3]), sep="\n")
    differing = len({name for names in found.values() for name in names})
    print(f"{len(old)} and {len(new)} records, {differing} differ")
    return differing
