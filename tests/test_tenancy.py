"""No bearer sees, changes or learns of rows of others: every route, as every kind of bearer.

For a row of another account, or of another product, license or user of the same account, the response is the same to
the byte as for a row that does not exist.
"""

import re
from uuid import uuid4

import pytest
from django.apps import apps

from accounts.models import RateLimitCounter
from keygen_site.jsonapi.openapi.routes import list_endpoints
from tests.cast import make_product
from tests.tenant_rows import Belongings, kind_of, linked, request_of

ROLES = ["admin", "developer", "sales-agent", "support-agent", "read-only", "user", "product", "license"]
# They need no credential, so they are the same for all.
OPEN = {
    "/v1/accounts/{account}/ping",
    "/v1/health",
    "/v1/accounts",
    # For forgotten passwords the mail is the credential. Any other is ignored.
    "/v1/accounts/{account}/passwords",
    "/v1/accounts/{account}/users/{id}/actions/reset-password",
}
FILTERS = {
    **{name: name for name in ("product", "policy", "license", "user")},
    "owner": "user",
    "bearer[id]": "user",
    "group": "group",
}
VISIBLE = {
    # Users, groups and entitlements belong to no product (contract: keys 5, entitlements-groups 3.1, 8).
    "product": {"user", "attached", "group", "group-owner", "entitlement"},
    # A single group that they do not see is 403, as in the public API (contract: entitlements-groups 8).
    "license": {"group"},
    "user": {"group"},
}
ABOUT_THE_REQUEST = {"X-Request-Id", "Date", "Digest", "Keygen-Date", "Keygen-Digest", "Keygen-Signature"}


def places(endpoint):
    """Where a request can name a row: `(place, kind of row)`."""
    found = [(name, kind_of(endpoint, name)) for name in endpoint.parameters if name != "account"]
    found += [("document", kind) for kind in linked(endpoint)]
    if endpoint.action == "list":
        filterset = getattr(endpoint.view, "filterset_class", None)
        known = filterset.describe() if filterset else {}
        found += [(f"?{name}", kind) for name, kind in FILTERS.items() if name in known]
    return found


def seen(response, named):
    """All parts of a response by which the bearer can tell it apart, without those that repeat the request."""
    content = response.content.decode().replace(named, "…")
    content = content.replace(response["X-Request-Id"], "id")
    headers = {name: value for name, value in response.items() if name not in ABOUT_THE_REQUEST}
    headers.pop("Content-Length", None)
    return response.status_code, re.sub(r'"ts":"[^"]*"', '"ts"', content), headers


def everything():
    """All rows of all tables, but those that count attempts to guess."""
    models = [model for model in apps.get_models() if model is not RateLimitCounter]
    return {model: sorted(map(repr, model._base_manager.values_list())) for model in models}


def unknown(named):
    """A name of the same shape that nothing has."""
    return str(uuid4()) if re.fullmatch(r"[0-9a-f-]{36}", named) else f"x{named[1:]}"


@pytest.fixture
def own(acme):
    return Belongings(acme.account, acme.product, "acme")


def assert_apart(speaker, own, strangers, visible=frozenset()):
    """Every route treats strangers' rows like missing rows, tells nothing of them and changes nothing."""
    before, tried = everything(), 0
    for endpoint in list_endpoints():
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
def test_rows_of_another_account_are_not_found(acme, rival, api, own, role):
    rival.product.code = "rocket-of-rival"
    rival.product.save()
    strangers = Belongings(rival.account, rival.product, "rival")

    assert assert_apart(api(role and acme.bearer(role)), own, strangers) > 200


@pytest.mark.parametrize("role", ["product", "license", "user"])
def test_rows_of_another_product_license_or_user_are_not_found(acme, api, own, role):
    strangers = Belongings(acme.account, make_product(acme.account, "Another", code="another"), "another")

    assert assert_apart(api(own.rows[role]), own, strangers, VISIBLE.get(role, set())) > 200


@pytest.mark.parametrize("role", ROLES)
def test_credentials_are_no_good_for_another_account(acme, rival, api, role):
    strangers = Belongings(rival.account, rival.product, "rival")
    speaker, before = api(acme.bearer(role)), everything()

    for endpoint in list_endpoints():
        if endpoint.path in OPEN:
            continue
        for account in ("rival", str(rival.account.pk)):
            path, document, media_type = request_of(endpoint, account, strangers)
            response = speaker.request(endpoint.method, path, document, media_type)
            assert response.status_code == 401, (endpoint, response.content)
            assert [error["code"] for error in response.json()["errors"]] == ["TOKEN_INVALID"]
    assert everything() == before
