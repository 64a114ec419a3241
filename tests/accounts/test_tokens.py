"""Tokens: making them for others, looking at them, revoking and regenerating them (contract: platform 5.5)."""

from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import Token
from tests.accounts.documents import token_document
from tests.cast import make_license, token_of
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

STAFF = ["admin", "developer", "sales-agent", "support-agent", "read-only"]
EVERYBODY = [*STAFF, "product", "license", "user"]
INVALID = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")


@pytest.fixture
def cast(acme, joe, held_license):
    """Whom a token may speak for, by a name. Joe's license is of Acme's product; Eve has none."""
    return {
        "admin": acme.admin,
        "another admin": acme.user("admin", email="second@acme.test"),
        "developer": acme.user("developer"),
        "sales-agent": acme.user("sales-agent"),
        "support-agent": acme.user("support-agent"),
        "read-only": acme.user("read-only"),
        "product": acme.product,
        "another product": acme.another_product(),
        "license": held_license,
        "another license": make_license(acme.policy, "another-license"),
        "user": joe,
        "another user": acme.user("user", email="eve@acme.test"),
    }


def type_of(row):
    return row.JSONAPIMeta.resource_name


class TestDocument:
    def test_shows_everything_but_the_text(self, api, acme):
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

    def test_counts_activations_of_a_license(self, api, acme, held_license):
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

    def test_of_a_license_is_shorter(self, held_license):
        _, text = Token.generate(held_license)

        assert text.startswith("activ-")
        assert len(text) == len("activ-") + 32 + 2


# Who asks, for whom, and what is said: 201, or a reason.
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
    ("product", "another product", NOT_ALLOWED),
    ("user", "product", NOT_ALLOWED),
    ("admin", "license", NOT_ALLOWED),
    ("sales-agent", "license", NOT_ALLOWED),
    ("product", "license", 201),
    ("user", "license", NOT_ALLOWED),
]


class TestPost:
    @pytest.mark.parametrize(("who", "whom", "answer"), FOR_OTHERS)
    def test_for(self, api, cast, who, whom, answer):
        bearer = cast[whom]

        response = api(cast[who]).post("tokens", token_document((type_of(bearer), bearer.pk)))

        if answer == 201:
            assert response.status_code == 201
            assert response.json()["data"]["relationships"]["bearer"]["data"]["id"] == str(bearer.pk)
            assert API(response.json()["data"]["attributes"]["token"]).get("me").status_code == 200
        else:
            assert_refused(response, FORBIDDEN, answer)

    @pytest.mark.parametrize("who", ["admin", "user", "product"])
    @pytest.mark.parametrize("kind", ["users", "user", "products", "product", "licenses", "license"])
    def test_for_somebody_unknown(self, api, cast, who, kind):
        response = api(cast[who]).post("tokens", token_document((kind, uuid4())))

        assert_refused(response, FORBIDDEN, NOT_ALLOWED)

    def test_for_somebody_of_another_account(self, api, acme, rival):
        response = api(acme.admin).post("tokens", token_document(("users", rival.user().pk)))

        assert_refused(response, FORBIDDEN, NOT_ALLOWED)

    def test_needs_a_credential(self, acme):
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
    @pytest.mark.parametrize(("folder", "whom", "who", "answer"), NESTED)
    def test_are_made(self, api, cast, folder, whom, who, answer):
        bearer = cast[whom]

        response = api(cast[who]).post(f"{folder}/{bearer.pk}/tokens", token_document(name="CI"))

        if answer == 200:
            assert response.status_code == 200
            assert "Location" not in response
            assert response.json()["data"]["attributes"]["name"] == "CI"
            assert API(response.json()["data"]["attributes"]["token"]).get("me").json()["data"]["id"] == str(bearer.pk)
        elif answer == 404:
            assert_refused(response, NOT_FOUND, not_found(folder[:-1], bearer.pk))
        else:
            assert_refused(response, FORBIDDEN, answer)

    def test_are_of_a_user_named_by_email(self, api, acme, joe):
        response = api(acme.admin).post("users/JOE@acme.test/tokens")

        assert response.json()["data"]["relationships"]["bearer"]["data"]["id"] == str(joe.pk)

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            (token_document(("users", uuid4())), bad_request("unpermitted parameter", "/data/relationships")),
            (token_document(token="x"), bad_request("unpermitted parameter", "/data/attributes/token")),
            (token_document(maxActivations=1), bad_request("unpermitted parameter", "/data/attributes/maxActivations")),
            (
                token_document(name=1),
                bad_request("type mismatch (received integer expected string)", "/data/attributes/name"),
            ),
        ],
    )
    def test_have_no_other_members(self, api, acme, joe, document, error):
        # The shape is looked at before the permission, which a reader lacks.
        for asking in (acme.admin, acme.user("read-only")):
            assert_refused(api(asking).post(f"users/{joe.pk}/tokens", document), BAD, error)

    def test_are_listed_and_shown(self, api, acme, joe):
        token, _ = Token.generate(joe)
        admin = api(acme.admin)

        listed = admin.get(f"users/{joe.pk}/tokens").json()["data"]

        assert [shown["id"] for shown in listed] == [str(token.pk)]
        assert admin.get(f"users/{joe.pk}/tokens/{token.pk}").json()["data"] == listed[0]

    def test_are_not_those_of_others(self, api, acme, joe):
        token = Token.objects.get(account=acme.account)

        response = api(acme.admin).get(f"users/{joe.pk}/tokens/{token.pk}")

        assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    def test_are_not_made_while_the_account_is_canceled(self, api, acme, joe):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).post(f"users/{joe.pk}/tokens").status_code == 403

    def test_refuse_a_name_too_long(self, api, acme, joe):
        response = api(acme.admin).post(f"users/{joe.pk}/tokens", token_document(name="n" * 256))

        detail = "is too long (maximum is 255 characters)"
        error = unprocessable("tokens", detail, "NAME_TOO_LONG", "/data/attributes/name")
        assert_refused(response, UNPROCESSABLE, error)


