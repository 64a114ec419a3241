"""Retrieve, update, delete, and the related policy and product of a key."""

import pytest

from pools.models import Key, KeyEvent
from tests.cast import add_keys, make_license, make_policy, token_of
from tests.errors import (
    ENDPOINT_NOT_FOUND,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unauthorized,
    unprocessable,
)
from tests.pools.documents import key_object, linkage

KEY = "/data/attributes/key"


@pytest.fixture
def key(acme):
    return add_keys(acme.policy, "KEY-0001")[0]


def change(text):
    return {"data": {"type": "keys", "attributes": {"key": text}}}


class TestRetrieve:
    def test_showing_a_key_answers_as_the_seed_shows(self, api, acme, key):
        response = api(acme.admin).get(f"keys/{key.pk}")

        assert (response.status_code, response.json()) == (200, {"data": key_object(key)})

    @pytest.mark.parametrize("spell", [lambda uuid: uuid.hex, lambda uuid: str(uuid).upper()])
    def test_showing_a_key_takes_an_id_in_any_spelling(self, api, acme, key, spell):
        assert api(acme.admin).get(f"keys/{spell(key.pk)}").status_code == 200

    @pytest.mark.parametrize("identifier", ["6e936a61-94ad-44d1-88ac-88da9f10eca7", "KEY-0001", "1", "ключ"])
    def test_showing_a_key_does_not_find(self, api, acme, key, identifier):
        response = api(acme.admin).get(f"keys/{identifier}")

        assert_refused(response, 404, not_found("key", identifier))

    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "support-agent", "read-only", "product"])
    def test_showing_a_key_is_for_permitted_roles(self, api, acme, key, role):
        assert api(acme.bearer(role)).get(f"keys/{key.pk}").status_code == 200

    def test_showing_a_key_is_a_statement_for_the_bearer_and_one_for_the_key(
        self, api, acme, key, django_assert_num_queries
    ):
        admin = api(acme.admin)
        admin.get("keys")

        with django_assert_num_queries(2):
            admin.get(f"keys/{key.pk}")


class TestUpdate:
    def test_update_of_a_key_changes_the_text_and_the_moment(self, api, acme, key):
        response = api(acme.admin).patch(f"keys/{key.pk}", change("KEY-0002"))

        key.refresh_from_db()
        assert (response.status_code, response.json()) == (200, {"data": key_object(key)})
        assert key.key == "KEY-0002"
        assert key.updated > key.created
        assert Key.objects.with_key("KEY-0002").get() == key

    def test_update_of_a_key_put_is_patch(self, api, acme, key):
        assert api(acme.admin).put(f"keys/{key.pk}", change("KEY-0002")).status_code == 200

    @pytest.mark.parametrize("attributes", [{}, {"key": None}, {"key": "KEY-0001"}])
    def test_update_of_a_key_without_a_change_leaves_all_as_it_is(self, api, acme, key, attributes):
        document = {"data": {"type": "key", "id": "ignored", "attributes": attributes}}

        response = api(acme.admin).patch(f"keys/{key.pk}", document)

        assert (response.status_code, response.json()) == (200, {"data": key_object(key)})

    @pytest.mark.parametrize(
        ("text", "detail", "code"),
        [
            ("KEY-0002", "has already been taken", "KEY_TAKEN"),
            ("LICENSE-KEY", "is already being used as a license's key", "KEY_CONFLICT"),
            ("short", "is too short (minimum is 8 characters)", "KEY_TOO_SHORT"),
            ("x" * 1025, "is too long (maximum is 1024 characters)", "KEY_TOO_LONG"),
        ],
    )
    def test_update_of_a_key_refuses_invalid_input(self, api, acme, key, text, detail, code):
        add_keys(acme.policy, "KEY-0002")
        make_license(acme.unpooled, "LICENSE-KEY")

        response = api(acme.admin).patch(f"keys/{key.pk}", change(text))

        assert_refused(response, 422, unprocessable("keys", detail, code, KEY))
        key.refresh_from_db()
        assert key.key == "KEY-0001"

    @pytest.mark.parametrize(
        ("document", "detail", "pointer"),
        [
            ({}, "is missing", "/data"),
            ({"data": {"type": "keys"}}, "is missing", "/data/attributes"),
            ({"data": {"attributes": {}}}, "is missing", "/data/type"),
            (
                {"data": {"type": "keys", "attributes": {}, "relationships": {"policy": linkage("x")}}},
                "unpermitted parameter",
                "/data/relationships",
            ),
            ({"data": {"type": "keys", "id": "", "attributes": {}}}, "cannot be blank", "/data/id"),
        ],
    )
    def test_update_of_a_key_refuses_a_malformed_document(self, api, acme, key, document, detail, pointer):
        response = api(acme.admin).patch(f"keys/{key.pk}", document)

        assert_refused(response, 400, bad_request(detail, pointer))

    def test_update_of_a_key_checks_permissions_before_the_document(self, api, acme, key):
        assert_refused(api(acme.user("sales-agent")).patch(f"keys/{key.pk}", {}), 403, forbidden())
        assert_refused(api(acme.user("read-only")).patch(f"keys/{key.pk}", {}), 403, lacks_permission("read-only"))


