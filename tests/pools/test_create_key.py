from uuid import uuid4

import pytest

from licensing.services import issue_license
from pools.models import Key
from tests.cast import add_keys, make_license, make_policy
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission, unauthorized, unprocessable
from tests.pools.documents import key_document, key_object, linkage
from tests.tables import each_row

KEY, POLICY = "/data/attributes/key", "/data/relationships/policy"
TAKEN = unprocessable("keys", "has already been taken", "KEY_TAKEN", KEY)
RESERVED = unprocessable("keys", "is reserved", "KEY_NOT_ALLOWED", KEY)
TOO_SHORT = unprocessable("keys", "is too short (minimum is 8 characters)", "KEY_TOO_SHORT", KEY)
TOO_LONG = unprocessable("keys", "is too long (maximum is 1024 characters)", "KEY_TOO_LONG", KEY)
LICENSE_KEY = unprocessable("keys", "is already being used as a license's key", "KEY_CONFLICT", KEY)
LICENSE_ID = unprocessable("keys", "must not conflict with another license's identifier (UUID)", "KEY_CONFLICT", KEY)
UNPOOLED = unprocessable("keys", "cannot be added to an unpooled policy", "POLICY_NOT_SUPPORTED", POLICY)
NO_POLICY = unprocessable("keys", "must exist", "POLICY_NOT_FOUND", POLICY)


def test_creating_a_key_answers_as_the_seed_shows(api, acme):
    response = api(acme.admin).post("keys", key_document(acme.policy, "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"))

    key = Key.objects.get()
    assert (response.status_code, response.json()) == (201, {"data": key_object(key)})
    assert list(response.json()["data"]) == list(key_object(key))
    assert response["Location"] == f"http://testserver/v1/accounts/{acme.account.pk}/keys/{key.pk}"
    assert key.updated == key.created


@pytest.mark.parametrize("type_name", ["key", "keys"])
@pytest.mark.parametrize("policy_type", ["policy", "policies"])
def test_creating_a_key_takes_singular_and_plural_types(api, acme, type_name, policy_type):
    relationships = {"policy": {"data": {"type": policy_type, "id": str(acme.policy.pk)}}}

    response = api(acme.admin).post("keys", key_document(acme.policy, type=type_name, relationships=relationships))

    assert (response.status_code, response.json()["data"]["type"]) == (201, "keys")


@pytest.mark.parametrize("text", ["  spaces  stay  ", "Ünïcödé-Ключ-鍵鍵", "with/slash?and#more", "x" * 1024])
def test_creating_a_key_keeps_the_text_as_it_is(api, acme, text):
    response = api(acme.admin).post("keys", key_document(acme.policy, text))

    assert response.json()["data"]["attributes"]["key"] == text
    assert Key.objects.get().key == text


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("KEY-0001", [TAKEN]),
        ("1234567", [TOO_SHORT]),
        ("x" * 1025, [TOO_LONG]),
        ("action", [RESERVED, TOO_SHORT]),
        ("actions", [RESERVED, TOO_SHORT]),
        ("LICENSE-KEY", [LICENSE_KEY]),
        ("issued-earlier", [LICENSE_KEY]),
        ("popped-earlier", [TAKEN]),
    ],
)
def test_creating_a_key_refuses_invalid_input(api, acme, audit, text, errors):
    add_keys(acme.policy, "popped-earlier", "issued-earlier", "KEY-0001")
    acme.policy.pool.pop(audit)
    issue_license(policy=acme.policy, audit=audit)
    make_license(acme.unpooled, "LICENSE-KEY")

    response = api(acme.admin).post("keys", key_document(acme.policy, text))

    assert_refused(response, 422, *errors)
    assert Key.objects.count() == 3


@pytest.mark.parametrize("spell", [str, lambda uuid: uuid.hex, lambda uuid: str(uuid).upper()])
def test_creating_a_key_refuses_the_id_of_a_license(api, acme, spell):
    license = make_license(acme.unpooled)

    response = api(acme.admin).post("keys", key_document(acme.policy, spell(license.pk)))

    assert_refused(response, 422, LICENSE_ID)


def test_creating_a_key_is_taken_in_any_pool_of_the_account(api, acme):
    add_keys(make_policy(acme.product, use_pool=True), "KEY-0001")

    assert_refused(api(acme.admin).post("keys", key_document(acme.policy)), 422, TAKEN)


def test_creating_a_key_tells_case_apart(api, acme):
    add_keys(acme.policy, "key-0001")

    assert api(acme.admin).post("keys", key_document(acme.policy, "KEY-0001")).status_code == 201


def test_creating_a_key_may_be_the_same_as_in_another_account(api, acme, rival):
    add_keys(rival.policy, "KEY-0001")
    make_license(rival.unpooled, "KEY-0002")

    assert api(acme.admin).post("keys", key_document(acme.policy, "KEY-0001")).status_code == 201
    assert api(acme.admin).post("keys", key_document(acme.policy, "KEY-0002")).status_code == 201


