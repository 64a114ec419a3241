"""Addresses that name a row by a text with slashes, over a real connection (contract: licenses 4, platform 1.1).

Each text has look-alikes: the texts that result if its escapes are decoded before the URL is split. They are rows of
the same account, and must neither be shown nor changed.
"""

import base64
import hashlib
import json
from http.client import HTTPConnection
from urllib.parse import quote, unquote

import pytest

from benchmarks.testbed.live_server import live_server
from tests.accounts.test_signatures import HEADER, decoded, verify
from tests.conftest import JSON_API

KEYS = [
    "TRAILING-1/",
    "TRAILING-2//",
    "/LEADING-1",
    "//LEADING-2",
    "IN/THE/MIDDLE",
    "DOUBLED//SLASHES",
    "/AROUND-1/",
    "//////",
    "ENCODED%2FSLASH",
    "ENCODED%2Fslash%2f/",
    "TWICE%252FENCODED",
    "PERCENT%",
    "PER%CENT",
    "PERCENT%FF",
    "%2F%2F%2F",
    "SUFFIX-1.json",
    "SUFFIX-2/.json",
    "SUFFIX/3.json/",
    "KEY-1/actions/suspend",
    "KEY-2/actions/revoke",
    "KEY-3/actions/validate/",
    "KEY-4/policy",
    "KEY-5/users",
    "KEY-6/tokens",
    "KEY-7/users/ann@acme.test",
    "actions/validate-key",
    "../../licenses",
    "./HIDDEN/../KEY",
    "key/eyJhIjoxfQ==.c2lnbmF0dXJl/+/==",
    "QUERY?limit=1/",
    "SCHLÜSSEL/ß/",
    "BACK\\SLASH/",
    "BLANK / SLASH/ ",
]
# Long enough for a key.
LOOK_ALIKES = sorted(
    {
        text
        for key in KEYS
        for text in (
            key.rstrip("/"),
            key.lstrip("/"),
            key.strip("/"),
            key.replace("//", "/"),
            key.partition("/actions/")[0],
            key.rpartition("/")[0],
            key.partition("/")[0],
            key.removesuffix(".json"),
            key.removesuffix(".json").rstrip("/"),
            unquote(key),
            unquote(unquote(key)),
            key.strip(),
            key.partition("?")[0],
            f"{key}/",
        )
        if len(text.strip()) >= 6 and text not in ("actions", "action") and "\N{REPLACEMENT CHARACTER}" not in text
    }
    - set(KEYS)
) + ["KEY-10", "KEY-20"]
# Method, the path after the license's URL, document, status.
OPERATIONS = [
    ("GET", "", None, 200),
    ("GET", "/", None, 200),
    ("PATCH", "", {"data": {"type": "licenses", "attributes": {"name": "Changed"}}}, 200),
    ("PUT", "", {"data": {"type": "licenses", "attributes": {"name": "Changed"}}}, 200),
    ("GET", "/actions/validate", None, 200),
    ("POST", "/actions/validate", None, 200),
    ("POST", "/actions/suspend", None, 200),
    ("POST", "/actions/reinstate/", None, 200),
    ("POST", "/actions/increment-usage", None, 200),
    ("POST", "/actions/check-out", None, 200),
    ("PUT", "/policy", {"data": {"type": "policies", "id": "{policy}"}}, 200),
    ("PUT", "/owner", {"data": {"type": "users", "id": "{owner}"}}, 200),
    ("GET", "/policy", None, 200),
    ("GET", "/product", None, 200),
    ("GET", "/owner", None, 200),
    ("POST", "/users", {"data": [{"type": "users", "id": "{user}"}]}, 200),
    ("GET", "/users", None, 200),
    ("GET", "/users/{user}", None, 200),
    ("GET", "/users/{email}", None, 200),
    ("POST", "/tokens", None, 200),
    ("GET", "/tokens", None, 200),
    ("GET", "/machines", None, 200),
    ("GET", "/entitlements", None, 200),
    ("DELETE", "/users", {"data": [{"type": "users", "id": "{user}"}]}, 204),
]
# Their answers need not tell of the license.
OF_OTHER_ROWS = {
    *(("GET", path) for path in ("/policy", "/product", "/owner", "/machines", "/entitlements")),
    *(("GET", path) for path in ("/users", "/users/{user}", "/users/{email}")),
    ("DELETE", "/users"),
}


