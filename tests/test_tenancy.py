"""Nobody sees, changes or learns of what is somebody else's: every route, as every kind of bearer.

What belongs to another account, or to another product, license or user of the same one, is answered to the byte like
what there is not at all.
"""

import json
import re
from functools import cache
from uuid import uuid4

import pytest
from django.apps import apps

from accounts.bearers import Origin
from accounts.models import Attempts, Token
from keygen_site.openapi.document import build
from keygen_site.openapi.examples import ID as EXAMPLE_ID
from keygen_site.openapi.routes import endpoints
from pools.models import KeyEvent
from tests.cast import add_keys, make_license, make_policy, make_product

ROLES = ["admin", "developer", "sales-agent", "support-agent", "read-only", "user", "product", "license"]
# There are none of these, whosoever they would be.
NOTHING = {"entitlement", "machine"}
# They need no credential, so they are the same for all.
OPEN = {"/v1/accounts/{account}/ping", "/v1/health", "/v1/accounts"}
FILTERS = {
    **{name: name for name in ("product", "policy", "license", "user")},
    "owner": "user",
    "bearer[id]": "user",
}
# Every user is visible to a product (contract: keys 5).
VISIBLE = {"product": {"user", "attached"}}
ABOUT_THE_REQUEST = {"X-Request-Id", "Date", "Digest", "Keygen-Date", "Keygen-Digest", "Keygen-Signature"}


class Belongings:
    """A row of each kind, of one product and one user of an account."""

    def __init__(self, account, product, name):
        policy = make_policy(product, f"Policy of {name}", use_pool=True)
        popped, key = add_keys(policy, f"KEY-1-OF-{name}", f"KEY-2-OF-{name}")
        policy.pool.pop(Origin(reference=f"reference of {name}"))
        user = account.users.create(email=f"person@{name}.test", role="user")
        license = make_license(make_policy(product, f"Unpooled of {name}"), key=f"LICENSE-OF-{name}", owner=user)
        attached = account.users.create(email=f"attached@{name}.test", role="user")
        license.license_users.create(account=account, user=attached)
        self.rows = {
            "product": product,
            "policy": policy,
            "key": key,
            "event": KeyEvent.objects.get(key=popped),
            "license": license,
            "user": user,
            "attached": attached,
            "token of product": Token.generate(product)[0],
            "token of license": Token.generate(license)[0],
            "token of user": Token.generate(user)[0],
        }
        # What else an address may name them by.
        self.names = {"license": [license.key], "user": [user.email], "product": [product.code]}
        self.secrets = [key.key, popped.key, f"reference of {name}"]

    def id_of(self, kind):
        return str(self.rows[kind].pk)

    def all_of(self, kind):
        """The id of a row, and its other names."""
        return [self.id_of(kind), *self.names.get(kind, [])]

    def texts(self, visible):
        """All that tells of them, but of the kinds that are visible."""
        return {text for kind in self.rows.keys() - visible for text in self.all_of(kind)}.union(self.secrets)


@cache
def examples():
    """The document that each operation takes, as the description of the API shows it, by path and method."""
    return {
        (path, method.upper()): next(iter(operation["requestBody"]["content"].values()))["example"]
        for path, methods in build()["paths"].items()
        for method, operation in methods.items()
        if isinstance(operation, dict) and "requestBody" in operation
    }


def kind_of(endpoint, parameter):
    """What a variable part of an address names."""
    if parameter != "id":
        return parameter
    before, collection = re.search(r"(?:{(\w+)}/)?([\w-]+)/{id}", endpoint.path).groups()
    if collection == "tokens":
        return f"token of {before if before in ('product', 'license') else 'user'}"
    if collection == "users" and before == "license":
        return "attached"
    return {"pool": "key", "key-events": "event", "policies": "policy"}.get(collection) or collection.removesuffix("s")


def places(endpoint):
    """Where a request can name a row: `(place, kind of row)`."""
    found = [
        (name, kind_of(endpoint, name)) for name in endpoint.parameters if name != "account" and name not in NOTHING
    ]
    example = json.dumps(examples().get((endpoint.path, endpoint.method)))
    found += [("document", kind) for kind in linked(example)]
    if endpoint.action == "list":
        known = getattr(getattr(endpoint.view, "filterset_class", None), "parameters", {})
        found += [(f"?{name}", kind) for name, kind in FILTERS.items() if name in known]
    return found


