"""The compact form of the recordings: an answer leaves out what it shares with a pattern of `patterns.json`.

- An answer without `headers` has those of the pattern `admin`, or of `created` if its status is 201. A text is the name
  of a pattern.
- `{"$like": NAME, ...}` is the pattern NAME with the other members merged into it, and the member `id` as `{id}` in it.
- `{"$without": [...], ...}` inside such an object lists the members of the pattern that this one does not have.
- `"Location": "self"` is the URL of the link `self` of the answer's resource.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PATTERNS = FOLDER / "patterns.json"
LIKE, WITHOUT = "$like", "$without"
ORIGIN = "<scheme>://${domain}"


def scenarios(chosen: list[str]) -> dict[str, Path]:
    """The files of scenarios by name, such as `pools/pop`.

    Args:
        chosen: names of scenarios or folders, or paths of other files or folders; empty for all scenarios here.

    Raises:
        FileNotFoundError: one of them does not exist.
    """
    found: dict[str, Path] = {}
    for text in chosen or ["."]:
        places = [FOLDER / text, FOLDER / f"{text}.json", Path(text)]
        place = next((place for place in places if place.exists()), None)
        if place is None:
            raise FileNotFoundError(f"There is no scenario, file or folder {text}.")
        for path in sorted(place.rglob("*.json")) if place.is_dir() else [place]:
            if path != PATTERNS:
                found[f"{path.resolve().parent.name}/{path.stem}"] = path
    return found


@cache
def patterns() -> dict[str, dict[str, Any]]:
    """The patterns of `headers` and `resources`, by name."""
    return json.loads(PATTERNS.read_bytes())


def read(path: Path) -> dict[str, Any]:
    """Read a scenario in the compact form or in the long one."""
    scenario = json.loads(path.read_bytes())
    for step in scenario["steps"]:
        step["answer"] = expand(step["answer"])
    return scenario


def write(path: Path, scenario: dict[str, Any]) -> None:
    """Write a scenario in the compact form, a step per line."""
    head = {name: value for name, value in scenario.items() if name != "steps"}
    lines = [_to_json({**step, "answer": compress(step["answer"])}) for step in scenario["steps"]]
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "steps": [\n' + ",\n".join(lines) + "\n]}\n"
    path.write_text(text, encoding="utf-8")


def expand(answer: dict[str, Any]) -> dict[str, Any]:
    """The long form of an answer."""
    headers = answer.get("headers", _usual_headers(answer))
    headers = _expand_object({LIKE: headers} if isinstance(headers, str) else headers, patterns()["headers"])
    body = _expand_resources(answer["body"])
    if headers.get("Location") == "self":
        headers["Location"] = ORIGIN + _self_link(body)
    return {**answer, "headers": headers, "body": body}


def compress(answer: dict[str, Any]) -> dict[str, Any]:
    """The compact form of an answer in the long form."""
    headers = answer["headers"]
    if (link := _self_link(answer["body"])) and headers.get("Location") == ORIGIN + link:
        headers = {**headers, "Location": "self"}
    headers = _compress_object(headers, patterns()["headers"])
    short = {**answer, "headers": headers, "body": _compress_resources(answer["body"])}
    if list(headers) == [LIKE]:
        short["headers"] = headers[LIKE]
    if short["headers"] == _usual_headers(answer):
        del short["headers"]
    return short


def is_resource(value: Any) -> bool:
    """Whether a part of a body is a resource object, and no resource identifier."""
    return isinstance(value, dict) and {"type", "id"} <= value.keys() and "relationships" in value


def fill_id(pattern: Any, own_id: str) -> Any:
    """A pattern with the id of a resource in place of `{id}`."""
    if isinstance(pattern, str):
        return pattern.replace("{id}", own_id)
    if isinstance(pattern, dict):
        return {name: fill_id(value, own_id) for name, value in pattern.items()}
    return pattern


def _expand_resources(value: Any) -> Any:
    if isinstance(value, list):
        return [_expand_resources(item) for item in value]
    if isinstance(value, dict):
        return _expand_object({name: _expand_resources(item) for name, item in value.items()}, patterns()["resources"])
    return value


def _compress_resources(value: Any) -> Any:
    if isinstance(value, list):
        return [_compress_resources(item) for item in value]
    if is_resource(value):
        return _compress_object(value, patterns()["resources"])
    if isinstance(value, dict):
        return {name: _compress_resources(item) for name, item in value.items()}
    return value


def _expand_object(value: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    if LIKE not in value:
        return value
    changes = {name: item for name, item in value.items() if name != LIKE}
    return _merge(fill_id(named[value[LIKE]], changes.get("id", "")), changes)


def _compress_object(value: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """The shortest of the object itself and its changes to each pattern."""
    own_id = value.get("id", "")
    forms = [value]
    for name, pattern in named.items():
        if pattern.get("type") == value.get("type"):
            forms.append({LIKE: name, "id": own_id, **_changes(fill_id(pattern, own_id), value)})
            if not own_id:
                del forms[-1]["id"]
    return min(forms, key=lambda form: len(_to_json(form)))


def _merge(pattern: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    left_out = changes.get(WITHOUT, [])
    merged = {name: value for name, value in pattern.items() if name not in left_out}
    for name, value in changes.items():
        if name == WITHOUT:
            continue
        before = merged.get(name)
        both_are_objects = isinstance(before, dict) and isinstance(value, dict)
        merged[name] = _merge(before, value) if both_are_objects else value
    return merged


def _changes(pattern: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """The members that `_merge` needs to turn the pattern into the value."""
    changes: dict[str, Any] = {}
    names = [name for name in pattern if name in value] + [name for name in value if name not in pattern]
    for name in names:
        item, before = value[name], pattern.get(name)
        if name not in pattern:
            changes[name] = item
        elif isinstance(before, dict) and isinstance(item, dict):
            if below := _changes(before, item):
                changes[name] = below
        elif item != before or type(item) is not type(before):
            changes[name] = item
    if left_out := [name for name in pattern if name not in value]:
        changes[WITHOUT] = left_out
    return changes


def _usual_headers(answer: dict[str, Any]) -> str:
    return "created" if answer["status"] == 201 else "admin"


def _self_link(body: Any) -> str | None:
    try:
        return body["data"]["links"]["self"]
    except (KeyError, TypeError):
        return None


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
