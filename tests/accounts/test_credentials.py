"""Credentials of a request, and the errors for invalid ones (contract: platform 5.1, 5.4)."""

import base64
from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.utils import timezone

from accounts.models import Token
from accounts.password_reset import make_reset_token
from tests.accounts.documents import basic
from tests.cast import make_license, make_policy, token_of
from tests.conftest import API
from tests.errors import BAD, FORBIDDEN, NOT_FOUND, UNAUTHORIZED, assert_refused, bad_request, not_found, unauthorized
from tests.tables import each_row

ABOUT_TOKENS = "authentication/#token-authentication"
ABOUT_LICENSES = "authentication/#license-authentication"
MISSING = unauthorized("TOKEN_MISSING", about="authentication/")
INVALID = unauthorized("TOKEN_INVALID", about=ABOUT_TOKENS)
LICENSE_INVALID = unauthorized("LICENSE_INVALID", about=ABOUT_LICENSES)
EXPIRED = unauthorized("TOKEN_EXPIRED", "Token is expired")
UUID_SENT = unauthorized(
    "TOKEN_FORMAT_INVALID",
    "Token format is invalid (make sure that you're providing a token value, not a token's UUID identifier)",
    about=ABOUT_TOKENS,
)
DOCS = "https://keygen.sh/docs/api"


def denied(code, detail, about=None):
    error = {"title": "Access denied", "detail": detail, "code": code}
    return error | ({"links": {"about": f"{DOCS}/{about}"}} if about else {})


USER_BANNED = denied("USER_BANNED", "User is banned")
WAYS = {
    "Bearer": lambda token: f"Bearer {token}",
    "in lower case": lambda token: f"bearer {token}",
    "Token": lambda token: f"Token {token}",
    "in upper case": lambda token: f"TOKEN {token}",
    "Bearer, named": lambda token: f'Bearer token="{token}"',
    "Basic, as user": basic,
    "Basic, as user without a colon": lambda token: basic(token, colon=""),
    "Basic, as password": lambda token: basic("token", token),
    "Basic, quoted": lambda token: f'Basic "{basic(token)[6:]}"',
    "Basic, with blanks": lambda token: f"Basic   {basic(token)[6:16]} {basic(token)[16:]} ",
    "Basic, without padding": lambda token: basic(token).rstrip("="),
    "basic": lambda token: basic(token).lower()[:6] + basic(token)[6:],
}


class TestToken:
    @each_row("way", WAYS)
    def test_token_is_taken_in_the_header(self, acme, way):
        response = API().get("me", Authorization=WAYS[way](acme.admin_token))

        assert response.status_code == 200
        assert response.json()["data"]["id"] == str(acme.admin.pk)

    @pytest.mark.parametrize("query", ["token={}", "auth={}", "token=token:{}", "auth=token:{}", "limit=1&auth={}"])
    def test_token_is_taken_in_the_query(self, acme, query):
        assert API().get(f"keys?{query.format(acme.admin_token)}").status_code == 200

    def test_token_in_the_header_wins_over_the_query(self, acme):
        assert_refused(API("wrong").get(f"keys?token={acme.admin_token}"), UNAUTHORIZED, INVALID)

    def test_token_in_the_query_counts_if_the_scheme_of_the_header_is_unknown(self, acme):
        response = API().get(f"keys?token={acme.admin_token}", Authorization="Digest abc")

        assert response.status_code == 200

    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent", "support-agent", "read-only", "product"])
    def test_token_speaks_for_its_bearer(self, api, acme, role):
        bearer = acme.bearer(role)

        response = api(bearer).get("me")

        assert response.json()["data"]["id"] == str(bearer.pk)
        assert response["Keygen-Bearer"] == str(bearer.pk)
        assert response["Keygen-Token"] == response.json()["included"][0]["id"]