class TestDelete:
    def test_deletion_of_a_key_takes_the_key_out_and_frees_its_text(self, api, acme, key):
        response = api(acme.admin).delete(f"keys/{key.pk}")

        assert (response.status_code, response.content) == (204, b"")
        assert api(acme.admin).get(f"keys/{key.pk}").status_code == 404
        add_keys(acme.policy, "KEY-0001")

    def test_deletion_of_a_key_is_in_the_ledger(self, api, acme, key):
        api(acme.admin).delete(f"keys/{key.pk}")

        event = KeyEvent.objects.get()
        assert (event.event, event.policy_id, bytes(event.key_digest)) == ("removed", acme.policy.pk, key.digest)
        assert (event.bearer_type, event.bearer_id) == ("users", acme.admin.pk)

    @pytest.mark.parametrize(
        ("role", "reason"),
        [
            ("sales-agent", forbidden()),
            ("support-agent", forbidden()),
            ("read-only", lacks_permission("read-only")),
        ],
    )
    def test_deletion_of_a_key_is_not_for(self, api, acme, key, role, reason):
        assert_refused(api(acme.user(role)).delete(f"keys/{key.pk}"), 403, reason)
        assert Key.objects.exists()


class TestPopped:
    """A key that left its pool is out of the API's sight, and stays as it was."""

    @pytest.mark.parametrize("method", ["get", "patch", "delete"])
    def test_popped_key_is_not_found(self, api, acme, key, audit, method):
        acme.policy.pool.pop(audit)

        response = getattr(api(acme.admin), method)(f"keys/{key.pk}")

        assert_refused(response, 404, not_found("key", key.pk))
        assert Key.objects.get().key == "KEY-0001"

    @pytest.mark.parametrize("related", ["policy", "product"])
    def test_popped_key_has_no_related_resources(self, api, acme, key, audit, related):
        acme.policy.pool.pop(audit)

        assert_refused(api(acme.admin).get(f"keys/{key.pk}/{related}"), 404, not_found("key", key.pk))


class TestRelated:
    def test_policy_and_product(self, api, acme, key):
        policy = api(acme.admin).get(f"keys/{key.pk}/policy").json()["data"]
        product = api(acme.admin).get(f"keys/{key.pk}/product").json()["data"]

        assert (policy["type"], policy["id"]) == ("policies", str(acme.policy.pk))
        assert policy["attributes"]["usePool"] is True
        assert (product["type"], product["id"]) == ("products", str(acme.product.pk))

    @pytest.mark.parametrize("related", ["account", "pool", "foo"])
    def test_related_others_do_not_exist(self, api, acme, key, related):
        assert_refused(api(acme.admin).get(f"keys/{key.pk}/{related}"), 404, ENDPOINT_NOT_FOUND, early=True)


METHODS = ["get", "patch", "delete"]


@pytest.mark.parametrize("method", METHODS)
class TestOutOfSight:
    """A key does not exist for a bearer who may not see it, even if they may change keys."""

    def test_keys_out_of_sight_of_another_account(self, api, acme, rival, method):
        key = add_keys(rival.policy, "KEY-0001")[0]

        response = getattr(api(acme.admin), method)(f"keys/{key.pk}")

        assert_refused(response, 404, not_found("key", key.pk))

    def test_keys_out_of_sight_of_another_product(self, api, acme, key, method):
        response = getattr(api(acme.another_product()), method)(f"keys/{key.pk}")

        assert_refused(response, 404, not_found("key", key.pk))

    @pytest.mark.parametrize("role", ["license", "user"])
    def test_keys_out_of_sight_of_licenses_and_users(self, api, acme, key, method, role):
        response = getattr(api(acme.bearer(role)), method)(f"keys/{key.pk}")

        assert_refused(response, 404, not_found("key", key.pk))

    def test_keys_out_of_sight_without_a_credential_and_of_another_account(self, api, acme, rival, key, method):
        response = getattr(api(), method)(f"keys/{key.pk}")
        assert_refused(response, 401, unauthorized("TOKEN_MISSING", about="authentication/"))

        response = getattr(api(token_of(rival.admin)), method)(f"keys/{key.pk}")
        about = "authentication/#token-authentication"
        assert_refused(response, 401, unauthorized("TOKEN_INVALID", about=about))
        key.refresh_from_db()


def test_product_moves_no_key_to_a_policy_of_its_own(api, acme, key):
    make_policy(acme.product, use_pool=True)

    document = {"data": {"type": "keys", "attributes": {}, "relationships": {}}}
    response = api(acme.product).patch(f"keys/{key.pk}", document)

    assert_refused(response, 400, bad_request("unpermitted parameter", "/data/relationships"))