def test_creating_a_key_refuses_a_policy_without_a_pool(api, acme):
    assert_refused(api(acme.admin).post("keys", key_document(acme.unpooled)), 422, UNPOOLED)


def test_creating_a_key_tells_all_that_is_wrong(api, acme):
    response = api(acme.admin).post("keys", key_document(acme.unpooled, "action"))

    assert_refused(response, 422, RESERVED, TOO_SHORT, UNPOOLED)


def test_creating_a_key_refuses_a_policy_that_is_not_there_or_not_ours(api, acme, rival):
    for policy in (uuid4(), rival.policy):
        response = api(acme.admin).post("keys", key_document(policy, "action"))

        assert_refused(response, 422, NO_POLICY, RESERVED, TOO_SHORT)


@each_row(
    ("changes", "detail", "pointer"),
    [
        ({"attributes": None}, "is missing", "/data/attributes"),
        ({"attributes": {}}, "is missing", KEY),
        ({"attributes": {"key": None}}, "cannot be null", KEY),
        ({"attributes": {"key": 12345678}}, "type mismatch (received integer expected string)", KEY),
        ({"attributes": {"key": 1.5}}, "type mismatch (received float expected string)", KEY),
        ({"attributes": {"key": True}}, "type mismatch (received boolean expected string)", KEY),
        ({"attributes": {"key": ["KEY-0001"]}}, "type mismatch (received array expected string)", KEY),
        ({"attributes": {"key": {"a": 1}}}, "type mismatch (received object expected string)", KEY),
        ({"attributes": {"key": ""}}, "cannot be blank", KEY),
        ({"attributes": {"key": " \t"}}, "cannot be blank", KEY),
        ({"attributes": {"key": "KEY-0001", "foo": 1}}, "unpermitted parameter", "/data/attributes/foo"),
        ({"attributes": {"key": "KEY-0001", "created": 1}}, "unpermitted parameter", "/data/attributes/created"),
        ({"attributes": []}, "type mismatch (received array expected object)", "/data/attributes"),
        ({"relationships": None}, "is missing", "/data/relationships"),
        ({"relationships": {}}, "is missing", POLICY),
        ({"relationships": {"policy": {}}}, "is missing", f"{POLICY}/data"),
        ({"relationships": {"policy": {"data": None}}}, "cannot be null", f"{POLICY}/data"),
        (
            {"relationships": {"policy": {"data": {"type": "products", "id": "x"}}}},
            "is invalid",
            f"{POLICY}/data/type",
        ),
        (
            {"relationships": {"policy": {"data": {"type": "policies", "id": "x"}}}},
            "type mismatch (received string expected UUID string)",
            f"{POLICY}/data/id",
        ),
        ({"relationships": {"product": linkage("x")}}, "unpermitted parameter", "/data/relationships/product"),
        ({"id": "x"}, "unpermitted parameter", "/data/id"),
        ({"links": {}}, "unpermitted parameter", "/data/links"),
        ({"type": None}, "is missing", "/data/type"),
        ({"type": "Keys"}, "is invalid", "/data/type"),
        ({"type": "licenses"}, "is invalid", "/data/type"),
    ],
)
def test_creating_a_key_refuses_a_malformed_document(api, acme, changes, detail, pointer):
    response = api(acme.admin).post("keys", key_document(acme.policy, **changes))

    assert_refused(response, 400, bad_request(detail, pointer))
    assert not Key.objects.exists()


@pytest.mark.parametrize(("role", "status"), [("admin", 201), ("developer", 201), ("product", 201)])
def test_creating_a_key_is_for_administrators_and_the_product(api, acme, role, status):
    assert api(acme.bearer(role)).post("keys", key_document(acme.policy)).status_code == status


@pytest.mark.parametrize("role", ["sales-agent", "support-agent"])
def test_creating_a_key_is_not_for_agents(api, acme, role):
    assert_refused(api(acme.bearer(role)).post("keys", key_document(acme.policy)), 403, forbidden())


@pytest.mark.parametrize("role", ["read-only", "license", "user"])
def test_creating_a_key_is_not_for_those_who_lack_the_permission(api, acme, role):
    response = api(acme.bearer(role)).post("keys", key_document(acme.policy))

    assert_refused(response, 403, lacks_permission(role))


def test_creating_a_key_checks_the_document_before_permissions(api, acme):
    response = api(acme.user("user")).post("keys", {})

    assert_refused(response, 400, bad_request("is missing", "/data"))


def test_creating_a_key_of_a_product_only_in_its_own_pools(api, acme):
    other = make_policy(acme.another_product(), use_pool=True)
    for policy in (other, uuid4()):
        assert_refused(api(acme.product).post("keys", key_document(policy)), 403, forbidden())


def test_creating_a_key_needs_a_credential(api, acme, rival):
    response = api().post("keys", key_document(acme.policy))
    assert_refused(response, 401, unauthorized("TOKEN_MISSING", about="authentication/"))

    response = api(rival.admin).post("keys", key_document(acme.policy))
    about = "authentication/#token-authentication"
    assert_refused(response, 401, unauthorized("TOKEN_INVALID", about=about))