class Company:
    """The admin of the only account of a live server."""

    def __init__(self, server):
        self.server, self.connection = server, HTTPConnection("127.0.0.1", server.port, timeout=60)

    def ask(self, method, path, document=None):
        """Status, headers and document of an answer. The path is sent as it is given."""
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Type": JSON_API}
        body = None if document is None else json.dumps(document)
        self.connection.request(method, f"/v1/accounts/acme/{path}", body, headers)
        response = self.connection.getresponse()
        self.headers, self.body = response.headers, response.read()
        return response.status, json.loads(self.body) if self.body else None

    def make(self, path, attributes, **relationships):
        linked = {name: {"data": {"type": type, "id": id}} for name, (type, id) in relationships.items()}
        document = {"data": {"type": path, "attributes": attributes} | ({"relationships": linked} if linked else {})}
        status, made = self.ask("POST", path, document)
        assert status == 201, made
        return made["data"]["id"]

    def rows(self, path):
        """All rows of a list, by id."""
        found, cursor = {}, ""
        while True:
            status, page = self.ask("GET", f"{path}&page[size]=100{cursor}")
            assert status == 200
            found |= {row["id"]: row for row in page["data"]}
            if not page["links"]["next"]:
                return found
            cursor = f"&page[cursor]={page['data'][-1]['id']}"


@pytest.fixture(scope="module")
def acme_server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("live")) as running:
        yield Company(running)


@pytest.fixture(scope="module")
def terms(acme_server):
    """The ids that `OPERATIONS` name."""
    product = acme_server.make("products", {"name": "Rocket"})
    policy = acme_server.make("policies", {"name": "Basic"}, product=("products", product))
    owner = acme_server.make("users", {"email": "owner@acme.test"})
    user = acme_server.make("users", {"email": "joe/user@acme.test"})
    return {"policy": policy, "owner": owner, "user": user, "email": quote("joe/user@acme.test", safe="")}


@pytest.fixture(scope="module")
def licenses(acme_server, terms):
    """The ids of licenses by their keys: look-alikes too."""
    return {
        key: acme_server.make("licenses", {"key": key}, policy=("policies", terms["policy"]))
        for key in [*KEYS, *LOOK_ALIKES]
    }


def filled(document, terms):
    text = json.dumps(document)
    for name, id in terms.items():
        text = text.replace(f"{{{name}}}", id)
    return json.loads(text)


@pytest.mark.sqlite  # it brings its own database
class TestLicenses:
    def test_licenses_are_reached_and_changed_and_no_others(self, acme_server, licenses, terms):
        wrong = []
        for key in KEYS:
            others = {id: row for id, row in acme_server.rows("licenses?").items() if id != licenses[key]}
            for method, path, document, expected in OPERATIONS:
                address = f"licenses/{quote(key, safe='')}{path.format(**terms)}"
                status, answer = acme_server.ask(method, address, document and filled(document, terms))
                shown = licenses[key] in acme_server.body.decode()
                if status != expected or not (shown or (method, path) in OF_OTHER_ROWS):
                    wrong.append((key, method, path, status, answer))
            after = acme_server.rows("licenses?")
            changed = after.pop(licenses[key])
            if changed["attributes"]["name"] != "Changed" or changed["attributes"]["uses"] != 1:
                wrong.append((key, "was not changed", changed["attributes"]))
            wrong += [(key, "changed", row["attributes"]["key"]) for id, row in after.items() if row != others.get(id)]

        assert not wrong

    def test_licenses_are_reached_by_other_spellings_of_the_same_escapes(self, acme_server, licenses):
        wrong = []
        for key in KEYS:
            once = quote(key, safe="")
            spellings = {
                once.replace("%2F", "%2f"),
                once.replace(".", "%2E"),
                "".join(f"%{byte:02X}" for byte in key.encode()),
                "".join(f"%{byte:02x}" for byte in key.encode()),
            }
            for spelling in spellings:
                status, answer = acme_server.ask("GET", f"licenses/{spelling}")
                if (status, answer.get("data", {}).get("id")) != (200, licenses[key]):
                    wrong.append((key, spelling, status))

        assert not wrong

    def test_licenses_are_found_below_their_policy(self, acme_server, licenses, terms):
        wrong = []
        for key in KEYS:
            for parent in (f"policies/{terms['policy']}", f"users/{terms['owner']}"):
                status, answer = acme_server.ask("GET", f"{parent}/licenses/{quote(key, safe='')}")
                if (status, answer.get("data", {}).get("id")) != (200, licenses[key]):
                    wrong.append((key, parent, status))

        assert not wrong

    def test_licenses_have_right_signatures_and_links(self, acme_server, licenses):
        public = acme_server.ask("GET", "")[1]["data"]["meta"]["keys"]["ed25519"]

        wrong = []
        for key in KEYS:
            target = f"licenses/{quote(key, safe='')}/tokens?page[number]=1&page[size]=1"
            status, page = acme_server.ask("GET", target)
            links = page["links"]
            *_, segment, last = links["self"].partition("?")[0].split("/")
            if (status, unquote(segment), last) != (200, key, "tokens"):
                wrong.append((key, links))
            headers = acme_server.headers
            digest = f"sha-256={base64.b64encode(hashlib.sha256(acme_server.body).digest()).decode()}"
            message = f"(request-target): get /v1/accounts/acme/{target}\nhost: 127.0.0.1:{acme_server.server.port}\n"
            message += f"date: {headers['Date']}\ndigest: {digest}"
            signature = HEADER.fullmatch(headers["Keygen-Signature"])[3]
            verify("ed25519", public, decoded(signature), message.encode())

        assert not wrong

    def test_licenses_are_deleted_and_no_others(self, acme_server, licenses):
        everybody = acme_server.rows("licenses?")
        wrong = []
        for number, key in enumerate(KEYS):
            address = f"licenses/{quote(key, safe='')}"
            everybody.pop(licenses[key])
            status, _ = acme_server.ask("DELETE", f"{address}/actions/revoke" if number % 2 else address)
            if status != 204 or acme_server.rows("licenses?").keys() != everybody.keys():
                wrong.append((key, status))
            # Now that it is gone, its URL is 404, even if a look-alike exists.
            for method, path in (("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/actions/suspend")):
                document = {"data": {"type": "licenses", "attributes": {}}} if method == "PATCH" else None
                status, answer = acme_server.ask(method, f"{address}{path}", document)
                detail = answer and answer.get("errors", [{}])[0].get("detail")
                if (status, detail) != (404, f"The requested license '{key}' was not found"):
                    wrong.append((key, method, path, status, detail))

        assert not wrong
        assert acme_server.rows("licenses?") == everybody


