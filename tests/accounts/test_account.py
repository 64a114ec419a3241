"""The account itself, and whom a credential speaks for (contract: platform 1.3, 7)."""

import base64

import pytest

from accounts.models import Account, User
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic
from tests.conftest import API
from tests.errors import (
    BAD,
    ENDPOINT_NOT_FOUND,
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

ROLES = ["admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user"]
HAS = {
    "settings": "settings",
    "webhookEndpoints": "webhook-endpoints",
    "webhookEvents": "webhook-events",
    **{
        name: name
        for name in [
            "products",
            "platforms",
            "arches",
            "channels",
            "releases",
            "artifacts",
            "policies",
            "users",
            "keys",
            "licenses",
            "machines",
            "components",
            "processes",
            "tokens",
        ]
    },
}


def account_document(**attributes):
    return {"data": {"type": "accounts", "attributes": attributes}}


def of_bearer(acme, held_license, role):
    return held_license if role == "license" else acme.bearer(role)


class TestShow:
    @pytest.mark.parametrize("role", ROLES)
    def test_showing_an_account_is_for_permitted_roles(self, api, acme, held_license, role):
        response = api(of_bearer(acme, held_license, role)).get("/v1/accounts/acme")

        if role in ("license", "user"):
            assert_refused(response, FORBIDDEN, lacks_permission(role))
        else:
            assert response.json()["data"]["id"] == str(acme.account.pk)

    def test_showing_an_account_shows_the_account_and_its_public_keys(self, acme):
        data = API(acme.admin_token).get("/v1/accounts/acme/").json()["data"]

        path, moment = f"/v1/accounts/{acme.account.pk}", data["attributes"]["created"]
        assert (data["id"], data["type"], data["links"]) == (str(acme.account.pk), "accounts", {"self": path})
        assert data["attributes"] == {
            "name": "Acme",
            "slug": "acme",
            "apiVersion": "1.8",
            "status": "SUBSCRIBED",
            "protected": True,
            "created": moment,
            "updated": moment,
        }
        assert data["relationships"] == {
            name: {"links": {"related": f"{path}/{address}"}} for name, address in HAS.items()
        }
        keys = data["meta"]["keys"]
        assert data["meta"]["publicKey"] == keys["rsa2048"]
        texts = {kind: base64.b64decode(text).decode() for kind, text in keys.items()}
        assert len(bytes.fromhex(texts["ed25519"])) == 32
        for kind in ("rsa2048", "ecdsa"):
            assert texts[kind].startswith("-----BEGIN PUBLIC KEY-----\n")

    def test_showing_an_account_is_not_for_bearers_of_another_account(self, acme, rival):
        invalid = unauthorized("TOKEN_INVALID", about="authentication/#token-authentication")
        assert_refused(API(rival.admin_token).get("/v1/accounts/acme"), UNAUTHORIZED, invalid)

    def test_showing_an_account_knows_no_other_name(self, acme):
        response = API(acme.admin_token).get("/v1/accounts/ACME")

        assert_refused(response, NOT_FOUND, not_found("account", "ACME"))

    @pytest.mark.parametrize("status", ["PAUSED", "CANCELED"])
    def test_showing_an_account_works_while_the_account_is_not_active(self, acme, status):
        acme.account.status = status
        acme.account.save()

        response = API(acme.admin_token).get("/v1/accounts/acme")

        assert response.json()["data"]["attributes"]["status"] == status


class TestUpdate:
    @each_row("role", ROLES)
    @each_row("method", ["patch", "put"])
    def test_changing_an_account_is_for_permitted_roles(self, api, acme, held_license, method, role):
        asking = api(of_bearer(acme, held_license, role))

        # Errors in a document are only reported to bearers who may send one.
        response = getattr(asking, method)("/v1/accounts/acme", {})

        if role in ("admin", "developer"):
            assert_refused(response, BAD, bad_request("is missing", "/data"))
        elif role in ("sales-agent", "support-agent"):
            assert_refused(response, FORBIDDEN, forbidden())
        else:
            assert_refused(response, FORBIDDEN, lacks_permission(role))

    def test_changing_an_account_changes_the_account(self, acme):
        document = account_document(name="Rockets", slug="rockets", protected=False, apiVersion="1.3")

        response = API(acme.admin_token).patch("/v1/accounts/acme", document)

        attributes = response.json()["data"]["attributes"]
        assert [attributes[name] for name in ("name", "slug", "protected", "apiVersion")] == [
            "Rockets",
            "rockets",
            False,
            "1.3",
        ]
        assert API(acme.admin_token, account="rockets").get("keys")["Keygen-Version"] == "1.3"

    @pytest.mark.parametrize(
        ("attributes", "error"),
        [
            ({"apiVersion": "1.9"}, bad_request("is invalid", "/data/attributes/apiVersion")),
            ({"status": "CANCELED"}, bad_request("unpermitted parameter", "/data/attributes/status")),
            ({"slug": ""}, bad_request("cannot be blank", "/data/attributes/slug")),
            (
                {"protected": "yes"},
                bad_request("type mismatch (received string expected boolean)", "/data/attributes/protected"),
            ),
        ],
    )
    def test_changing_an_account_looks_at_the_document(self, acme, attributes, error):
        assert_refused(API(acme.admin_token).patch("/v1/accounts/acme", account_document(**attributes)), BAD, error)

    @pytest.mark.parametrize(
        ("name", "value", "detail", "code"),
        [
            (
                "slug",
                "Acme Inc",
                "can only contain lowercase letters, numbers and dashes (but cannot start with dash)",
                "SLUG_INVALID",
            ),
            ("slug", "actions", "is reserved", "SLUG_NOT_ALLOWED"),
            ("slug", "01a208a6-c29c-7411-a5e2-cf6ed62a82f5", "cannot resemble a UUID", "SLUG_NOT_ALLOWED"),
            ("slug", "rival", "has already been taken", "SLUG_TAKEN"),
            ("slug", "s" * 256, "is too long (maximum is 255 characters)", "SLUG_TOO_LONG"),
            ("name", "n" * 256, "is too long (maximum is 255 characters)", "NAME_TOO_LONG"),
        ],
    )
    def test_changing_an_account_refuses_invalid_input(self, acme, rival, name, value, detail, code):
        response = API(acme.admin_token).patch("/v1/accounts/acme", account_document(**{name: value}))

        error = unprocessable("accounts", detail, code, f"/data/attributes/{name}")
        assert_refused(response, UNPROCESSABLE, error)


@pytest.mark.parametrize("role", ROLES)
def test_no_role_deletes_an_account(api, acme, held_license, role):
    response = api(of_bearer(acme, held_license, role)).delete("/v1/accounts/acme")

    assert_refused(response, FORBIDDEN, forbidden())
    assert Account.objects.filter(slug="acme").exists()


class TestMe:
    @each_row("role", ROLES)
    @each_row("status", ["SUBSCRIBED", "CANCELED"])
    def test_me_is_the_bearer(self, api, acme, held_license, role, status):
        bearer = of_bearer(acme, held_license, role)
        acme.account.status = status
        acme.account.save()

        me, profile = api(bearer).get("me"), api(bearer).get("profile/")

        assert (me.status_code, profile.status_code) == (200, 200)
        assert me.json()["data"] == profile.json()["data"]
        assert me.json()["data"]["type"] == bearer.JSONAPIMeta.resource_name
        assert [shown["type"] for shown in me.json()["included"]] == ["tokens"]
        assert profile.json()["meta"] == {"tokenId": profile["Keygen-Token"]}

    @pytest.mark.parametrize("path", ["me", "profile"])
    def test_me_without_a_credential_is_unauthorized(self, acme, path):
        assert_refused(API().get(path), UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


def new_account(*admins, **attributes):
    data = {
        "type": "accounts",
        "attributes": attributes,
        "relationships": {"admins": {"data": [{"type": "user", "attributes": admin} for admin in admins]}},
    }
    return {"data": data}


ANN = {"email": "ann@rockets.example.com", "password": PASSWORD}


class TestSignUp:
    @pytest.fixture(autouse=True)
    def open_server(self, settings, db):
        settings.SIGN_UP = True

    def test_sign_up_makes_an_account_with_admins_who_can_sign_in(self):
        bob = {"email": "bob@rockets.example.com", "firstName": "Bob", "role": "admin"}

        response = API().post(
            "/v1/accounts", new_account(ANN, bob, name="Rockets", slug="rockets"), Keygen_Version="1.6"
        )

        data = response.json()["data"]
        assert response.status_code == 201
        assert response["Location"] == f"http://testserver/v1/accounts/{data['id']}"
        assert [data["attributes"][name] for name in ("name", "slug", "protected", "apiVersion")] == [
            "Rockets",
            "rockets",
            False,
            "1.6",
        ]
        assert set(User.objects.values_list("email", "role")) == {(ANN["email"], "admin"), (bob["email"], "admin")}
        token = API(account="rockets").post("tokens", Authorization=basic(ANN["email"], PASSWORD))
        assert token.status_code == 201

    def test_sign_up_takes_a_plan_and_a_credential_for_nothing(self):
        document = new_account(ANN)
        plan = {"data": {"type": "plans", "id": "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"}}
        document["data"]["relationships"]["plan"] = plan

        assert API("nonsense").post("/v1/accounts/", document).status_code == 201

    @pytest.mark.parametrize(
        ("email", "name", "slug"),
        [
            ("ann@keygen.sh", "keygen.sh", "keygen-sh"),
            ("zeke.gabrielse@gmail.com", "zeke.gabrielse", "zeke-gabrielse"),
            ("foo_bar@outlook.com", "foo_bar", "foo-bar"),
        ],
    )
    def test_sign_up_finds_a_name(self, email, name, slug):
        attributes = API().post("/v1/accounts", new_account({"email": email})).json()["data"]["attributes"]

        assert (attributes["name"], attributes["slug"]) == (name, slug)

    def test_sign_up_finds_another_name_where_that_is_taken(self):
        for _ in range(2):
            response = API().post("/v1/accounts", new_account(ANN))

        assert response.json()["data"]["attributes"]["slug"].startswith("rockets-example-com-")

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({}, bad_request("is missing", "/data")),
            ({"data": {"type": "accounts"}}, bad_request("is missing", "/data/relationships")),
            (new_account(), bad_request("cannot be blank", "/data/relationships/admins/data")),
            (
                new_account({}),
                bad_request("is missing", "/data/relationships/admins/data/0/attributes/email"),
            ),
            (
                new_account(ANN, {**ANN, "role": "user"}),
                bad_request("is invalid", "/data/relationships/admins/data/1/attributes/role"),
            ),
        ],
    )
    def test_sign_up_looks_at_the_document(self, document, error):
        assert_refused(API().post("/v1/accounts", document), BAD, error)

    @pytest.mark.parametrize(
        ("admin", "code"),
        [
            ({**ANN, "email": "nonsense"}, "ADMINS_EMAIL_INVALID"),
            ({**ANN, "password": "12345"}, "ADMINS_PASSWORD_TOO_SHORT"),
        ],
    )
    def test_sign_up_makes_no_account_without_good_admins(self, admin, code):
        response = API().post("/v1/accounts", new_account(ANN | {"email": "bob@acme.test"}, admin))

        assert response.status_code == 422
        assert [error["code"] for error in response.json()["errors"]] == [code]
        assert not Account.objects.exists()

    def test_sign_up_names_the_errors_of_each_admin(self):
        admins = [{**ANN, "email": "nonsense"}, ANN, {**ANN, "email": "bob@rockets", "password": "12345"}]

        errors = API().post("/v1/accounts", new_account(*admins)).json()["errors"]

        at = "/data/relationships/admins/data"
        assert [(error["code"], error["source"]["pointer"]) for error in errors] == [
            ("ADMINS_EMAIL_INVALID", f"{at}/0/attributes/email"),
            ("ADMINS_EMAIL_INVALID", f"{at}/2/attributes/email"),
            ("ADMINS_PASSWORD_TOO_SHORT", f"{at}/2/attributes/password"),
        ]
        assert not Account.objects.exists()

    @pytest.mark.parametrize("setting", [{"SIGN_UP": False}, {"ACCOUNT": "acme"}])
    def test_sign_up_is_for_servers_that_are_open(self, settings, setting):
        for name, value in setting.items():
            setattr(settings, name, value)

        assert_refused(API().post("/v1/accounts", new_account(ANN)), NOT_FOUND, ENDPOINT_NOT_FOUND, early=True)
