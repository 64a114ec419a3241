"""Tokens: their format, and creating them for others (contract: platform 5.5)."""

from uuid import uuid4

import pytest

from accounts.models import Token
from tests.accounts.documents import token_document
from tests.conftest import API
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unauthorized,
    unprocessable,
)
from tests.tables import each_row


def type_of(row):
    return row.JSONAPIMeta.resource_name


class TestDocument:
    def test_token_document_shows_everything_but_the_text(self, api, acme):
        token, text = Token.generate(acme.product, name="CI")
        account = f"/v1/accounts/{acme.account.pk}"

        response = api(acme.admin).get(f"tokens/{token.pk}")

        moment = response.json()["data"]["attributes"]["created"]
        assert response.json() == {
            "data": {
                "id": str(token.pk),
                "type": "tokens",
                "links": {"self": f"{account}/tokens/{token.pk}"},
                "attributes": {
                    "kind": "product-token",
                    "expiry": None,
                    "name": "CI",
                    "created": moment,
                    "updated": moment,
                },
                "relationships": {
                    "account": {
                        "links": {"related": account},
                        "data": {"type": "accounts", "id": str(acme.account.pk)},
                    },
                    "bearer": {
                        "links": {"related": f"{account}/products/{acme.product.pk}"},
                        "data": {"type": "products", "id": str(acme.product.pk)},
                    },
                },
            }
        }
        assert text not in response.content.decode()

    def test_token_document_counts_activations_of_a_license(self, api, acme, held_license):
        token, _ = Token.generate(held_license, max_activations=3)

        attributes = api(acme.admin).get(f"tokens/{token.pk}").json()["data"]["attributes"]

        assert attributes["kind"] == "activation-token"
        assert [
            attributes[name] for name in ("maxActivations", "activations", "maxDeactivations", "deactivations")
        ] == [
            3,
            0,
            None,
            0,
        ]

    def test_token_document_of_a_license_is_shorter(self, held_license):
        _, text = Token.generate(held_license)

        assert text.startswith("activ-")
        assert len(text) == len("activ-") + 32 + 2


# Bearer, the token's owner, and the response: 201, or the error.
NOT_ALLOWED = forbidden()
FOR_OTHERS = [
    ("admin", "admin", 201),
    ("developer", "developer", 201),
    ("sales-agent", "sales-agent", 201),
    ("support-agent", "support-agent", 201),
    ("read-only", "read-only", 201),
    ("user", "user", 201),
    ("product", "product", NOT_ALLOWED),
    ("license", "license", lacks_permission("license")),
    ("admin", "user", 201),
    ("developer", "user", 201),
    ("sales-agent", "user", NOT_ALLOWED),
    ("support-agent", "user", NOT_ALLOWED),
    ("read-only", "user", NOT_ALLOWED),
    ("product", "user", 201),
    ("product", "another user", NOT_ALLOWED),
    ("user", "another user", NOT_ALLOWED),
    ("admin", "another admin", NOT_ALLOWED),
    ("admin", "developer", NOT_ALLOWED),
    ("developer", "admin", NOT_ALLOWED),
    ("admin", "product", NOT_ALLOWED),
    ("developer", "product", NOT_ALLOWED),
    ("sales-agent", "product", NOT_ALLOWED),
    ("support-agent", "product", NOT_ALLOWED),
    ("product", "another product", NOT_ALLOWED),
    ("user", "product", NOT_ALLOWED),
    ("admin", "license", NOT_ALLOWED),
    ("sales-agent", "license", NOT_ALLOWED),
    ("product", "license", 201),
    ("user", "license", NOT_ALLOWED),
]