class TestRefusal:
    @pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", 'Bearer ""', "Digest abc", "License"])
    def test_refusal_without_a_credential(self, acme, header):
        assert_refused(API().get("keys", Authorization=header), UNAUTHORIZED, MISSING)

    @pytest.mark.parametrize(
        "header",
        [
            "Bearer nonsense",
            "Bearer admin-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefv3",
            basic("nonsense"),
            basic("joe", "secret"),
            basic("token", "nonsense"),
            basic("license", ""),
            basic("", ""),
            basic("", "secret"),
            "Basic",
            "Basic x",
            "Basic !!!!",
            "Basic admin-0123456789abcdef0123456789abcdefv3",
            "Basic /////w==",
            "Bearer \u00fcn\u00ef",
        ],
    )
    def test_refusal_of_an_unknown_token(self, acme, header):
        assert_refused(API().get("keys", Authorization=header), UNAUTHORIZED, INVALID)

    @pytest.mark.parametrize("path", ["keys", "me", "users"])
    def test_refusal_of_a_token_of_another_account(self, acme, rival, path):
        assert_refused(API(rival.admin_token).get(path), UNAUTHORIZED, INVALID)

    def test_refusal_of_a_token_that_was_revoked(self, acme):
        Token.objects.all().delete()

        assert_refused(API(acme.admin_token).get("keys"), UNAUTHORIZED, INVALID)

    def test_refusal_of_an_id_in_place_of_a_token(self, acme):
        token = Token.objects.get(account=acme.account)

        for text in (str(token.pk), token.pk.hex, str(uuid4())):
            assert_refused(API(text).get("keys"), UNAUTHORIZED, UUID_SENT)

    def test_refusal_of_a_token_that_has_expired(self, acme):
        _, text = Token.generate(acme.admin, expiry=timezone.now() - timedelta(seconds=1))

        assert_refused(API(text).get("keys"), UNAUTHORIZED, EXPIRED)

    def test_refusal_of_a_banned_user(self, api, joe):
        joes = api(joe)
        joe.ban()

        assert_refused(joes.get("me"), FORBIDDEN, USER_BANNED)

    def test_refusal_ends_when_the_ban_does(self, api, joe):
        joe.ban()
        joe.unban()

        assert api(joe).get("me").status_code == 200

    @pytest.mark.parametrize(
        ("header", "scheme"),
        [
            ("", "Bearer"),
            ("Bearer x", "Bearer"),
            ("token x", "Token"),
            (basic("x"), "Basic"),
            ("LICENSE x", "License"),
            ("Negotiate x", "Bearer"),
        ],
    )
    def test_refusal_asks_for_the_scheme_that_was_used(self, acme, header, scheme):
        response = API().get("keys", Authorization=header)

        assert response.status_code == 401
        assert response["WWW-Authenticate"] == f'{scheme} realm="keygen"'

    @each_row(
        "headers",
        [
            {"Sec-Fetch-Mode": "cors"},
            {"Sec-Fetch-Mode": "same-origin", "Origin": "http://testserver"},
            {"Origin": "https://shop.example.com"},
            {"X-Requested-With": "XMLHttpRequest"},
        ],
    )
    def test_refusal_of_a_script_lets_no_browser_ask_for_a_password(self, acme, headers):
        refused = [API().get("keys", Authorization=text, **headers) for text in (basic("x"), "License x")]

        assert [response["WWW-Authenticate"] for response in refused] == [
            'Bearer realm="keygen"',
            'License realm="keygen"',
        ]

    def test_refusal_of_a_visitor_lets_the_browser_ask(self, acme):
        response = API().get("keys", Authorization=basic("x"), **{"Sec-Fetch-Mode": "navigate"})

        assert response["WWW-Authenticate"] == 'Basic realm="keygen"'

    @pytest.mark.parametrize(
        ("method", "path", "raw", "reason"),
        [
            ("get", "keys", b"a\0b:", "an unexpected null byte"),
            ("post", "tokens", b"caf\xe9@acme.test:x", "an invalid byte sequence"),
        ],
    )
    def test_refusal_of_basic_that_is_no_text(self, acme, method, path, raw, reason):
        header = "Basic " + base64.b64encode(raw).decode()

        error = bad_request(
            f"The request could not be completed because it contains {reason} (check encoding)", code="ENCODING_INVALID"
        )
        assert_refused(API().request(method.upper(), path, Authorization=header), BAD, error)

    def test_refusal_of_an_email_that_is_no_text_where_no_email_is_taken(self, acme):
        header = "Basic " + base64.b64encode(b"caf\xe9@acme.test:x").decode()

        assert_refused(API().get("keys", Authorization=header), UNAUTHORIZED, INVALID)

    def test_refusal_of_a_bad_credential_where_none_is_needed(self, acme):
        assert_refused(API("wrong").post("users", {}), UNAUTHORIZED, INVALID)

    def test_a_forgotten_password_is_asked_for_with_any_credential(self, api, acme, joe):
        _, expired = Token.generate(joe, expiry=timezone.now() - timedelta(seconds=1))
        document = {"meta": {"email": joe.email}}
        reset = {"meta": {"passwordResetToken": make_reset_token(joe), "newPassword": "another password"}}

        for client in (API("wrong"), API(expired), api(joe)):
            response = client.post("passwords", document)

            assert response.status_code == 204
            assert not {"Keygen-Bearer", "Keygen-Token"} & response.headers.keys()
        assert API(expired).post(f"users/{joe.pk}/actions/reset-password", reset).status_code == 200

    @pytest.mark.parametrize("version", ["1.8", "1.3"])
    def test_refusal_names_a_token_that_is_known(self, acme, joe, version):
        policy = make_policy(acme.product, "By key", authentication_strategy="LICENSE")
        license = make_license(policy, "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3")
        header = "Keygen-Token-Id" if version == "1.3" else "Keygen-Token"
        expired, of_license, of_banned = (
            Token.generate(joe, expiry=timezone.now() - timedelta(seconds=1)),
            Token.generate(license),
            Token.generate(joe),
        )

        assert API(expired[1]).get("me", Keygen_Version=version)[header] == str(expired[0].pk)
        assert API(of_license[1]).get("me", Keygen_Version=version)[header] == str(of_license[0].pk)
        joe.ban()
        assert API(of_banned[1]).get("me", Keygen_Version=version)[header] == str(of_banned[0].pk)
        assert header not in API("wrong").get("me", Keygen_Version=version)


