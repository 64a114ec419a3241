"""The sections about the API. Each request of a table is rolled back; those of a story follow each other."""

import copy
import gzip
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

from django.core import mail
from django.test import override_settings

from tests.answers import tables
from tests.answers.recording import JSON_API, Recorder
from tests.answers.tables import PASSWORD, ROUTES, basic, document, key, license, meta, one, policy, some

READS = [path for methods, path, _ in ROUTES if "GET" in methods.split()]
WRITES = {f"{method} {path}": body for methods, path, body in ROUTES for method in methods.split() if method != "GET"}
SETTINGS = ({"ACCOUNT": "acme"}, {"SIGN_UP": False}, {"REQUESTS_PER_MINUTE": 2}, {"UNIFORM_SIGN_IN_ERRORS": True})


def row(recorder: Recorder, request: str, *arguments: Any, **options: Any) -> None:
    """A request of a table."""
    with recorder.unchanged():
        recorder.ask(request, *arguments, **options)


def shortened(value: Any) -> str:
    return re.sub(r"(.+?)\1{20,}", r"\1…", str(value))[:150]


# Tables --------------------------------------------------------------------------------------------------------------


def roles(recorder: Recorder) -> None:
    """Every route, every method, every bearer."""
    for methods, path, body in ROUTES:
        media_type = "text/plain" if isinstance(body, bytes) else JSON_API
        for method in tables.METHODS:
            # Whom no credential speaks for is asked once for each route.
            bearers = tables.BEARERS if methods.startswith(method) else tables.BEARERS[: -len(tables.STRANGERS)]
            for bearer in bearers if method in methods.split() else ("admin", "anonymous"):
                sent = None if method == "GET" else body
                row(recorder, f"{method} {path}", sent, bearer, content_type=media_type)
        row(recorder, f"HEAD {path}")
        row(recorder, f"OPTIONS {path}")


