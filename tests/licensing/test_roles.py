"""Permissions of each role on products and policies (contract: keys 5.3, 5.4)."""

import pytest

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
from tests.licensing.documents import document, policy_document, product_document
from tests.tables import each_row

# Who asks. Staff see the whole account; "other" ones have nothing to do with the product, insiders have licenses of it.
ADMIN, SALES, SUPPORT, READER = ["admin", "developer"], ["sales-agent"], ["support-agent"], ["read-only"]
PRODUCT, OTHER_PRODUCT = ["product"], ["other product"]
INSIDERS = ["license", "owner", "attached user"]
OUTSIDERS = ["other license", "other user"]
EVERYBODY = [*ADMIN, *SALES, *SUPPORT, *READER, *PRODUCT, *OTHER_PRODUCT, *INSIDERS, *OUTSIDERS]
ROLES = {
    "other product": "product",
    "owner": "user",
    "attached user": "user",
    "other license": "license",
    "other user": "user",
}
UNSEEN = "404"
LACKS, REFUSED = "lacks the permission", "may not use it"


def row(method, path, *, allowed, lacks=(), refused=(), unseen=(), data=None):
    """One endpoint: who may, who lacks the permission, who may not use it, and for whom there is nothing there."""
    answers = dict.fromkeys(allowed, 200) | dict.fromkeys(lacks, LACKS)
    answers |= dict.fromkeys(refused, REFUSED) | dict.fromkeys(unseen, UNSEEN)
    assert set(answers) == set(EVERYBODY), f"{method} {path}: {set(EVERYBODY) ^ set(answers)}"
    return [(method, path, data, who, answer) for who, answer in answers.items()]


POLICY = "policies/{policy}"
PRODUCT_PATH = "products/{product}"
UNRELATED = [*OTHER_PRODUCT, *OUTSIDERS]
NOT_STAFF = [*PRODUCT, *OTHER_PRODUCT, *INSIDERS, *OUTSIDERS]
STAFF = [*ADMIN, *SALES, *SUPPORT, *READER]
TABLE = [
    *row("GET", "policies", allowed=[*STAFF, *PRODUCT, *OTHER_PRODUCT], lacks=[*INSIDERS, *OUTSIDERS]),
    *row("GET", POLICY, allowed=[*STAFF, *PRODUCT], lacks=INSIDERS, unseen=UNRELATED),
    *row(
        "POST",
        "policies",
        allowed=[*ADMIN, *SALES, *PRODUCT],
        refused=[*SUPPORT, *OTHER_PRODUCT],
        lacks=[*READER, *INSIDERS, *OUTSIDERS],
        data="policy",
    ),
    *row(
        "PATCH",
        POLICY,
        allowed=[*ADMIN, *SALES, *PRODUCT],
        refused=SUPPORT,
        lacks=[*READER, *INSIDERS],
        unseen=UNRELATED,
        data="policy change",
    ),
    *row(
        "DELETE",
        POLICY,
        allowed=[*ADMIN, *PRODUCT],
        refused=[*SALES, *SUPPORT],
        lacks=[*READER, *INSIDERS],
        unseen=UNRELATED,
    ),
    *row("GET", f"{POLICY}/product", allowed=[*STAFF, *PRODUCT], lacks=INSIDERS, unseen=UNRELATED),
    *row("GET", f"{POLICY}/licenses", allowed=[*STAFF, *PRODUCT], refused=INSIDERS, unseen=UNRELATED),
    *row("GET", f"{POLICY}/licenses/{{license}}", allowed=[*STAFF, *PRODUCT], refused=INSIDERS, unseen=UNRELATED),
    *row("GET", "products", allowed=STAFF, refused=[*PRODUCT, *OTHER_PRODUCT], lacks=[*INSIDERS, *OUTSIDERS]),
    *row("GET", PRODUCT_PATH, allowed=[*STAFF, *PRODUCT], lacks=INSIDERS, unseen=UNRELATED),
    *row(
        "POST",
        "products",
        allowed=ADMIN,
        refused=[*SALES, *SUPPORT],
        lacks=[*READER, *NOT_STAFF],
        data="product",
    ),
    *row(
        "PATCH",
        PRODUCT_PATH,
        allowed=[*ADMIN, *PRODUCT],
        refused=[*SALES, *SUPPORT],
        lacks=[*READER, *INSIDERS],
        unseen=UNRELATED,
        data="product change",
    ),
    *row(
        "DELETE",
        PRODUCT_PATH,
        allowed=ADMIN,
        refused=[*SALES, *SUPPORT],
        lacks=[*READER, *PRODUCT, *INSIDERS],
        unseen=UNRELATED,
    ),
    *row("GET", f"{PRODUCT_PATH}/policies", allowed=[*STAFF, *PRODUCT], lacks=INSIDERS, unseen=UNRELATED),
    *row("GET", f"{PRODUCT_PATH}/policies/{{policy}}", allowed=[*STAFF, *PRODUCT], lacks=INSIDERS, unseen=UNRELATED),
    *row("GET", f"{PRODUCT_PATH}/licenses", allowed=[*STAFF, *PRODUCT], refused=INSIDERS, unseen=UNRELATED),
    *row("GET", f"{PRODUCT_PATH}/licenses/{{license}}", allowed=[*STAFF, *PRODUCT], refused=INSIDERS, unseen=UNRELATED),
    *row(
        "GET",
        f"{PRODUCT_PATH}/users",
        allowed=[*STAFF, *PRODUCT],
        lacks=["license"],
        refused=["owner", "attached user"],
        unseen=UNRELATED,
    ),
    *row(
        "GET",
        f"{PRODUCT_PATH}/users/owner@acme.test",
        allowed=[*STAFF, *PRODUCT],
        lacks=["license"],
        refused=["owner", "attached user"],
        unseen=UNRELATED,
    ),
    *row("GET", f"{PRODUCT_PATH}/tokens", allowed=[*STAFF, *PRODUCT], refused=INSIDERS, unseen=UNRELATED),
    *row(
        "POST",
        f"{PRODUCT_PATH}/tokens",
        allowed=ADMIN,
        refused=[*SALES, *SUPPORT],
        lacks=[*READER, *PRODUCT, *INSIDERS],
        unseen=UNRELATED,
    ),
]