class TestOrder:
    @pytest.mark.parametrize("version", ["9.9", "", " "])
    def test_the_version_comes_first(self, acme, version):
        response = API("wrong", account="nowhere").get("keys", Keygen_Version=version)

        assert response.json()["errors"][0]["code"] == "INVALID_API_VERSION"
        assert not {"Keygen-Account", "Keygen-Signature"} & response.headers.keys()

    def test_order_then_an_unknown_account(self, acme):
        response = API("wrong", account="nowhere").get("keys", Keygen_Environment="sandbox")

        assert_refused(response, NOT_FOUND, not_found("account", "nowhere"))

    def test_order_then_whether_the_account_is_active(self, acme):
        acme.account.status = "PAUSED"
        acme.account.save()

        response = API("wrong").post("keys", {})

        inactive = {
            "title": "Account does not have an active subscription",
            "detail": "must have an active subscription to access this resource",
        }
        assert_refused(response, FORBIDDEN, inactive)

    def test_order_then_the_credential_and_then_the_rest(self, acme):
        response = API("wrong").post("keys", {"nonsense": 1})

        assert_refused(response, UNAUTHORIZED, INVALID)


class TestLicenseKey:
    @pytest.fixture
    def license(self, acme, joe):
        policy = make_policy(acme.product, "By key", authentication_strategy="LICENSE")
        return make_license(policy, "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3", owner=joe)

    @pytest.mark.parametrize(
        "header",
        [
            lambda key: f"License {key}",
            lambda key: f"license {key}",
            lambda key: basic("license", key),
        ],
        ids=["License", "license", "Basic"],
    )
    def test_license_key_is_taken_in_the_header(self, license, header):
        response = API().get("profile", Authorization=header(license.key))

        assert response.json()["data"]["id"] == str(license.pk)
        assert response.json()["meta"] == {"tokenId": None}
        assert response["Keygen-Bearer"] == str(license.pk)
        assert "Keygen-Token" not in response

    @pytest.mark.parametrize("name", ["auth", "token"])
    def test_license_key_is_taken_in_the_query(self, license, name):
        response = API().get(f"me?{name}=license:{quote(license.key)}")

        assert response.json()["data"]["id"] == str(license.pk)
        assert "included" not in response.json()

    @pytest.mark.parametrize("strategy", ["LICENSE", "MIXED"])
    def test_license_key_is_taken_where_the_policy_allows_it(self, license, strategy):
        license.policy.authentication_strategy = strategy
        license.policy.save()

        assert API().get("me", Authorization=f"License {license.key}").status_code == 200

    @pytest.mark.parametrize("strategy", ["TOKEN", "SESSION", "NONE"])
    def test_license_key_is_refused_where_the_policy_does_not(self, license, strategy):
        license.policy.authentication_strategy = strategy
        license.policy.save()

        response = API().get("me", Authorization=f"License {license.key}")

        error = denied("LICENSE_NOT_ALLOWED", "License key authentication is not allowed by policy", ABOUT_LICENSES)
        assert_refused(response, FORBIDDEN, error)

    @each_row(
        ("key", "sent"),
        [
            ("SCHLÜSSEL\xa0Å à", "SCHLÜSSEL\xa0Å à".encode().decode("latin-1")),  # UTF-8, as curl sends it
            ("SCHLÜSSEL\xa0Å à", "SCHLÜSSEL\xa0Å à"),  # Latin-1, as fetch() does
            ("ключ → 🔑", "ключ → 🔑".encode().decode("latin-1")),
        ],
    )
    def test_license_key_may_have_any_characters(self, license, key, sent):
        make_license(license.policy, key)

        assert API().get("me", Authorization=f"License {sent}").status_code == 200

    @pytest.mark.parametrize("key", ["nonsense", "c1b6de-39a6e3-de1529-8559a0-4af593-v3"])
    def test_license_key_has_to_be_known(self, license, key):
        response = API().get("me", Authorization=f"License {key}")

        assert_refused(response, UNAUTHORIZED, LICENSE_INVALID)
        assert response["WWW-Authenticate"] == 'License realm="keygen"'

    def test_license_key_has_to_be_of_the_account(self, license, rival):
        response = API(account="rival").get("me", Authorization=f"License {license.key}")

        assert_refused(response, UNAUTHORIZED, LICENSE_INVALID)

    @pytest.mark.parametrize(
        ("fields", "banned", "error"),
        [
            ({"suspended": True}, False, denied("LICENSE_SUSPENDED", "License is suspended")),
            ({"suspended": True}, True, denied("LICENSE_BANNED", "License is banned")),
            ({"expiry": timezone.now() - timedelta(days=1)}, False, denied("LICENSE_EXPIRED", "License is expired")),
        ],
        ids=["suspended", "banned", "expired"],
    )
    def test_license_key_is_refused_for_what_became_of_the_license(self, license, joe, fields, banned, error):
        license.policy.expiration_strategy = "REVOKE_ACCESS"
        license.policy.save()
        for name, value in fields.items():
            setattr(license, name, value)
        license.save()
        if banned:
            joe.ban()

        assert_refused(API().get("me", Authorization=f"License {license.key}"), FORBIDDEN, error)

    def test_license_key_of_an_expired_license_is_taken_unless_that_revokes_access(self, license):
        license.expiry = timezone.now() - timedelta(days=1)
        license.save()

        assert API().get("me", Authorization=f"License {license.key}").status_code == 200