def linked(example):
    """The kinds of rows that a document names."""
    types = re.findall(rf'"type": "(\w+)", "id": "{EXAMPLE_ID}"', example)
    return [{"policies": "policy"}.get(name, name.removesuffix("s")) for name in types]


def request_of(endpoint, account, own, place, named):
    """Path and document of a request that names one row as it is told, and else rows of the bearer's own."""
    parts = {name: uuid_of(own, endpoint, name) for name in endpoint.parameters if name != "account"}
    query = f"{place}={named}" if place.startswith("?") else ""
    path = endpoint.path.format(account=account, **(parts | ({place: named} if place in parts else {})))
    document = examples().get((endpoint.path, endpoint.method))
    if isinstance(document, str):
        return path, document.encode(), "text/plain"
    if document is not None:
        text = json.dumps(document).replace(EXAMPLE_ID, named if place == "document" else str(uuid4()))
        document = json.loads(text)
    return path + query, document, "application/vnd.api+json"


def uuid_of(own, endpoint, parameter):
    return str(uuid4()) if parameter in NOTHING else own.id_of(kind_of(endpoint, parameter))


def seen(response, named):
    """All that the bearer can tell an answer by, without what it repeats of the request."""
    content = response.content.decode().replace(named, "…")
    content = content.replace(response["X-Request-Id"], "id")
    headers = {name: value for name, value in response.items() if name not in ABOUT_THE_REQUEST}
    headers.pop("Content-Length", None)
    return response.status_code, re.sub(r'"ts":"[^"]*"', '"ts"', content), headers


def everything():
    """All rows of all tables, but those that count attempts to guess."""
    models = [model for model in apps.get_models() if model is not Attempts]
    return {model: sorted(map(repr, model._base_manager.values_list())) for model in models}


def unknown(named):
    """A name of the same shape that nothing has."""
    return str(uuid4()) if re.fullmatch(r"[0-9a-f-]{36}", named) else f"x{named[1:]}"


@pytest.fixture
def own(acme):
    return Belongings(acme.account, acme.product, "acme")


def assert_apart(speaker, own, strangers, visible=frozenset()):
    """Every route answers what is the strangers' like what is not there, tells nothing of them and changes nothing."""
    before, tried = everything(), 0
    for endpoint in endpoints():
        for place, kind in places(endpoint):
            for named in strangers.all_of(kind) if kind not in visible else []:
                answers = []
                for name in (named, unknown(named)):
                    path, document, media_type = request_of(endpoint, "acme", own, place, name)
                    response = speaker.request(endpoint.method, path, document, media_type)
                    answers.append(seen(response, name))
                    tried += 1
                    where = (endpoint.method, path, response.content)
                    assert response.status_code in (200, 401, 403, 404) or place == "document", where
                    assert place.startswith("?") or response.status_code >= 400, where
                assert answers[0] == answers[1], (endpoint, place, named)
                leaked = [text for text in strangers.texts(visible) - {named} if text in answers[0][1]]
                assert not leaked, (endpoint, place, leaked)
    assert everything() == before
    return tried


@pytest.mark.parametrize("role", [*ROLES, None])
def test_what_is_of_another_account_is_not_there(acme, rival, api, own, role):
    rival.product.code = "rocket-of-rival"
    rival.product.save()
    strangers = Belongings(rival.account, rival.product, "rival")

    assert assert_apart(api(role and acme.bearer(role)), own, strangers) > 200


@pytest.mark.parametrize("role", ["product", "license", "user"])
def test_what_is_of_another_product_license_or_user_is_not_there(acme, api, own, role):
    strangers = Belongings(acme.account, make_product(acme.account, "Another", code="another"), "another")

    assert assert_apart(api(own.rows[role]), own, strangers, VISIBLE.get(role, set())) > 200


@pytest.mark.parametrize("role", ROLES)
def test_credentials_are_no_good_for_another_account(acme, rival, api, role):
    strangers = Belongings(rival.account, rival.product, "rival")
    speaker, before = api(acme.bearer(role)), everything()

    for endpoint in endpoints():
        if endpoint.path in OPEN:
            continue
        for account in ("rival", str(rival.account.pk)):
            path, document, media_type = request_of(endpoint, account, strangers, "", "")
            response = speaker.request(endpoint.method, path, document, media_type)
            assert response.status_code == 401, (endpoint, response.content)
            assert [error["code"] for error in response.json()["errors"]] == ["TOKEN_INVALID"]
    assert everything() == before
