"""E-mail and password for a token (contract: platform 5.3)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import Token
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic, token_document
from tests.conftest import API
from tests.errors import BAD, FORBIDDEN, UNAUTHORIZED, assert_refused, bad_request, forbidden, unauthorized
from tests.tables import each_row

HEADER = {"source": {"header": "Authorization"}}
NO_MATCH = unauthorized("CREDENTIALS_INVALID", "email and password must be valid") | HEADER
FAILURES = [
    ("joe@", PASSWORD, "EMAIL_REQUIRED", "email is required"),
    ("@acme.test", PASSWORD, "EMAIL_REQUIRED", "email is required"),
    ("unknown@acme.test", PASSWORD, "EMAIL_INVALID", "email must be valid"),
    ("admin@rival.test", PASSWORD, "EMAIL_INVALID", "email must be valid"),
    ("admin@acme.test", PASSWORD, "PASSWORD_NOT_SUPPORTED", "password is unsupported"),
    ("admin@acme.test", "", "PASSWORD_NOT_SUPPORTED", "password is unsupported"),
    ("joe@acme.test", "", "PASSWORD_REQUIRED", "password is required"),
    ("joe@acme.test", "  ", "PASSWORD_REQUIRED", "password is required"),
    ("joe@acme.test", "wrong", "PASSWORD_INVALID", "password must be valid"),
    ("joe@acme.test", PASSWORD.upper(), "PASSWORD_INVALID", "password must be valid"),
]


class TestSignIn:
    def test_sign_in_answers_with_a_token_that_speaks_for_the_user(self, sign_in, joe):
        response = sign_in("joe@acme.test")

        data = response.json()["data"]
        assert response.status_code == 201
        assert response["Location"] == f"http://testserver{data['links']['self']}"
        assert data["relationships"]["bearer"]["data"] == {"type": "users", "id": str(joe.pk)}
        me = API(data["attributes"]["token"]).get("me").json()
        assert me["data"]["id"] == str(joe.pk)
        assert me["included"][0]["id"] == data["id"]

    def test_sign_in_needs_no_body_and_names_no_token_in_the_headers(self, sign_in, joe):
        response = sign_in("joe@acme.test")

        assert response["Keygen-Bearer"] == str(joe.pk)
        assert "Keygen-Token" not in response

    @pytest.mark.parametrize("email", ["JOE@acme.test", " joe@Acme.Test "])
    def test_sign_in_knows_an_email_however_it_is_spelled(self, sign_in, joe, email):
        assert sign_in(email).status_code == 201

    @pytest.mark.parametrize(
        "email", ["ünï@acme.test", "zoe@exämple.test", "zoe@127.0.0.1", "zoe@acme.t", "a@-acme.test", '"zoe"@acme.test']
    )
    def test_sign_in_knows_every_email_that_a_user_may_have(self, sign_in, acme, email):
        acme.user("user", email=email, password=PASSWORD)

        assert sign_in(email).status_code == 201

    def test_sign_in_takes_a_password_with_colons_and_letters_of_any_script(self, sign_in, acme):
        acme.user("user", email="zoe@acme.test", password="a:b:ключ")

        assert sign_in("zoe@acme.test", "a:b:ключ").status_code == 201

    @pytest.mark.parametrize(
        ("role", "kind", "prefix", "lifetime"),
        [
            ("user", "user-token", "user-", timedelta(weeks=2)),
            ("admin", "admin-token", "admin-", None),
            ("developer", "developer-token", "dev-", None),
            ("sales-agent", "sales-token", "sales-", None),
            ("support-agent", "support-token", "spprt-", None),
            ("read-only", "read-only-token", "read-", None),
        ],
    )
    def test_sign_in_gives_each_role_its_kind_of_token(self, sign_in, acme, role, kind, prefix, lifetime):
        acme.user(role, email="ann@acme.test", password=PASSWORD)

        attributes = sign_in("ann@acme.test").json()["data"]["attributes"]

        assert attributes["kind"] == kind
        assert attributes["token"].startswith(prefix)
        assert attributes["token"].endswith("v3")
        assert len(attributes["token"]) == len(prefix) + 64 + 2
        expiry = Token.objects.latest("created").expiry
        assert (expiry and round((expiry - timezone.now()) / timedelta(days=1))) == (lifetime and lifetime.days)

    def test_sign_in_takes_a_name_and_an_expiry(self, sign_in, joe):
        response = sign_in("joe@acme.test", data=token_document(name="Laptop", expiry=None))

        attributes = response.json()["data"]["attributes"]
        assert (attributes["name"], attributes["expiry"]) == ("Laptop", None)

    def test_sign_in_takes_an_expiry_that_has_passed(self, sign_in, joe):
        response = sign_in("joe@acme.test", data=token_document(expiry="2020-01-02T03:04:05Z"))

        assert response.json()["data"]["attributes"]["expiry"] == "2020-01-02T03:04:05.000Z"

    def test_sign_in_works_while_the_account_is_canceled(self, sign_in, acme, joe):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert sign_in("joe@acme.test").status_code == 201


class TestRefusal:
    @each_row(("email", "password", "code", "detail"), FAILURES)
    def test_refused_sign_in_gives_the_reason(self, sign_in, joe, rival, email, password, code, detail):
        response = sign_in(email, password)

        assert_refused(response, UNAUTHORIZED, unauthorized(code, detail) | HEADER)
        assert response["WWW-Authenticate"] == 'Basic realm="keygen"'
        assert "Keygen-Bearer" not in response

    @each_row(("email", "password", "code", "detail"), FAILURES)
    @each_row("version", ["1.0", "1.7"])
    def test_refused_sign_in_gives_earlier_versions_no_reason(
        self, sign_in, joe, rival, version, email, password, code, detail
    ):
        response = sign_in(email, password, Keygen_Version=version)

        assert_refused(response, UNAUTHORIZED, NO_MATCH)

    @each_row(("email", "password", "code", "detail"), FAILURES)
    def test_refused_sign_in_does_not_say_it_where_the_operator_prefers(
        self, sign_in, joe, rival, settings, email, password, code, detail
    ):
        settings.UNIFORM_SIGN_IN_ERRORS = True

        assert_refused(sign_in(email, password), UNAUTHORIZED, NO_MATCH)

    @pytest.mark.parametrize("email", ["unknown@acme.test", "admin@rival.test", "admin@acme.test", "joe@acme.test"])
    def test_refused_sign_in_computes_one_hash_whether_or_not_the_user_exists(self, sign_in, joe, rival, hashed, email):
        """The time must not reveal it: unknown, of another account, without a password, with another password."""
        sign_in(email, "wrong")

        assert hashed == ["wrong"]

    def test_refused_sign_in_lets_the_banned_in_and_then_refuses_them(self, sign_in, joe):
        joe.ban()

        assert_refused(sign_in("joe@acme.test"), FORBIDDEN, forbidden("user is banned"))

    def test_refused_sign_in_knows_no_one_of_another_account(self, api, joe, rival):
        response = api(account="rival").post("tokens", Authorization=basic("joe@acme.test", PASSWORD))

        assert_refused(response, UNAUTHORIZED, unauthorized("EMAIL_INVALID", "email must be valid") | HEADER)

    @pytest.mark.parametrize(
        "request_",
        [
            lambda api, **headers: api.get("me", **headers),
            lambda api, **headers: api.get("tokens", **headers),
            lambda api, **headers: api.put("tokens", **headers),
            lambda api, **headers: api.post("keys", **headers),
        ],
        ids=["me", "list", "regenerate", "another POST"],
    )
    def test_refused_sign_in_takes_an_email_for_a_token_anywhere_else(self, api, joe, request_):
        response = request_(api(), Authorization=basic("joe@acme.test", PASSWORD))

        invalid = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")
        assert_refused(response, UNAUTHORIZED, invalid)

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({"data": {"type": "keys"}}, bad_request("is invalid", "/data/type")),
            ({"data": {}}, bad_request("is missing", "/data/type")),
            (token_document(permissions=["*"]), bad_request("unpermitted parameter", "/data/attributes/permissions")),
            (token_document(maxActivations=1), bad_request("unpermitted parameter", "/data/attributes/maxActivations")),
            (
                token_document(expiry="tomorrow"),
                bad_request("failed to coerce string to time", "/data/attributes/expiry"),
            ),
            (
                {"data": {"type": "tokens", "relationships": {"bearer": {"data": None}}}},
                bad_request("cannot be null", "/data/relationships/bearer/data"),
            ),
            (token_document(("keys", 1)), bad_request("is invalid", "/data/relationships/bearer/data/type")),
        ],
    )
    def test_refused_sign_in_looks_at_the_document_before_it_looks_at_a_ban(self, sign_in, joe, document, error):
        joe.ban()

        assert_refused(sign_in("joe@acme.test", data=document), BAD, error)

    def test_refused_sign_in_of_a_name_too_long(self, sign_in, joe):
        response = sign_in("joe@acme.test", data=token_document(name="n" * 256))

        assert response.status_code == 422
        assert [error["code"] for error in response.json()["errors"]] == ["NAME_TOO_LONG"]