@pytest.fixture
def people(acme):
    """All bearers in the table, by their names in it."""
    other = acme.another_product()
    other_policy = make_policy(other)
    owner, attached, stranger = (acme.user(email=f"{name}@acme.test") for name in ("owner", "attached", "stranger"))
    license = make_license(acme.policy, owner=owner)
    license.license_users.create(account=acme.account, user=attached)
    make_license(other_policy, owner=stranger)
    return {role: acme.bearer(role) for role in (*ADMIN, *SALES, *SUPPORT, *READER, *PRODUCT)} | {
        "other product": other,
        "license": license,
        "owner": owner,
        "attached user": attached,
        "other license": make_license(other_policy, "OTHER-LICENSE"),
        "other user": stranger,
    }


@pytest.fixture
def documents(acme):
    return {
        None: None,
        "policy": policy_document(acme.product),
        "policy change": document("policies", {"name": "Pro"}),
        "product": product_document(),
        "product change": document("products", {"name": "Satellite"}),
    }


@each_row(("method", "path", "data", "who", "answer"), TABLE)
def test_each_role(acme, api, people, documents, method, path, data, who, answer):
    url = path.format(policy=acme.policy.pk, product=acme.product.pk, license=people["license"].pk)

    response = api(people[who]).request(method, url, documents[data])

    role = ROLES.get(who, who)
    match answer:
        case 200:
            expected = {"POST": 200 if url.endswith("tokens") else 201, "DELETE": 204}.get(method, 200)
            assert response.status_code == expected, response.content
        case "lacks the permission":
            assert_refused(response, FORBIDDEN, lacks_permission(role))
        case "may not use it":
            assert_refused(response, FORBIDDEN, forbidden())
        case "404":
            noun, identifier = (
                ("policy", acme.policy.pk) if url.startswith("policies") else ("product", acme.product.pk)
            )
            assert_refused(response, NOT_FOUND, not_found(noun, identifier))


ENDPOINTS = sorted({(method, path) for method, path, *_ in TABLE})


@each_row(("method", "path"), ENDPOINTS)
def test_request_without_a_token_is_unauthorized(acme, api, method, path):
    response = api().request(method, path.format(policy=acme.policy.pk, product=acme.product.pk, license="x"))

    assert_refused(response, UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


@each_row(("method", "path"), ENDPOINTS)
def test_token_of_another_account_is_unauthorized(acme, rival, api, method, path):
    url = path.format(policy=acme.policy.pk, product=acme.product.pk, license="x")

    response = api(rival.admin).request(method, url)

    assert_refused(response, UNAUTHORIZED, unauthorized("TOKEN_INVALID", about="authentication/#token-authentication"))


class TestOrder:
    """A wrong document is told before a refusal when something is made, and after it when it is changed."""

    @pytest.mark.parametrize("path", ["products", "policies"])
    def test_order_of_checks_when_made(self, acme, api, path):
        assert api(acme.user("read-only")).post(path, {}).status_code == 400

    @pytest.mark.parametrize("path", ["products/{product}", "policies/{policy}"])
    def test_order_of_checks_when_changed(self, acme, api, path):
        url = path.format(product=acme.product.pk, policy=acme.policy.pk)

        assert api(acme.user("read-only")).patch(url, {}).status_code == 403


class TestOpenProducts:
    """An OPEN product is in sight of every license and user, a CLOSED one not even of its own license."""

    @pytest.mark.parametrize(
        ("strategy", "who", "status"),
        [
            ("OPEN", "other license", 403),
            ("OPEN", "other user", 403),
            ("OPEN", "other product", 404),
            ("OPEN", "license", 403),
            ("CLOSED", "license", 404),
            ("CLOSED", "owner", 403),
            ("CLOSED", "other user", 404),
            (None, "license", 403),
            (None, "other license", 404),
        ],
    )
    def test_open_products_are_in_sight(self, acme, api, people, strategy, who, status):
        acme.product.distribution_strategy = strategy
        acme.product.save_changes("distribution_strategy")

        assert api(people[who]).get(f"products/{acme.product.pk}").status_code == status
