"""Permissions of each role on a license (contract: licenses 9)."""

import pytest

from licensing.models import License
from tests.cast import make_license, make_policy
from tests.errors import (
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    assert_refused,
    forbidden,
    lacks_permission,
    not_found,
    unauthorized,
)
from tests.licensing.licenses import change, linkage
from tests.tables import each_row

# The columns of the contract's table: admin, developer and sales agent; support agent; read-only; product; the owner,
# a user attached to it, the license itself. In the cells: ok; no: may not use the permission; lacks: does not hold it;
# policy, license: only where that is not protected.
COLUMNS = ["staff", "support-agent", "read-only", "product", "owner", "attached", "license"]
TABLE = {
    "GET {license}": "ok ok ok ok ok ok ok",
    "PATCH {license}": "ok ok lacks ok lacks lacks lacks",
    "DELETE {license}": "ok no lacks ok policy no lacks",
    "DELETE {license}/actions/revoke": "ok no lacks ok policy no lacks",
    "POST {license}/actions/renew": "ok no lacks ok policy no lacks",
    "POST {license}/actions/suspend": "ok ok lacks ok lacks lacks lacks",
    "POST {license}/actions/reinstate": "ok ok lacks ok lacks lacks lacks",
    "POST {license}/actions/check-in": "ok ok lacks ok license no ok",
    "POST {license}/actions/check-out": "ok ok lacks ok license license ok",
    "GET {license}/actions/check-out": "ok ok lacks ok license license ok",
    "GET {license}/actions/validate": "ok ok ok ok ok ok ok",
    "POST {license}/actions/validate": "ok ok ok ok ok ok ok",
    "POST {license}/actions/increment-usage": "ok ok lacks ok license no ok",
    "POST {license}/actions/decrement-usage": "ok ok lacks ok lacks lacks lacks",
    "POST {license}/actions/reset-usage": "ok ok lacks ok lacks lacks lacks",
    "GET {license}/policy": "ok ok ok ok lacks lacks lacks",
    "GET {license}/product": "ok ok ok ok lacks lacks lacks",
    "PUT {license}/policy": "ok no lacks ok license no lacks",
    "GET {license}/owner": "ok ok ok ok ok ok lacks",
    "GET {license}/users": "ok ok ok ok ok ok lacks",
    "GET {license}/users/owner@acme.test": "ok ok ok ok ok ok lacks",
    "PUT {license}/owner": "ok no lacks ok lacks lacks lacks",
    "GET {license}/entitlements": "ok ok ok ok ok ok ok",
    "GET {license}/machines": "ok ok ok ok ok ok ok",
    "POST {license}/users": "ok ok lacks ok lacks lacks lacks",
    "DELETE {license}/users": "ok ok lacks ok lacks lacks lacks",
    "GET {license}/tokens": "ok ok ok ok no no no",
    "POST {license}/tokens": "ok no lacks ok lacks lacks lacks",
}
STAFF = ["admin", "developer", "sales-agent"]
ROLES = {"owner": "user", "attached": "user"}


CELLS = [
    (*endpoint.split(" "), who, answer)
    for endpoint, answers in TABLE.items()
    for column, answer in zip(COLUMNS, answers.split(), strict=True)
    for who in (STAFF if column == "staff" else [column])
]


@pytest.fixture
def license(acme):
    """A license that all of the table can be done to."""
    policy = make_policy(
        acme.product, duration=86_400, require_check_in=True, check_in_interval="day", check_in_interval_count=1
    )
    license = make_license(policy, owner=acme.user(email="owner@acme.test"), protected=True, uses=5)
    license.expiry = license.created
    license.save()
    license.license_users.create(account=acme.account, user=acme.user(email="attached@acme.test"))
    return license


@pytest.fixture
def bearers(acme, license):
    return {"owner": license.owner, "attached": license.users.get(), "license": license}