CODES = ["app/", "/app", "a/p", "app//", "app%2F", "app.json", "app/.json", "app/tokens", "app/actions", "app%252F"]
CODES_ALIKE = ["app", "a", "app/x", "a/p/"]
EMAILS = [
    "/amy@acme.test",
    "amy/lee@acme.test",
    "amy//lee@acme.test",
    "amy%2flee@acme.test",
    "actions/ban@acme.test",
    "tokens/x@acme.test",
]
EMAILS_ALIKE = ["amy@acme.test", "lee@acme.test", "ban@acme.test", "x@acme.test"]


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("path", "texts", "look_alikes", "name"),
    [("products", CODES, CODES_ALIKE, "code"), ("users", EMAILS, EMAILS_ALIKE, "email")],
)
def test_products_and_users_are_reached_changed_and_deleted(acme_server, path, texts, look_alikes, name):
    needed = {"name": "Widget"} if path == "products" else {}
    ids = {text: acme_server.make(path, {name: text} | needed) for text in [*texts, *look_alikes]}
    change = {"name": "Changed"} if path == "products" else {"firstName": "Changed"}
    document = {"data": {"type": path, "attributes": change}}

    wrong = []
    for text in texts:
        address = f"{path}/{quote(text, safe='')}"
        rows = acme_server.rows(f"{path}?")
        own = rows.pop(ids[text])
        for method, below, sent, expected in [
            ("GET", "", None, 200),
            ("GET", "/", None, 200),
            ("PATCH", "", document, 200),
            ("POST", "/tokens", None, 200),
            ("GET", "/tokens", None, 200),
            ("GET", "/licenses", None, 200),
            *([("POST", "/actions/ban", None, 200), ("POST", "/actions/unban", None, 200)] if path == "users" else []),
        ]:
            status, answer = acme_server.ask(method, f"{address}{below}", sent)
            if status != expected or (below != "/licenses" and ids[text] not in acme_server.body.decode()):
                wrong.append((text, method, below, status, answer))
        after = acme_server.rows(f"{path}?")
        if own == after.pop(ids[text]) or after != rows:
            wrong.append((text, "changed something else"))
    for text in texts:
        rows = acme_server.rows(f"{path}?")
        rows.pop(ids[text])
        address = f"{path}/{quote(text, safe='')}"
        if acme_server.ask("DELETE", address)[0] != 204 or acme_server.rows(f"{path}?") != rows:
            wrong.append((text, "was not deleted, or not alone"))
        status, answer = acme_server.ask("DELETE", address)
        if (status, answer["errors"][0]["detail"]) != (404, f"The requested {path[:-1]} '{text}' was not found"):
            wrong.append((text, status, answer))

    assert not wrong