class TestPost:
    @each_row(("who", "whom", "answer"), FOR_OTHERS)
    def test_token_is_for_permitted_bearers(self, api, bearers, who, whom, answer):
        bearer = bearers[whom]

        response = api(bearers[who]).post("tokens", token_document((type_of(bearer), bearer.pk)))

        if answer == 201:
            assert response.status_code == 201
            assert response.json()["data"]["relationships"]["bearer"]["data"]["id"] == str(bearer.pk)
            assert API(response.json()["data"]["attributes"]["token"]).get("me").status_code == 200
        else:
            assert_refused(response, FORBIDDEN, answer)

    @each_row("who", ["admin", "user", "product"])
    @each_row("kind", ["users", "user", "products", "product", "licenses", "license"])
    def test_token_for_an_unknown_bearer(self, api, bearers, who, kind):
        response = api(bearers[who]).post("tokens", token_document((kind, uuid4())))

        assert_refused(response, FORBIDDEN, NOT_ALLOWED)

    def test_token_for_a_user_of_another_account(self, api, acme, rival):
        response = api(acme.admin).post("tokens", token_document(("users", rival.user().pk)))

        assert_refused(response, FORBIDDEN, NOT_ALLOWED)

    def test_token_needs_a_credential(self, acme):
        response = API().post("tokens")

        assert_refused(response, UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


NESTED = [
    ("products", "product", "admin", 200),
    ("products", "product", "developer", 200),
    ("products", "product", "sales-agent", NOT_ALLOWED),
    ("products", "product", "support-agent", NOT_ALLOWED),
    ("products", "product", "read-only", lacks_permission("read-only")),
    ("products", "product", "product", lacks_permission("product")),
    ("products", "another product", "product", 404),
    ("products", "product", "license", lacks_permission("license")),
    ("products", "product", "user", lacks_permission("user")),
    ("products", "another product", "user", 404),
    ("users", "user", "admin", 200),
    ("users", "user", "developer", 200),
    ("users", "admin", "admin", 200),
    ("users", "another admin", "admin", NOT_ALLOWED),
    ("users", "admin", "developer", NOT_ALLOWED),
    ("users", "user", "sales-agent", NOT_ALLOWED),
    ("users", "sales-agent", "sales-agent", NOT_ALLOWED),
    ("users", "user", "support-agent", NOT_ALLOWED),
    ("users", "user", "read-only", lacks_permission("read-only")),
    ("users", "user", "product", 200),
    ("users", "another user", "product", NOT_ALLOWED),
    ("users", "admin", "product", 404),
    ("users", "user", "license", lacks_permission("license")),
    ("users", "another user", "license", 404),
    ("users", "user", "user", lacks_permission("user")),
    ("users", "another user", "user", 404),
]


class TestOfABearer:
    @each_row(("folder", "whom", "who", "answer"), NESTED)
    def test_tokens_of_a_bearer_are_made(self, api, bearers, folder, whom, who, answer):
        bearer = bearers[whom]

        response = api(bearers[who]).post(f"{folder}/{bearer.pk}/tokens", token_document(name="CI"))

        if answer == 200:
            assert response.status_code == 200
            assert "Location" not in response
            assert response.json()["data"]["attributes"]["name"] == "CI"
            assert API(response.json()["data"]["attributes"]["token"]).get("me").json()["data"]["id"] == str(bearer.pk)
        elif answer == 404:
            assert_refused(response, NOT_FOUND, not_found(folder[:-1], bearer.pk))
        else:
            assert_refused(response, FORBIDDEN, answer)

    def test_tokens_of_a_bearer_are_of_a_user_named_by_email(self, api, acme, joe):
        response = api(acme.admin).post("users/JOE@acme.test/tokens")

        assert response.json()["data"]["relationships"]["bearer"]["data"]["id"] == str(joe.pk)

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            (token_document(("users", uuid4())), bad_request("unpermitted parameter", "/data/relationships/bearer")),
            (token_document(token="x"), bad_request("unpermitted parameter", "/data/attributes/token")),
            (token_document(maxActivations=1), bad_request("unpermitted parameter", "/data/attributes/maxActivations")),
            (
                token_document(name=1),
                bad_request("type mismatch (received integer expected string)", "/data/attributes/name"),
            ),
        ],
    )
    def test_tokens_of_a_bearer_have_no_other_members(self, api, acme, joe, document, error):
        # The shape is looked at before the permission, which a reader lacks.
        for asking in (acme.admin, acme.user("read-only")):
            assert_refused(api(asking).post(f"users/{joe.pk}/tokens", document), BAD, error)

    def test_tokens_of_a_bearer_are_listed_and_shown(self, api, acme, joe):
        token, _ = Token.generate(joe)
        admin = api(acme.admin)

        listed = admin.get(f"users/{joe.pk}/tokens").json()["data"]

        assert [shown["id"] for shown in listed] == [str(token.pk)]
        assert admin.get(f"users/{joe.pk}/tokens/{token.pk}").json()["data"] == listed[0]

    def test_tokens_of_a_bearer_are_not_those_of_others(self, api, acme, joe):
        token = Token.objects.get(account=acme.account)

        response = api(acme.admin).get(f"users/{joe.pk}/tokens/{token.pk}")

        assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    def test_tokens_of_a_bearer_are_not_made_while_the_account_is_canceled(self, api, acme, joe):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).post(f"users/{joe.pk}/tokens").status_code == 403

    def test_tokens_of_a_bearer_refuse_a_name_too_long(self, api, acme, joe):
        response = api(acme.admin).post(f"users/{joe.pk}/tokens", token_document(name="n" * 256))

        detail = "is too long (maximum is 255 characters)"
        error = unprocessable("tokens", detail, "NAME_TOO_LONG", "/data/attributes/name")
        assert_refused(response, UNPROCESSABLE, error)