def members(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """The path and the value of each member of a document, at any depth."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, content in pairs:
        yield (*path, name), content
        yield from members(content, (*path, name))


def wrong_instead_of(value: Any) -> dict[str, Any]:
    """Wrong values for a member of a document, by the kind of error."""
    wrong = {"null": None, "a number": -7, "a text": "text", "a list": ["x"]}
    if isinstance(value, str):
        return wrong | {"blank": " ", "NUL": "a\0b", "long": "x" * 20_000}
    return wrong | ({"an unknown member": value | {"unknown": 1}} if isinstance(value, dict) else {"true": True})


def changed(body: Any, path: tuple[Any, ...], value: Any, *, missing: bool = False) -> Any:
    """A copy of a document with another value at a path, or without it."""
    body = copy.deepcopy(body)
    *above, name = path
    inner = body
    for part in above:
        inner = inner[part]
    inner[name] = value
    if missing:
        del inner[name]
    return body


def documents(recorder: Recorder) -> None:
    """Every member of every document: missing, of each wrong type, too long; and members that are not known."""
    for request, body in WRITES.items():
        if not isinstance(body, dict) or request.startswith(("PUT", "DELETE")):
            continue
        row(recorder, request, body | {"unknown": 1}, about="an unknown member")
        for path, content in members(body):
            pointer = "/".join(map(str, path))
            row(recorder, request, changed(body, path, None, missing=True), about=f"{pointer} missing")
            for name, value in wrong_instead_of(content).items():
                row(recorder, request, changed(body, path, value), about=f"{pointer} {name}")
    for raw in tables.RAW:
        row(recorder, "POST products", raw, about=repr(raw[:40]))


def values(recorder: Recorder) -> None:
    """Attributes, relationships and whole documents, good and bad."""
    for request, attributes in tables.VALUES.items():
        good = WRITES[request]["data"]["attributes"]
        for name, values in attributes.items():
            for value in values:
                given = value if name == "together" else {name: value}
                body = changed(WRITES[request], ("data", "attributes"), good | given)
                row(recorder, request, body, about=shortened(given))
    for request, rows in tables.LINKS.items():
        for links in rows:
            row(recorder, request, changed(WRITES[request], ("data", "relationships"), links), about=shortened(links))
    for request, rows in tables.DOCUMENTS.items():
        for body in rows:
            row(recorder, request, body, about=shortened(body))


def versions(recorder: Recorder) -> None:
    """Each representation and each document of a new resource, in each version of the API."""
    fingerprints = {"fingerprintUniquenessStrategy": "UNIQUE_PER_POLICY", "fingerprintMatchingStrategy": "MATCH_ALL"}
    former: list[dict[str, Any]] = [{}, {"concurrent": False}, {"leasingStrategy": "PER_LICENSE"}, fingerprints]
    by_user = document("licenses", {}, policy=one("policies", "plain"), user=one("users", "joe"))
    for version in tables.VERSIONS:
        requests: list[tuple[str, Any]] = [(f"GET {path}", None) for path in READS]
        requests += [each for each in WRITES.items() if each[0].startswith("POST") and isinstance(each[1], dict)]
        requests += [("POST policies", policy("Former", **attributes)) for attributes in former]
        for request, body in (*requests, ("POST licenses", by_user), ("GET me?token=x", None)):
            row(recorder, request, body, about=version, Keygen_Version=version)
        wrong = basic("joe@acme.test", "wrong")
        row(recorder, "POST tokens", about=version, Keygen_Version=version, Authorization=wrong)


def queries(recorder: Recorder) -> None:
    """Filters and pages of lists."""
    for path, filters in tables.FILTERS.items():
        for name, values in filters.items():
            for value in values:
                row(recorder, f"GET {path}?{name}={value}")
    for path in tables.LISTS:
        for query in tables.PAGES if path in ("keys", "key-events", "licenses", "users") else tables.PAGES[::7]:
            row(recorder, f"GET {path}?{query}")
    for query in tables.EXPORTS:
        row(recorder, f"GET policies/{{pooled}}/pool/actions/export?{query}")


def headers(recorder: Recorder) -> None:
    """Headers of requests: media types, versions, signatures, idempotency keys, credentials, CORS."""
    for name, rows in tables.HEADERS.items():
        for value in rows:
            for request in ("GET keys", "GET licenses/{license}", "GET keys/x", "POST keys"):
                header = {name.replace("-", "_"): recorder.filled(value)}
                row(recorder, request, WRITES.get(request), about=f"{name} {shortened(value)!r}", **header)
    for content_type in tables.CONTENT_TYPES:
        for request in ("POST products", "PATCH keys/{key-12}", "POST policies/{pooled}/pool/actions/import"):
            row(recorder, request, WRITES[request], about=content_type, content_type=content_type)
    token = recorder.bearers["admin"].partition(" ")[2]
    for pattern in tables.CREDENTIALS:
        value = pattern.format(token, "LICENSE-OF-JOE", basic(token, "").partition(" ")[2])
        for request in ("GET me", "POST licenses/actions/validate-key"):
            row(recorder, request, WRITES.get(request), about=f"credential {pattern!r}", Authorization=value)
    asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
    for path in ("keys", "nothing", "/v1/nothing", "/healthz"):
        row(recorder, f"OPTIONS {path}", about="CORS", Access_Control_Request_Headers="authorization", **asked)


def paths(recorder: Recorder) -> None:
    """Addresses that exist, and all ways not to find anything; then some of a server with other settings."""
    for method in ("GET", "HEAD", "POST"):
        for path in tables.PATHS:
            row(recorder, f"{method} {path}")
    row(recorder, "GET /nothing", None, "anonymous", "as HTML", Accept="text/html")
    metrics = {"simplify": without_numbers, "Authorization": "Bearer for-metrics"}
    row(recorder, "GET /metrics", **metrics)
    for method in ("TRACE", "PROPFIND", "NONSENSE", "get"):
        row(recorder, f"{method} keys")
    for setting in SETTINGS:
        with override_settings(**setting), recorder.unchanged():
            for path in ("/v1/keys", "/v1/me", "/v1/accounts/acme/keys", "/v1/accounts/rival/keys", "/v1/ping"):
                recorder.ask(f"GET {path}", about=str(setting))
            recorder.ask("POST /v1/accounts", None, "anonymous", str(setting))
            recorder.ask("POST tokens", about=str(setting), Authorization=basic("nobody@acme.test"))


def without_numbers(text: str) -> str:
    """The exposition of the metrics without values, a line for each series, and without buckets."""
    lines = (line for line in text.splitlines() if not re.search("python_|process_|_bucket|_created", line))
    return "\n".join(sorted({re.sub("[0-9a-f-]{36}| [0-9.e+]+$", "…", line) for line in lines}))


# Stories -------------------------------------------------------------------------------------------------------------


def pool(recorder: Recorder) -> None:
    """Keys into a pool and out of it, the ledger, and requests that are sent twice."""
    ask, actions = recorder.ask, "policies/{story}/pool/actions"
    ask("POST products", document("products", {"name": "Pool"}), keep="shop")
    ask("POST policies", policy("Story", "shop", usePool=True), keep="story")
    for number in range(1, 10):
        ask("POST keys", key(f"STORY-{number:04}", "story"), keep=f"story-{number}", Idempotency_Key=f"key-{number}")
    for text, bearer in (("STORY-0009", "admin"), ("STORY-0010", "admin"), ("STORY-0009", "developer")):
        ask("POST keys", key(text, "story"), bearer, Idempotency_Key="key-9")
    ask("PATCH keys/{story-2}", document("keys", {"key": "STORY-CHANGED"}))
    ask("DELETE keys/{story-3}", Keygen_Reference="Wrong")
    for name in ("order-1", "order-1", "order-2"):
        ask("DELETE policies/{story}/pool", Idempotency_Key=name, Keygen_Reference="Order 1")
    ask("DELETE policies/{story}/pool", Idempotency_Key="order-1")
    ask("GET keys/{story-1}")
    for count in (2, 2, 100):
        ask(f"POST {actions}/pop", meta(count=count), Idempotency_Key=f"pop-{count}")
    for text in ("STORY-0001", "STORY-0001", "STORY-0003"):
        ask(f"POST {actions}/return", meta(key=text), Keygen_Reference="Refund")
    ask("GET policies/{story}/pool")
    ask(f"POST {actions}/withdraw", meta(key="STORY-0008"))
    ask("DELETE policies/{story}/pool")
    ask("POST licenses", license("story", "joe"), keep="story-license", Keygen_Reference="Order 9")
    ask("POST licenses", license("story", key="MY-OWN-KEY"))
    ask(f"POST {actions}/return", meta(key="STORY-0006"))
    ask("DELETE licenses/{story-license}")
    for text in ("STORY-0001", "STORY-0003", "STORY-0008"):
        ask("POST keys", key(text, "story"))
    for _ in range(4):
        ask("DELETE policies/{story}/pool")
    ask("POST licenses", license("story"))
    ask("POST licenses", license("plain", key="STORY-0001"))
    ask("GET key-events?policy={story}&limit=100")
    ask("POST key-events/actions/search", meta(key="STORY-0001"))
    ask("DELETE products/{shop}")
    ask("POST keys", key("STORY-0001"))
    ask("GET key-events?limit=100")


def transfers(recorder: Recorder) -> None:
    """Files of keys, each on its own, also gzipped; one sent twice; then exports."""
    request = "POST policies/{pooled}/pool/actions/import"
    for content_type, query, body in tables.IMPORTS:
        for packed, data in (("", body), ("gzipped ", gzip.compress(body, mtime=0))):
            with recorder.unchanged():
                about = f"{packed}{shortened(body)}"
                recorder.ask(f"{request}{query}", data, about=about, content_type=content_type)
                recorder.ask("GET policies/{pooled}/pool?limit=3", about=f"after {about}")
    for body in (b"TWICE-0001\n", b"TWICE-0001\n", b"TWICE-0002\n"):
        recorder.ask(request, body, content_type="text/plain", Idempotency_Key="twice", Keygen_Reference="PO 1")
    for query in tables.EXPORTS[:20]:
        recorder.ask(f"GET policies/{{pooled}}/pool/actions/export?{query}")
    recorder.ask("GET key-events?limit=30")


def licenses(recorder: Recorder) -> None:
    """Actions on a license, some of them twice, and validations afterwards."""
    ask = recorder.ask
    actions = ["suspend", "suspend", "reinstate", "reinstate", "check-in", "renew", "increment-usage", "reset-usage"]
    for name in ("license", "out-of-date", "expiring", "guarded-license", "pooled-license", "banned-license"):
        for action in (*actions, "decrement-usage", "validate"):
            ask(f"POST licenses/{{{name}}}/actions/{action}")
    for days in (2, 6, 30, 95):
        recorder.move(days=days)
        for name in ("license", "expiring", "suspended", "guarded-license"):
            ask(f"GET licenses/{{{name}}}/actions/validate", about=f"{days} days later")
        for status in ("active", "inactive", "expired"):
            ask(f"GET licenses?status={status}&limit=100", about=f"{days} days later")
    for name in ("guarded", "terms", "plain", "pooled"):
        ask("PUT licenses/{license}/policy", one("policies", name))
    for users in (("max",), ("max",), ("jane", "max")):
        ask("POST licenses/{license}/users", some(*users))
        ask("GET licenses/{license}/users")
        ask("DELETE licenses/{license}/users", some(*users))
    ask("PUT licenses/{license}/owner", {"data": None})
    for request in ("DELETE users/{jane}", "DELETE licenses/{suspended}/actions/revoke", "DELETE policies/{terms}"):
        ask(request)
        ask("GET licenses?limit=100")


def validation(recorder: Recorder) -> None:
    """Verdicts with each scope, and under policies that ask for each."""
    for scope in tables.SCOPES:
        for name in ("license", "suspended", "out-of-date", "banned-license", "other-license"):
            row(recorder, f"POST licenses/{{{name}}}/actions/validate", meta(scope=scope), about=str(scope))
    for attributes in tables.SCOPED:
        with recorder.unchanged():
            recorder.ask("POST policies", policy("Scoped", **attributes), keep="scoped", about=str(attributes))
            for text, expiry in (("SCOPED-LICENSE", None), ("SCOPED-EXPIRED", "2027-02-01T00:00:00Z")):
                recorder.ask("POST licenses", license("scoped", "joe", key=text, expiry=expiry), keep="scoped-license")
                recorder.ask("POST licenses/{scoped-license}/users", some("jane", "max"))
                recorder.ask("POST licenses/{scoped-license}/actions/increment-usage")
                recorder.ask("POST licenses/actions/validate-key", meta(key=text), "anonymous")
                recorder.ask("POST licenses/{scoped-license}/actions/validate", meta(scope={"product": "{rocket}"}))
                recorder.ask("GET licenses/{scoped-license}/actions/validate")
                recorder.ask("GET me", Authorization=f"License {text}")


def schemes(recorder: Recorder) -> None:
    """Signed and encrypted keys, and license files."""
    for scheme in tables.SCHEMES:
        terms = {"scheme": scheme, "encrypted": scheme == "LEGACY_ENCRYPT", "duration": 86400}
        with recorder.unchanged():
            recorder.ask("POST policies", policy("Signed", **terms), keep="signed", about=scheme)
            for seed in tables.SEEDS:
                new = license("signed", "joe", **({"key": seed} if seed else {}))
                made = recorder.ask("POST licenses", new, about=f"{scheme} {shortened(seed)}", keep="signed-license")
                if text := made.data("data", "attributes", "key"):
                    for legacy in (True, False):
                        asked = meta(key=text, legacy_encrypted=legacy)
                        row(recorder, "POST licenses/actions/validate-key", asked, about=f"{scheme} {legacy}")
            recorder.ask("GET licenses/{signed-license}", about=scheme)
            for query in tables.CHECK_OUTS[:9]:
                recorder.ask(f"POST licenses/{{signed-license}}/actions/check-out?{query}", about=scheme)
    for query in tables.CHECK_OUTS:
        row(recorder, f"GET licenses/{{license}}/actions/check-out?{query}")
        row(recorder, f"POST licenses/{{license}}/actions/check-out?{query}", meta(encrypt=True))


def people(recorder: Recorder) -> None:
    """Users, their passwords and tokens; accounts that are made and changed."""
    ask = recorder.ask
    for old, new in (("wrong", "another one"), (PASSWORD, "x"), (PASSWORD, "another one")):
        ask("POST users/{joe}/actions/update-password", meta(oldPassword=old, newPassword=new), "joe")
    for password in (PASSWORD, "another one"):
        ask("POST tokens", keep="joe-token", Authorization=basic("joe@acme.test", password))
    with override_settings(EMAIL_BACKEND="django.core.mail.backends.locmem.EmailBackend"):
        mail.outbox = []
        ask("POST passwords", meta(email="joe@acme.test"), "anonymous")
        for _ in range(200):  # it is sent by a thread
            if mail.outbox:
                break
            time.sleep(0.05)
    token = re.findall(r"\s(\S+:\S+:\S+)\s", mail.outbox[0].body)[0]
    recorder.move(minutes=10)  # until the attempts above are forgotten
    for new in ("x", "a third one", "a fourth one"):
        ask("POST users/{joe}/actions/reset-password", meta(passwordResetToken=token, newPassword=new), "anonymous")
    ask("GET me", bearer="joe-token")
    ask("PUT tokens", bearer="jane", keep="jane-token")
    ask("PUT tokens/{rocket-token}", keep="rocket-token")
    for bearer in ("jane", "jane-token", "rocket", "rocket-token"):
        ask("GET me", bearer=bearer)
    ask("DELETE tokens/{rocket-token}")
    ask("GET me", bearer="rocket-token")
    for action in ("ban", "ban", "unban", "unban"):
        ask(f"POST users/{{max}}/actions/{action}")
        ask("GET me", bearer="max")
    ask("PATCH users/{developer}", document("users", {"role": "read-only"}))
    ask("GET me", bearer="developer")
    ask("PATCH users/{admin-user}", document("users", {"role": "user"}))
    ask("DELETE users/{admin-user}")
    ask("GET users?limit=100&roles[]=user&roles[]=admin&roles[]=read-only")
    eve = {"data": [{"type": "users", "attributes": {"email": "eve@new.test", "password": PASSWORD}}]}
    for attributes in ({"name": "New", "slug": "new"}, {"slug": "new"}, {"slug": "acme"}, {}):
        ask("POST /v1/accounts", document("accounts", attributes, admins=eve), "anonymous")
    ask("POST /v1/accounts", document("accounts", {}, admins={"data": []}), "anonymous")
    ask("POST /v1/accounts/new/tokens", keep="eve-token", Authorization=basic("eve@new.test"))
    ask("PATCH /v1/accounts/new", document("accounts", {"slug": "newer", "apiVersion": "1.3"}), "eve-token")
    ask("GET /v1/accounts/newer/me", bearer="eve-token")
    for protected in (False, True):
        ask("PATCH /v1/accounts/newer", document("accounts", {"protected": protected}), "eve-token")
        ask("POST /v1/accounts/newer/users", document("users", {"email": f"{protected}@new.test"}), "anonymous")


def limits(recorder: Recorder) -> None:
    """Rate limits of sign-ins, passwords and guessed keys."""
    for person, password, times in (("joe", "wrong", 6), ("joe", PASSWORD, 1), ("nobody", PASSWORD, 1)):
        for _ in range(times):
            recorder.ask("POST tokens", Authorization=basic(f"{person}@acme.test", password))
    for _ in range(6):
        recorder.ask("POST passwords", meta(email="joe@acme.test", deliver=False), "anonymous")
        for action, old in (("update-password", "oldPassword"), ("reset-password", "passwordResetToken")):
            recorder.ask(f"POST users/{{joe}}/actions/{action}", meta(**{old: "x"}, newPassword="another one"), "joe")
    for number in range(62):
        recorder.ask("POST licenses/actions/validate-key", meta(key=f"GUESS-{number:04}"), "anonymous")
    recorder.move(minutes=1)
    recorder.ask("POST tokens", Authorization=basic("joe@acme.test"))


TABLES: list[Callable[[Recorder], None]] = [roles, documents, values, versions, queries, headers, paths]
STORIES: list[Callable[[Recorder], None]] = [pool, transfers, licenses, validation, schemes, people]


def record(recorder: Recorder) -> None:
    for table in TABLES:
        recorder.section = table.__name__
        table(recorder)
    for story in STORIES:
        with recorder.unchanged(), recorder.story(story.__name__):
            story(recorder)
    with recorder.unchanged(), recorder.story("limits", seconds=0):
        limits(recorder)
    with recorder.story("pool, committed"):
        pool(recorder)
