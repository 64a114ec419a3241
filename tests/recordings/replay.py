"""Sends the requests of a scenario to a server and compares its answers with the recorded ones.

Values that differ from run to run are compared by their kind (`<uuid>`, `<time>`, `<token>`), saved ones by name.
The README describes the members of a step.
"""

import base64
import json
import re
import secrets
import uuid
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import zip_longest
from typing import Any, Protocol

JSON_API = "application/vnd.api+json"
PASSWORD = "a-long-enough-password"

# The headers that are compared.
HEADERS = (
    *("Content-Type", "Location", "WWW-Authenticate", "Allow", "Keygen-Account", "Keygen-Bearer", "Keygen-Token"),
    *("Keygen-License", "Keygen-Environment", "Keygen-Version", "Keygen-Digest", "Digest", "Keygen-Signature", "Date"),
)
# Headers whose value is not compared, only whether the answer has them.
PRESENCE = {"Keygen-Digest", "Digest", "Keygen-Signature", "Date", "Keygen-Date", "X-Request-Id", "X-Signature"}

# The resources that this project does not have yet, by their names in paths.
NOT_BUILT = (
    *("webhook-endpoints", "webhook-events"),
    *("environments", "releases", "artifacts"),
)

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
KINDS = (
    (UUID, "<uuid>"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"), "<time UTC>"),
    (re.compile(r"(?:admin|prod|activ|user|env|dev|sales?|spprt|read)-[0-9a-f]{32,}v\d"), "<token>"),
    (re.compile(r"\b(?:[0-9A-F]{6}-){5}V\d\b"), "<key>"),
    (re.compile(r"\b[0-9a-f]{64,}\b"), "<hex>"),
    (re.compile(r"\b[0-9a-f]{40,}v\d\b"), "<once>"),  # of a webhook event, of a forgotten password
    (re.compile(r"key/[A-Za-z0-9_=-]+\.[A-Za-z0-9_=-]{40,}"), "<signed key>"),
    (re.compile(r"https://[a-z.]+/docs/"), "<docs>/"),
    (re.compile(r"https?://(?=\$\{domain\}/v1)"), "<scheme>://"),
    (re.compile(r"-----BEGIN [^-]+-----[^-]*-----END [^-]+-----\n?"), "<certificate>"),
)

Step = dict[str, Any]
Names = dict[str, Any]


class ReplayFailed(Exception):
    """A scenario cannot go on: an answer lacks a value that later steps need."""


class Server(Protocol):
    """A server under test."""

    host: str

    def call(
        self, method: str, path: str, headers: Mapping[str, str | None], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Send a request, without the headers that are None, and return status, headers and body of the response."""

    def wait(self, seconds: float) -> None:
        """Let time pass."""


@dataclass(frozen=True)
class Difference:
    """A step whose answer is not the recorded one."""

    number: int
    step: Step
    lines: list[str]

    def __str__(self) -> str:
        note = f"  ({self.step['note']})" if self.step.get("note") else ""
        return "\n    ".join([f"step {self.number}: {self.step['do']}{note}", *self.lines])


@dataclass
class Tally:
    """Counts of the steps of scenarios, by result."""

    same: int = 0
    deliberate: int = 0
    different: int = 0
    left_out: int = 0


def replay(
    server: Server, scenario: dict[str, Any], names: Names, without: Collection[str], tally: Tally
) -> Iterator[Difference]:
    """Send the requests of a scenario in order, and yield the steps whose answers differ.

    Args:
        names: the saved values, of an account in which nothing happened yet.
        without: resources that are not built, by their names in paths: steps that request them are left out, and the
            rest of a scenario after one that changed something there.
        tally: is updated.

    Raises:
        ReplayFailed: an answer lacks a value that later steps need.
    """
    steps = list(steps_to_replay(scenario, without))
    tally.left_out += len(scenario["steps"]) - len(steps)
    for number, step in steps:
        answer = run_step(server, step, names)
        loose = step.get("loose", []) + scenario.get("loose", [])
        if is_deliberate := bool(step.get("differs")):
            expected = step.get("ours", {})
            answer = reduce_to(expected, answer)
        else:
            expected = step["answer"]
        if lines := list(differences(expected, answer, loose)):
            tally.different += 1
            yield Difference(number, step, lines)
        elif is_deliberate:
            tally.deliberate += 1
        else:
            tally.same += 1


def steps_to_replay(scenario: dict[str, Any], without: Collection[str]) -> Iterator[tuple[int, Step]]:
    """The steps of a scenario with their numbers, without those that request resources that are not built.

    One that changed something there ends the scenario, because later steps may depend on it.
    """
    for number, step in enumerate(scenario["steps"], 1):
        if not set(without) & set(re.split(r"[/?]", step["do"])):
            yield number, step
        elif not step["do"].startswith("GET ") and step["answer"]["status"] < 300:
            return


def run_step(server: Server, step: Step, names: Names) -> dict[str, Any]:
    """Send the request of a step, save the values it names, and return the answer in the form of the recordings."""
    if "wait" in step:
        server.wait(step["wait"])
    method, path = fill(step["do"], names).split(" ", 1)
    path = path[1:] if path.startswith("//") else f"/v1/accounts/{names['account']}{path}"
    headers = {"Accept": JSON_API}
    body = None
    if "raw" in step or "raw64" in step:
        body = fill(step["raw"], names).encode() if "raw" in step else base64.b64decode(step["raw64"])
    elif "body" in step:
        body = json.dumps(fill(step["body"], names)).encode()
    if body is not None:
        headers["Content-Type"] = JSON_API
    if authorization := authorization_of(fill(step.get("as", "admin"), names), names):
        headers["Authorization"] = authorization
    headers.update(fill(step.get("headers", {}), names))

    status, received, content = server.call(method, path, headers, body)

    try:
        document = json.loads(content) if content else None
    except ValueError:
        document = content.decode("utf-8", "replace")
    for where in step.get("unpack", []):
        unpack(document, where.split("."))
    for name, where in step.get("save", {}).items():
        try:
            remember(names, name, dig(document, where))
        except (KeyError, IndexError, TypeError, ValueError):
            text = json.dumps(document)[:300]
            raise ReplayFailed(f"{step['do']}: {status}, and no {where} in {text}") from None
    if step.get("open"):
        document = open_files(document)
    kept = {}
    for name in (*HEADERS, *step.get("watch", [])):
        if value := received.get(name):
            kept[name] = "present" if name in PRESENCE else value
    if isinstance(document, dict):
        document.pop("jsonapi", None)
        if isinstance(document.get("meta"), dict):
            document["meta"].pop("id", None)  # of the request
            if not document["meta"]:
                document.pop("meta")
    answer = normalize({"status": status, "headers": kept, "body": document}, names)
    for where in step.get("exact", []):
        above, _, last = where.rpartition(".")
        with suppress(KeyError, IndexError, TypeError, ValueError):  # the response is an error, for example
            dig(answer["body"], above)[last] = dig(document, where)
    return answer


def authorization_of(bearer: str, names: Names) -> str | None:
    """The header Authorization of the member `as` of a step."""
    if bearer == "nobody":
        return None
    if bearer.startswith("basic "):
        return "Basic " + base64.b64encode(bearer[6:].encode()).decode()
    if bearer.startswith("license "):
        return "License " + bearer[8:]
    return f"Bearer {names['admin'] if bearer == 'admin' else bearer}"


def fill(value: Any, names: Names) -> Any:
    """Replace each `${name}` in a value by the saved value."""
    if isinstance(value, str):
        if whole := re.fullmatch(r"\$\{(\w+)\}", value):
            if whole[1] not in names:
                raise ReplayFailed(f"nothing was saved as {whole[1]}")
            return names[whole[1]]
        return re.sub(r"\$\{(\w+)\}", lambda match: str(names.get(match[1], match[0])), value)
    if isinstance(value, list):
        return [fill(item, names) for item in value]
    if isinstance(value, dict):
        return {fill(key, names): fill(item, names) for key, item in value.items()}
    return value


def remember(names: Names, name: str, value: Any) -> None:
    """Save a value; an id also in capitals and without hyphens."""
    names[name] = value
    if isinstance(value, str) and UUID.fullmatch(value):
        names[name + "Upper"], names[name + "Plain"] = value.upper(), value.replace("-", "")


def dig(document: Any, path: str) -> Any:
    """The value at a path such as `data.0.id`."""
    for part in path.split("."):
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def unpack(document: Any, parts: list[str]) -> None:
    """Replace the texts at a path by the JSON documents that they contain."""
    if not isinstance(document, dict | list):
        return
    for key in range(len(document)) if isinstance(document, list) else list(document):
        if parts[0] not in ("*", str(key)):
            continue
        if len(parts) > 1:
            unpack(document[key], parts[1:])
        elif isinstance(document[key], str):
            with suppress(ValueError):
                document[key] = json.loads(document[key])


def open_files(value: Any) -> Any:
    """Replace license files, machine files, proofs and signed keys by the documents in them."""
    if isinstance(value, list):
        return [open_files(item) for item in value]
    if isinstance(value, dict):
        return {key: open_files(item) for key, item in value.items()}
    if not isinstance(value, str):
        return value
    if file := re.fullmatch(r"-----BEGIN ([A-Z]+ FILE)-----([^-]*)-----END [A-Z]+ FILE-----\n?", value):
        content = json.loads(base64.b64decode(file[2]))
        enc = "<encrypted>" if content["alg"].startswith("aes") else json.loads(base64.b64decode(content["enc"]))
        sig = "DER" if "ecdsa" in content["alg"] else f"{len(base64.b64decode(content['sig']))} bytes"
        return {**content, "file": file[1], "enc": enc, "sig": f"<{sig}>"}
    if proof := re.fullmatch(r"proof/([\w=-]+)\.([\w=-]+)", value):
        length = len(base64.urlsafe_b64decode(proof[2]))
        return {"proof": json.loads(base64.urlsafe_b64decode(proof[1])), "sig": f"<{length} bytes>"}
    if key := re.fullmatch(r"(?:key/)?((?:[\w-]+=*\.){1,2})[\w-]{40,}=*", value):
        parts = [
            base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode() for part in key[1].rstrip(".").split(".")
        ]
        return {"key": [json.loads(part) if part.startswith("{") else part for part in parts]}
    return value


def normalize(value: Any, names: Names) -> Any:
    """Replace saved values by their names, and other values that differ from run to run by their kinds."""
    saved = [
        (text, f"${{{name}}}")
        for name, text in sorted(names.items(), key=lambda item: -len(str(item[1])))
        if isinstance(text, str) and len(text) >= 6
    ]

    def normalized(value: Any) -> Any:
        if isinstance(value, str):
            for text, name in saved:
                if text in value:
                    value = value.replace(text, name)
            return replace_kinds(value)
        if isinstance(value, list):
            return [normalized(item) for item in value]
        if isinstance(value, dict):
            return {normalized(key): normalized(item) for key, item in value.items()}
        return value

    return normalized(value)


@lru_cache(maxsize=16384)
def replace_kinds(text: str) -> str:
    """Replace the parts of a text that differ from run to run by their kinds."""
    for pattern, kind in KINDS:
        text = pattern.sub(kind, text)
    return text


def differences(expected: Any, actual: Any, loose: list[str], path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield a line for each value that differs, with its path.

    Args:
        loose: paths that are not compared; `*` stands for any part.
    """
    if is_loose(path, loose):
        return
    where = ".".join(path) or "answer"
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            below = (*path, str(key))
            if is_loose(below, loose):
                continue
            if key not in actual:
                yield f"{'.'.join(below)}: want {json.dumps(expected[key])[:160]}, got nothing"
            elif key not in expected:
                yield f"{'.'.join(below)}: want nothing, got {json.dumps(actual[key])[:160]}"
            else:
                yield from differences(expected[key], actual[key], loose, below)
    elif isinstance(expected, list) and isinstance(actual, list):
        if len(expected) != len(actual):
            yield f"{where}: want {len(expected)} entries, got {len(actual)}"
        for number, (one, other) in enumerate(zip(expected, actual, strict=False)):
            yield from differences(one, other, loose, (*path, str(number)))
    elif expected != actual or type(expected) is not type(actual):
        yield f"{where}: want {json.dumps(expected)[:200]}, got {json.dumps(actual)[:200]}"


def reduce_to(expected: Any, actual: Any) -> Any:
    """The parts of an answer that an expectation mentions."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        return {name: reduce_to(item, actual[name]) for name, item in expected.items() if name in actual}
    if isinstance(expected, list) and isinstance(actual, list):
        return [reduce_to(one, other) for one, other in zip_longest(expected, actual)][: len(actual)]
    return actual


def is_loose(path: tuple[str, ...], loose: list[str]) -> bool:
    for pattern in loose:
        parts = pattern.split(".")
        if len(parts) <= len(path) and all(want in ("*", have) for want, have in zip(parts, path, strict=False)):
            return True
    return False


def sign_up(server: Server) -> Names:
    """Create an account with an admin, and return its names."""
    unique = secrets.token_hex(5)
    email = f"admin-{unique}@example.com"
    admin = {"type": "users", "attributes": {"email": email, "password": PASSWORD}}
    document = {
        "data": {
            "type": "accounts",
            "attributes": {"name": f"Recordings {unique}", "slug": f"recordings-{unique}"},
            "relationships": {"admins": {"data": [admin]}},
        }
    }
    status, _, content = server.call("POST", "/v1/accounts", {"Content-Type": JSON_API}, json.dumps(document).encode())
    if status != 201:
        reason = content[:200].decode("utf-8", "replace")
        raise ReplayFailed(
            f"POST /v1/accounts: {status} {reason}. Start the server with SIGN_UP=true and SIGN_UPS_PER_HOUR=0."
        )
    return {"account": json.loads(content)["data"]["id"], "email": email, "password": PASSWORD, "domain": server.host}


def sign_in(server: Server, names: Names) -> None:
    """Create a token of the admin, and save the names that all scenarios know from the start."""
    path = f"/v1/accounts/{names['account']}"
    credential = authorization_of(f"basic {names['email']}:{names['password']}", names)
    status, _, content = server.call("POST", f"{path}/tokens", {"Authorization": credential}, None)
    if status != 201:
        raise ReplayFailed(f"signing in: {status} {content[:200].decode('utf-8', 'replace')}")
    token = json.loads(content)["data"]
    names["admin"], names["adminToken"] = token["attributes"]["token"], token["id"]
    names["adminUser"] = token["relationships"]["bearer"]["data"]["id"]
    _, _, content = server.call("GET", path, {"Authorization": f"Bearer {names['admin']}"}, None)
    names["slug"] = json.loads(content)["data"]["attributes"]["slug"]
    for name in ("account", "adminToken", "adminUser"):
        remember(names, name, names[name])
    remember(names, "fresh", str(uuid.uuid4()))