class TestLicenseToken:
    @pytest.mark.parametrize("strategy", ["TOKEN", "MIXED"])
    @pytest.mark.parametrize("fields", [{}, {"suspended": True}, {"expiry": timezone.now() - timedelta(days=1)}])
    def test_license_token_is_taken_also_of_a_suspended_or_expired_license(self, acme, strategy, fields):
        policy = make_policy(acme.product, "By token", authentication_strategy=strategy)
        license = make_license(policy, **fields)

        assert API(token_of(license)).get("me").json()["data"]["id"] == str(license.pk)

    @pytest.mark.parametrize("strategy", ["LICENSE", "SESSION", "NONE"])
    def test_license_token_is_refused_where_the_policy_does_not_allow_it(self, acme, strategy):
        license = make_license(make_policy(acme.product, "Other", authentication_strategy=strategy))

        response = API(token_of(license)).get("me")

        error = denied("TOKEN_NOT_ALLOWED", "Token authentication is not allowed by policy", ABOUT_TOKENS)
        assert_refused(response, FORBIDDEN, error)

    def test_license_token_is_refused_when_the_owner_is_banned(self, held_license, joe):
        text = token_of(held_license)
        joe.ban()

        assert_refused(API(text).get("me"), FORBIDDEN, USER_BANNED)


@pytest.mark.parametrize("role", ["admin", "read-only", "product", "user"])
def test_credential_costs_one_statement(api, acme, role, django_assert_num_queries):
    asking = api(acme.bearer(role))
    asking.get("me")

    with django_assert_num_queries(2):  # the token with its account; the bearer's row
        asking.get("me")