@pytest.fixture
def send(acme, api, license):
    """Sends a request of the table, with the document that it needs."""

    def request(bearer, method, path):
        documents = {
            "PATCH {license}": change(name="Ann's"),
            "PUT {license}/policy": linkage("policies", make_policy(acme.product, protected=False)),
            "PUT {license}/owner": linkage("users", None),
            "POST {license}/users": {"data": [linkage("users", acme.user(email="new@acme.test"))["data"]]},
            "DELETE {license}/users": {"data": [linkage("users", acme.user(email="attached@acme.test"))["data"]]},
        }
        if path.endswith("/reinstate"):
            License.objects.update(suspended=True)
        url = path.format(license=f"licenses/{license.pk}")
        return api(bearer).request(method, url, documents.get(f"{method} {path}"))

    return request


def unprotect(license, what):
    if what == "policy":
        license.policy.protected = False
        license.policy.save_changes("protected")
    else:
        license.protected = False
        license.save_changes("protected")


@each_row(("method", "path", "who", "answer"), CELLS)
def test_license_action_for_each_role(acme, license, bearers, send, method, path, who, answer):
    bearer = bearers.get(who) or acme.bearer(who)
    if answer in ("policy", "license"):
        assert_refused(send(bearer, method, path), FORBIDDEN, forbidden())
        unprotect(license, {"policy": "license", "license": "policy"}[answer])
        assert_refused(send(bearer, method, path), FORBIDDEN, forbidden())
        unprotect(license, answer)

    response = send(bearer, method, path)

    if answer == "no":
        unprotect(license, "policy")
        unprotect(license, "license")
        assert_refused(send(bearer, method, path), FORBIDDEN, forbidden())
        assert_refused(response, FORBIDDEN, forbidden())
    elif answer == "lacks":
        assert_refused(response, FORBIDDEN, lacks_permission(ROLES.get(who, who)))
    else:
        assert response.status_code == (204 if method == "DELETE" else 200), response.content


@each_row("endpoint", TABLE)
@each_row("who", ["other product", "other user", "other license"])
def test_license_action_for_others_there_is_no_such_license(acme, license, send, endpoint, who):
    other = make_policy(acme.another_product())
    bearer = {
        "other product": other.product,
        "other user": acme.user(email="stranger@acme.test"),
        "other license": make_license(other),
    }[who]

    response = send(bearer, *endpoint.split(" "))

    assert_refused(response, NOT_FOUND, not_found("license", license.pk))


@each_row("endpoint", TABLE)
def test_missing_credential_and_one_of_another_account_are_unauthorized(acme, rival, license, send, endpoint):
    missing = unauthorized("TOKEN_MISSING", about="authentication/")
    foreign = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")

    assert_refused(send(None, *endpoint.split(" ")), UNAUTHORIZED, missing)
    assert_refused(send(rival.admin, *endpoint.split(" ")), UNAUTHORIZED, foreign)


class TestOrder:
    """Of a refusal and a wrong document, which one is told (contract: licenses 0.1)."""

    @each_row(
        ("method", "path", "status"),
        [
            ("PATCH", "licenses/{}", 403),
            ("PUT", "licenses/{}/owner", 403),
            ("POST", "licenses/{}/actions/increment-usage", 403),
            ("POST", "licenses/{}/actions/decrement-usage", 403),
            ("PUT", "licenses/{}/policy", 400),
            ("POST", "licenses/{}/users", 400),
            ("DELETE", "licenses/{}/users", 400),
            ("POST", "licenses/{}/tokens", 400),
            ("POST", "licenses/{}/actions/check-out", 400),
            ("POST", "licenses", 400),
        ],
    )
    def test_order_of_checks_is_kept(self, acme, api, license, method, path, status):
        response = api(acme.bearer("read-only")).request(method, path.format(license.pk), {"nonsense": 1})

        assert response.status_code == status

    def test_a_license_out_of_sight_is_told_first(self, acme, api):
        response = api(acme.bearer("read-only")).put("licenses/x/policy", {"nonsense": 1})

        assert_refused(response, NOT_FOUND, not_found("license", "x"))
