"""The compact form of the recordings: an answer leaves out the members of a pattern of `patterns.json`.

- An answer without `status` has 200.
- An answer without `headers` has those of the pattern `admin`, or of `created` if its status is 201. A text is the name
  of a pattern.
- `{"$like": NAME, ...}` is the pattern NAME with the other members merged into it.
- `{"$without": [...], ...}` inside such an object lists the members of the pattern that this one does not have.
- A relationship of such an object that is a text has this id, and all else as in the pattern.
- `{id}` in a pattern is the id of the resource, `{policy}` the id of its relationship `policy`. In the pattern of an
  error, `{name}` is the member `$name` of the object.
- `"Location": "self"` is the URL of the link `self` of the answer's resource.
"""

import json
import re
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
PATTERNS = FOLDER / "patterns.json"
LIKE, WITHOUT, NAME = "$like", "$without", "$name"
PLACEHOLDER = re.compile(r"(?<!\$)\{(\w+)\}")
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
    """The patterns of `headers`, `resources` and `errors`, by name."""
    return json.loads(PATTERNS.read_bytes())


def read(path: Path) -> dict[str, Any]:
    """Read a scenario in the compact form or in the long one."""
    scenario = json.loads(path.read_bytes())
    for step in scenario["steps"]:
        step["answer"] = expand(step["answer"])
    return scenario


def may_differ(path: Path) -> bool:
    """Whether a step of a scenario has a reason to differ, or an answer of ours. Quicker than to read it."""
    text = path.read_bytes()
    return b'"differs"' in text or b'"ours"' in text


def write(path: Path, scenario: dict[str, Any]) -> None:
    """Write a scenario in the compact form, a step per line."""
    head = {name: value for name, value in scenario.items() if name != "steps"}
    lines = [_to_json({**step, "answer": compress(step["answer"])}) for step in scenario["steps"]]
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "steps": [\n' + ",\n".join(lines) + "\n]}\n"
    path.write_text(text, encoding="utf-8")


def expand(answer: dict[str, Any]) -> dict[str, Any]:
    """The long form of an answer."""
    answer = {"status": 200, **answer}
    headers = answer.get("headers", _usual_headers(answer["status"]))
    headers = _expand_object({LIKE: headers} if isinstance(headers, str) else headers, "headers")
    body = _expand_body(answer["body"])
    if headers.get("Location") == "self":
        headers["Location"] = ORIGIN + _self_link(body)
    return {**answer, "headers": headers, "body": body}


def compress(answer: dict[str, Any]) -> dict[str, Any]:
    """The compact form of an answer in the long form."""
    headers = answer["headers"]
    if (link := _self_link(answer["body"])) and headers.get("Location") == ORIGIN + link:
        headers = {**headers, "Location": "self"}
    headers = _compress_object(headers, "headers")
    short = {**answer, "headers": headers, "body": _compress_body(answer["body"])}
    if list(headers) == [LIKE]:
        short["headers"] = headers[LIKE]
    if short["headers"] == _usual_headers(answer["status"]):
        del short["headers"]
    if answer["status"] == 200:
        del short["status"]
    return short


def kind_of(value: Any) -> str | None:
    """The kind of patterns for a part of a body: a resource object (not an identifier), an error, or None."""
    if not isinstance(value, dict):
        return None
    if {"type", "id", "relationships"} <= value.keys():
        return "resources"
    return "errors" if {"title", "detail"} <= value.keys() else None


def _expand_body(value: Any) -> Any:
    if isinstance(value, list):
        return [_expand_body(item) for item in value]
    if isinstance(value, dict):
        expanded = {name: _expand_body(item) for name, item in value.items()}
        return _expand_object(expanded, "errors" if value.get(LIKE) in patterns()["errors"] else "resources")
    return value


def _compress_body(value: Any) -> Any:
    if isinstance(value, list):
        return [_compress_body(item) for item in value]
    if kind := kind_of(value):
        return _compress_object(value, kind)
    if isinstance(value, dict):
        return {name: _compress_body(item) for name, item in value.items()}
    return value


def _expand_object(value: dict[str, Any], kind: str) -> dict[str, Any]:
    if LIKE not in value:
        return value
    changes = {name: item for name, item in value.items() if name not in (LIKE, NAME)}
    if relationships := changes.get("relationships"):
        changes["relationships"] = {
            name: {"data": {"id": item}} if isinstance(item, str) else item for name, item in relationships.items()
        }
    texts = _ids(changes)
    if NAME in value:
        texts["name"] = value[NAME]
    return _merge(_filled(kind, value[LIKE], tuple(texts.items())), changes)


@lru_cache(maxsize=4096)
def _filled(kind: str, name: str, texts: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """A pattern with texts in place of their names in braces, or else its own ids."""
    pattern = patterns()[kind][name]
    return _fill(pattern, {**_ids(pattern), **dict(texts)})


def _compress_object(value: dict[str, Any], kind: str) -> dict[str, Any]:
    """The shortest of the object itself and its changes to each pattern."""
    forms = [value]
    for name, pattern in patterns()[kind].items():
        if pattern.get("type") != value.get("type"):
            continue
        texts, form = _ids(value), {LIKE: name}
        if "id" in value:
            form["id"] = value["id"]
        if kind == "errors" and (own_name := _name_in(pattern, value)):
            texts["name"] = form[NAME] = own_name
        form |= _changes(_fill(pattern, texts), value)
        if relationships := form.get("relationships"):
            form["relationships"] = {
                name: item["data"]["id"] if _is_id_alone(item) else item for name, item in relationships.items()
            }
        if _expand_object(form, kind) == value:
            forms.append(form)
    return min(forms, key=lambda form: len(_to_json(form)))


def _ids(resource: dict[str, Any]) -> dict[str, str]:
    """The ids of a resource object and of its relationships, by their names in patterns."""
    ids = {"id": resource.get("id", "")}
    for name, item in (resource.get("relationships") or {}).items():
        data = item.get("data") if isinstance(item, dict) else None  # not the list of those left out
        if isinstance(data, dict) and isinstance(data.get("id"), str):
            ids[name] = data["id"]
    return ids


def _is_id_alone(relationship: Any) -> bool:
    data = relationship.get("data") if isinstance(relationship, dict) and len(relationship) == 1 else None
    return isinstance(data, dict) and list(data) == ["id"]


def _name_in(pattern: Any, value: Any) -> str | None:
    """The text in place of `{name}` in the first text of a pattern that has it."""
    if isinstance(pattern, dict) and isinstance(value, dict):
        return next((found for key in pattern if (found := _name_in(pattern[key], value.get(key)))), None)
    if isinstance(pattern, str) and isinstance(value, str) and "{name}" in pattern:
        before, _, after = pattern.partition("{name}")
        if value.startswith(before) and value.endswith(after) and len(value) > len(before + after):
            return value[len(before) : len(value) - len(after)]
    return None


def _fill(pattern: Any, texts: dict[str, str]) -> Any:
    """A pattern with texts in place of their names in braces."""
    if isinstance(pattern, str):
        return PLACEHOLDER.sub(lambda match: texts.get(match[1], match[0]), pattern) if "{" in pattern else pattern
    if isinstance(pattern, dict):
        return {name: _fill(value, texts) for name, value in pattern.items()}
    return pattern


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


def _usual_headers(status: int) -> str:
    return "created" if status == 201 else "admin"


def _self_link(body: Any) -> str | None:
    try:
        return body["data"]["links"]["self"]
    except (KeyError, TypeError):
        return None


def _to_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
