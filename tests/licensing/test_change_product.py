"""GET, PATCH and PUT /products/:id (contract: keys 8)."""

import pytest

from licensing.models import Product
from tests.cast import make_product
from tests.errors import BAD, NOT_FOUND, UNPROCESSABLE, assert_refused, bad_request, not_found, unprocessable
from tests.licensing.documents import UNKNOWN, document, product_object

FULL = {
    "code": "rocket",
    "distribution_strategy": "OPEN",
    "url": "https://example.com",
    "platforms": ["linux"],
    "metadata": {"a": 1},
}
WIRE = {
    "code": "rocket",
    "distributionStrategy": "OPEN",
    "url": "https://example.com",
    "platforms": ["linux"],
    "metadata": {"a": 1},
}


@pytest.fixture
def full(acme):
    """A product that has a value for everything."""
    return make_product(acme.account, **FULL)


class TestLookUp:
    @pytest.mark.parametrize(
        "spell",
        [
            lambda product: str(product.pk),
            lambda product: str(product.pk).upper(),
            lambda product: product.pk.hex,
            lambda product: product.code,
        ],
        ids=["id", "upper case", "no hyphens", "code"],
    )
    def test_product_look_up_is_by_id_or_code(self, acme, api, full, spell):
        response = api(acme.admin).get(f"products/{spell(full)}")

        assert (response.status_code, response.json()) == (200, {"data": product_object(full, **WIRE)})

    @pytest.mark.parametrize("identifier", ["ROCKET", "rock", "x", UNKNOWN])
    def test_product_look_up_is_exact(self, acme, api, full, identifier):
        response = api(acme.admin).get(f"products/{identifier}")

        assert_refused(response, NOT_FOUND, not_found("product", identifier))

    def test_product_look_up_stays_in_the_account(self, acme, rival, api):
        theirs = make_product(rival.account, code="theirs")

        for identifier in (theirs.pk, "theirs"):
            response = api(acme.admin).get(f"products/{identifier}")

            assert_refused(response, NOT_FOUND, not_found("product", identifier))


class TestUpdate:
    @pytest.mark.parametrize("method", ["patch", "put"])
    def test_update_of_a_product_changes_what_was_sent_and_nothing_else(self, acme, api, full, method):
        changes = document("products", {"name": "Satellite", "metadata": {"b": 2}})

        response = getattr(api(acme.admin), method)("products/rocket", changes)

        full.refresh_from_db()
        expected = product_object(full, **WIRE | {"name": "Satellite", "metadata": {"b": 2}})
        assert (response.status_code, response.json()["data"]) == (200, expected)
        assert full.updated > full.created

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            ("code", WIRE["code"]),
            ("distributionStrategy", None),
            ("url", None),
            ("platforms", None),
            ("name", "Rocket"),
            ("metadata", {"a": 1}),
        ],
    )
    def test_null_clears_what_may_be_empty_and_leaves_the_rest(self, acme, api, full, name, shown):
        response = api(acme.admin).patch("products/rocket", document("products", {name: None}))

        full.refresh_from_db()
        assert response.status_code == 200
        assert response.json()["data"] == product_object(full, **WIRE | {name: shown})

    def test_update_of_a_product_leaves_the_moment_when_nothing_changes(self, acme, api, full):
        api(acme.admin).patch("products/rocket", document("products", {"name": "Rocket", "code": "rocket"}))

        full.refresh_from_db()
        assert full.updated == full.created

    def test_update_of_a_product_accepts_its_own_code_in_another_case(self, acme, api, full):
        response = api(acme.admin).patch("products/rocket", document("products", {"code": "Rocket"}))

        assert response.json()["data"]["attributes"]["code"] == "Rocket"

    def test_update_of_a_product_ignores_the_id_in_the_document(self, acme, api, full):
        changes = {"data": {"type": "products", "id": "anything", "attributes": {"name": "Satellite"}}}

        assert api(acme.admin).patch("products/rocket", changes).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "detail", "pointer"),
        [
            (None, "is missing", "/data"),
            ({"data": {"type": "products"}}, "is missing", "/data/attributes"),
            ({"data": {"type": "keys", "attributes": {}}}, "is invalid", "/data/type"),
            (document("products", {"name": ""}), "cannot be blank", "/data/attributes/name"),
            (document("products", {"key": "x"}), "unpermitted parameter", "/data/attributes/key"),
            (document("products", {}, policies={}), "unpermitted parameter", "/data/relationships"),
        ],
    )
    def test_update_of_a_product_refuses_a_wrong_document(self, acme, api, full, changes, detail, pointer):
        response = api(acme.admin).patch("products/rocket", changes)

        assert_refused(response, BAD, bad_request(detail, pointer))

    def test_update_of_a_product_refuses_the_code_of_another_product(self, acme, api, full):
        response = api(acme.admin).patch(f"products/{acme.product.pk}", document("products", {"code": "rocket"}))

        error = unprocessable("products", "has already been taken", "CODE_TAKEN", "/data/attributes/code")
        assert_refused(response, UNPROCESSABLE, error)
        assert Product.objects.get(pk=acme.product.pk).code is None