SEES = {
    "admin": {"all"},
    "developer": {"all"},
    "sales-agent": {"all"},
    "support-agent": {"all"},
    "read-only": {"all"},
    "product": {"product", "license", "another license", "user"},
    "license": {"license"},
    "user": {"user"},
}


class TestList:
    @pytest.fixture
    def tokens(self, cast, rival):
        """A token of each of the cast, by its name."""
        Token.objects.all().delete()
        return {name: Token.generate(bearer) for name, bearer in cast.items()}

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_has_what_a_bearer_sees(self, tokens, who):
        asking = API(tokens[who][1])
        seen = set(tokens) if SEES[who] == {"all"} else SEES[who]

        listed = {shown["id"] for shown in asking.get("tokens?limit=100").json()["data"]}

        assert listed == {str(tokens[name][0].pk) for name in seen}
        for name, (token, _) in tokens.items():
            response = asking.get(f"tokens/{token.pk}")
            if name in seen:
                assert response.status_code == 200
            else:
                assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("bearer[type]=product", {"product", "another product"}),
            ("bearer[type]=products", {"product", "another product"}),
            ("bearer[type]=licenses", {"license", "another license"}),
            ("bearer[type]=policies", set()),
            ("bearer[type]=", None),
            ("bearer[id]={user}", {"user"}),
            ("bearer[id]=nonsense", set()),
            ("bearer[role]=admin", {"admin", "another admin"}),
            ("bearer[role][]=developer&bearer[role][]=product", {"developer", "product", "another product"}),
            ("bearer[role]=user&bearer[type]=user", {"user", "another user"}),
            ("bearer[role]=user&bearer[type]=product", set()),
            ("bearer[role]=emperor", set()),
            ("bearer=product", None),
        ],
    )
    def test_is_filtered(self, tokens, cast, query, expected):
        query = query.format(user=cast["user"].pk)

        response = API(tokens["admin"][1]).get(f"tokens?limit=100&{query}")

        found = {shown["id"] for shown in response.json()["data"]}
        assert found == {str(tokens[name][0].pk) for name in (tokens if expected is None else expected)}

    def test_costs_one_statement_whatever_its_length(self, tokens, django_assert_num_queries):
        with django_assert_num_queries(2):  # one for the bearer
            API(tokens["admin"][1]).get("tokens?limit=100")


