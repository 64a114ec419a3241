"""/products/:id/tokens: tokens that make a product a bearer (contract: keys 1.4, platform 5.5)."""

import pytest

from accounts.models import Token
from tests.cast import make_product, token_of
from tests.errors import BAD, NOT_FOUND, assert_refused, bad_request, not_found
from tests.licensing.documents import UNKNOWN, ids

EXPIRY = "2050-01-01T00:00:00.000Z"


@pytest.fixture
def admin(acme, api):
    return api(acme.admin)


class TestGenerate:
    @pytest.mark.parametrize(
        "document", [None, {}, {"data": {"type": "tokens"}}, {"data": {"type": "token", "attributes": {}}}]
    )
    def test_generating_a_token_answers_with_the_text_of_a_token_that_lasts(self, acme, admin, document):
        response = admin.post(f"products/{acme.product.pk}/tokens", document)

        assert response.status_code == 200
        shown = response.json()["data"]
        token = Token.objects.get(pk=shown["id"])
        assert token.bearer == acme.product
        text = shown["attributes"]["token"]
        assert text.startswith("prod-")
        assert {**shown["attributes"], "created": None, "updated": None} == {
            "kind": "product-token",
            "token": text,
            "expiry": None,
            "name": None,
            "created": None,
            "updated": None,
        }
        assert shown["relationships"]["bearer"]["data"] == {"type": "products", "id": str(acme.product.pk)}
        assert "Location" not in response

    def test_generating_a_token_keeps_name_and_expiry(self, acme, admin):
        document = {"data": {"type": "tokens", "attributes": {"name": "Shop", "expiry": EXPIRY}}}

        response = admin.post(f"products/{acme.product.pk}/tokens", document)

        attributes = response.json()["data"]["attributes"]
        assert (attributes["name"], attributes["expiry"]) == ("Shop", EXPIRY)

    def test_generating_a_token_by_the_code_of_the_product(self, acme, admin):
        product = make_product(acme.account, code="satellite")

        response = admin.post("products/satellite/tokens")

        assert response.json()["data"]["relationships"]["bearer"]["data"]["id"] == str(product.pk)

    def test_generating_a_token_makes_the_product_a_bearer(self, acme, admin, api):
        text = admin.post(f"products/{acme.product.pk}/tokens").json()["data"]["attributes"]["token"]

        response = api(text).get("policies")

        assert (response.status_code, response["Keygen-Bearer"]) == (200, str(acme.product.pk))

    @pytest.mark.parametrize(
        ("document", "detail", "pointer"),
        [
            ({"data": {"type": "products"}}, "is invalid", "/data/type"),
            ({"data": {"attributes": {}}}, "is missing", "/data/type"),
            (
                {"data": {"type": "tokens", "attributes": {"permissions": ["product.read"]}}},
                "unpermitted parameter",
                "/data/attributes/permissions",
            ),
        ],
    )
    def test_generating_a_token_refuses_a_wrong_document(self, acme, admin, document, detail, pointer):
        response = admin.post(f"products/{acme.product.pk}/tokens", document)

        assert_refused(response, BAD, bad_request(detail, pointer))

    def test_generating_a_token_needs_a_product(self, admin):
        response = admin.post("products/satellite/tokens")

        assert_refused(response, NOT_FOUND, not_found("product", "satellite"))


class TestLook:
    def test_look_at_tokens_lists_those_of_the_product_without_their_texts(self, acme, admin):
        for bearer in (acme.product, acme.another_product()):
            token_of(bearer)

        response = admin.get(f"products/{acme.product.pk}/tokens")

        assert ids(response) == [str(token.pk) for token in acme.product.tokens.all()]
        assert "token" not in response.json()["data"][0]["attributes"]

    def test_look_at_tokens_shows_one(self, acme, admin):
        token_of(acme.product)
        token = acme.product.tokens.get()

        response = admin.get(f"products/{acme.product.pk}/tokens/{token.pk}")

        assert (response.status_code, response.json()["data"]["id"]) == (200, str(token.pk))

    def test_look_at_tokens_shows_none_of_others(self, acme, admin):
        token_of(acme.product)
        identifier = acme.product.tokens.get().pk

        for unknown in (identifier, UNKNOWN):
            response = admin.get(f"products/{acme.another_product().pk}/tokens/{unknown}")

            assert_refused(response, NOT_FOUND, not_found("token", unknown))

    def test_look_at_tokens_costs_the_same_however_many(self, acme, admin, django_assert_num_queries):
        for _ in range(20):
            token_of(acme.product)

        with django_assert_num_queries(3):  # who asks, the product, and its tokens
            assert len(ids(admin.get(f"products/{acme.product.pk}/tokens?limit=20"))) == 20