# Who asks, whose token: what PUT and what DELETE say.
CHANGES = [
    ("admin", "admin", 200, 204),
    ("admin", "another admin", NOT_ALLOWED, 204),
    ("admin", "developer", NOT_ALLOWED, 204),
    ("admin", "product", 200, 204),
    ("admin", "license", 200, 204),
    ("admin", "user", 200, 204),
    ("developer", "admin", NOT_ALLOWED, 204),
    ("developer", "user", 200, 204),
    ("sales-agent", "sales-agent", 200, 204),
    ("sales-agent", "user", NOT_ALLOWED, NOT_ALLOWED),
    ("support-agent", "support-agent", 200, 204),
    ("support-agent", "product", NOT_ALLOWED, NOT_ALLOWED),
    ("read-only", "read-only", lacks_permission("read-only"), lacks_permission("read-only")),
    ("product", "product", 200, 204),
    ("product", "license", 200, 204),
    ("product", "user", 200, 204),
    ("product", "another user", 404, 404),
    ("product", "another product", 404, 404),
    ("product", "admin", 404, 404),
    ("license", "license", 200, 204),
    ("license", "another license", 404, 404),
    ("license", "user", 404, 404),
    ("user", "user", 200, 204),
    ("user", "another user", 404, 404),
    ("user", "license", 404, 404),
]


class TestChange:
    @pytest.mark.parametrize(("who", "whose", "answer", "_"), CHANGES)
    def test_regenerates(self, api, cast, who, whose, answer, _):
        token, text = Token.generate(cast[whose])

        response = api(cast[who]).put(f"tokens/{token.pk}")

        if answer == 200:
            new = response.json()["data"]["attributes"]["token"]
            assert (response.status_code, response.json()["data"]["id"]) == (200, str(token.pk))
            assert API(new).get("me").status_code == 200
            assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        else:
            self.assert_refused(response, token, answer)
            assert API(text).get("me").status_code == 200

    @pytest.mark.parametrize(("who", "whose", "_", "answer"), CHANGES)
    def test_revokes(self, api, cast, who, whose, _, answer):
        token, text = Token.generate(cast[whose])

        response = api(cast[who]).delete(f"tokens/{token.pk}")

        if answer == 204:
            assert (response.status_code, response.content) == (204, b"")
            assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        else:
            self.assert_refused(response, token, answer)
            assert API(text).get("me").status_code == 200

    def assert_refused(self, response, token, answer):
        if answer == 404:
            assert_refused(response, NOT_FOUND, not_found("token", token.pk))
        else:
            assert_refused(response, FORBIDDEN, answer)

    @pytest.mark.parametrize("method", ["put", "delete", "get"])
    def test_knows_no_token_of_another_account(self, api, acme, rival, method):
        token = Token.objects.get(account=rival.account)

        response = getattr(api(acme.admin), method)(f"tokens/{token.pk}")

        assert_refused(response, NOT_FOUND, not_found("token", token.pk))

    def test_regenerates_the_one_in_use(self, acme):
        text = token_of(acme.product)

        response = API(text).put("tokens")

        assert response.json()["data"]["id"] == response["Keygen-Token"]
        assert_refused(API(text).get("me"), UNAUTHORIZED, INVALID)
        assert API(response.json()["data"]["attributes"]["token"]).get("me").status_code == 200

    def test_has_no_token_in_use_where_a_license_key_is(self, acme, held_license):
        held_license.policy.authentication_strategy = "MIXED"
        held_license.policy.save()

        response = API().put("tokens", Authorization=f"License {held_license.key}")

        error = {"title": "Not found", "detail": "The requested token was not found", "code": "NOT_FOUND"}
        assert_refused(response, NOT_FOUND, error)

    @pytest.mark.parametrize(("expiry", "days"), [(None, None), (timedelta(days=1), 14), (timedelta(days=900), 14)])
    def test_renews_an_expiry_to_two_weeks(self, api, acme, expiry, days):
        token, _ = Token.generate(acme.product, expiry=expiry and timezone.now() + expiry)

        api(acme.admin).put(f"tokens/{token.pk}")

        token.refresh_from_db()
        assert (token.expiry and round((token.expiry - timezone.now()) / timedelta(days=1))) == days

    def test_has_no_patch(self, api, acme):
        token = Token.objects.get(account=acme.account)

        assert api(acme.admin).patch(f"tokens/{token.pk}").status_code == 404
