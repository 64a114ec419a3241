"""Account, version, and the headers of every response (contract: platform 1.2, 3)."""

from uuid import UUID

import pytest

from accounts.models import Account
from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.operations import File
from tests.cast import add_keys
from tests.errors import DOCS, assert_refused, not_found, unauthorized
from tests.tenant_rows import Belongings, request_of
from tests.test_bodies import WRITES, contents

CANCELED = {
    "title": "Account does not have an active subscription",
    "detail": "must have an active subscription to access this resource",
}


class TestAccount:
    def test_account_in_the_url_is_named_by_slug_or_id(self, api, acme):
        for name in ("acme", str(acme.account.pk), str(acme.account.pk).upper(), acme.account.pk.hex):
            assert api(acme.admin, name).get("keys").status_code == 200

    @pytest.mark.parametrize("name", ["ACME", "unknown", "6e936a61-94ad-44d1-88ac-88da9f10eca7", "%20"])
    def test_account_in_the_url_is_not_found(self, api, acme, name):
        response = api(acme.admin, name).get("keys")

        error = not_found("account", name)
        if name == "%20":
            error["detail"] = "The requested account was not found"
        assert_refused(response, 404, error)

    def test_account_in_the_url_has_to_be_named(self, api, acme):
        error = {"title": "Not found", "detail": "account is required", "code": "NOT_FOUND"}

        assert_refused(api(acme.admin).get("/v1/keys"), 404, error)

    @pytest.mark.parametrize("status", [Account.Status.PAUSED, Account.Status.CANCELED])
    def test_account_in_the_url_that_is_not_active_is_refused_before_anything_else(self, api, acme, status):
        acme.account.status = status
        acme.account.save_changes("status")

        for speaker in (api(acme.admin), api(), api("nonsense")):
            assert_refused(speaker.get("keys"), 403, CANCELED)
            assert_refused(speaker.post("keys"), 403, CANCELED)

    def test_account_in_the_url_links_name_it_by_id_and_pages_as_it_was_named(self, api, acme):
        add_keys(acme.policy, "KEY-0001")

        document = api(acme.admin).get("keys?page[size]=1").json()

        assert document["data"][0]["links"]["self"].startswith(f"/v1/accounts/{acme.account.pk}/keys/")
        assert document["links"]["self"].startswith("/v1/accounts/acme/keys?")


class TestTheOnlyAccount:
    @pytest.fixture(autouse=True)
    def only_acme(self, acme, settings):
        settings.ACCOUNT = "acme"

    def test_only_account_needs_no_name(self, api, acme):
        add_keys(acme.policy, "KEY-0001")

        response = api(acme.admin).get("/v1/keys?page[size]=1")

        assert (response.status_code, len(response.json()["data"])) == (200, 1)
        assert response.json()["links"]["self"].startswith("/v1/keys?")
        assert response["Keygen-Mode"] == "singleplayer"

    def test_only_account_may_be_named(self, api, acme):
        assert api(acme.admin).get("keys").status_code == 200
        assert api(acme.admin, str(acme.account.pk)).get("keys").status_code == 200

    def test_only_account_hides_all_others(self, api, rival):
        assert_refused(api(rival.admin, "rival").get("keys"), 404, not_found("account", "rival"))

    def test_only_account_may_be_set_by_its_id(self, api, acme, settings):
        settings.ACCOUNT = str(acme.account.pk)

        assert api(acme.admin).get("/v1/keys").status_code == 200


class TestVersion:
    @pytest.mark.parametrize(("asked", "answered"), [("1.0", "1.0"), ("v1.7", "1.7"), ("1.8", "1.8"), (" 1.3 ", "1.3")])
    def test_version_is_the_one_asked_for(self, api, acme, asked, answered):
        assert api(acme.admin).get("keys", Keygen_Version=asked)["Keygen-Version"] == answered

    def test_version_is_the_accounts_unless_asked_for(self, api, acme):
        acme.account.api_version = "1.5"
        acme.account.save_changes("api_version")

        assert api(acme.admin).get("keys")["Keygen-Version"] == "1.5"
        assert api(acme.admin).get("keys", Keygen_Version="1.6")["Keygen-Version"] == "1.6"

    @pytest.mark.parametrize("version", ["2.0", "1.9", "1", "latest", "v", "", "  "])
    def test_version_that_does_not_exist_is_refused(self, api, acme, version):
        error = {
            "title": "Bad request",
            "detail": "unsupported API version requested",
            "code": "INVALID_API_VERSION",
            "links": {"about": f"{DOCS}/versioning/"},
        }

        response = api(acme.admin).get("keys", Keygen_Version=version)

        assert_refused(response, 400, error)

    @pytest.mark.parametrize(
        "path", ["nothing", "/v1", "/v1/nothing", "/v2/keys", "/nothing.json", "ping", "/v1/health"]
    )
    @pytest.mark.parametrize(("asked", "answered"), [({}, "1.8"), ({"Keygen_Version": "1.3"}, "1.3")])
    def test_version_is_named_where_no_viewset_answers(self, api, acme, path, asked, answered):
        response = api(acme.admin).get(path, **asked)

        assert (response["Keygen-Version"], response["Keygen-Edition"]) == (answered, "CE")


def test_an_environment_is_not_supported(api, acme):
    error = {
        "title": "Bad request",
        "detail": "is unsupported",
        "code": "ENVIRONMENT_NOT_SUPPORTED",
        "source": {"header": "Keygen-Environment"},
    }

    assert_refused(api(acme.admin).get("keys", Keygen_Environment="test"), 400, error)


def test_an_environment_is_refused_everywhere_before_anything_happens(api, acme):
    """A client that thinks that it works in a sandbox does not change real data."""
    error = {
        "title": "Bad request",
        "detail": "is unsupported",
        "code": "ENVIRONMENT_NOT_SUPPORTED",
        "source": {"parameter": "environment"},
    }
    own = Belongings(acme.account, acme.product, "acme")
    speaker, before = api(acme.admin), contents()

    wrong = []
    for endpoint in list_endpoints():
        if not endpoint.action or endpoint.path == "/v1/accounts":
            continue
        path, document, media_type = request_of(endpoint, "acme", own)
        answers = [
            speaker.request(endpoint.method, f"{path}?{query}", document, media_type)
            for query in ("environment=sandbox", "environment", "environment[id]=x")
        ]
        if endpoint.method in WRITES and not isinstance(endpoint.operation.takes, File):
            answers += [
                speaker.request(endpoint.method, path, {name: "sandbox", **(document or {})})
                for name in ("environment", "Environment")
            ]
        wrong += [
            (endpoint.method, endpoint.path, answer.status_code)
            for answer in answers
            if answer.status_code != 400 or answer.json()["errors"] != [error]
        ]

    assert not wrong
    assert contents() == before


class TestHeaders:
    def test_headers_say_who_and_whose(self, api, acme):
        response = api(acme.admin).get("keys")

        assert response["Keygen-Account"] == str(acme.account.pk)
        assert response["Keygen-Bearer"] == str(acme.admin.pk)
        assert response["Keygen-Token"] == str(acme.admin.tokens.order_by("-id").first().pk)
        assert (response["Keygen-Edition"], response["Keygen-Mode"]) == ("CE", "multiplayer")
        assert response["Cache-Control"] == "no-transform, no-store, max-age=0"
        assert UUID(response["X-Request-Id"]).version == 7

    @pytest.mark.parametrize("version", ["1.0", "1.3"])
    def test_had_other_names_once(self, api, acme, version):
        response = api(acme.admin).get("keys", Keygen_Version=version)

        assert response["Keygen-Account-Id"] == str(acme.account.pk)
        assert response["Keygen-Bearer-Id"] == str(acme.admin.pk)
        assert "Keygen-Account" not in response

    def test_headers_without_a_credential_name_no_bearer(self, api, acme):
        response = api().get("keys")

        assert_refused(response, 401, unauthorized("TOKEN_MISSING", about="authentication/"))
        assert response["Keygen-Account"] == str(acme.account.pk)
        assert "Keygen-Bearer" not in response
        assert response["WWW-Authenticate"] == 'Bearer realm="keygen"'

    def test_headers_of_two_requests_have_two_ids(self, api, acme):
        ids = {api(acme.admin).get("keys", X_Request_Id="mine")["X-Request-Id"] for _ in range(2)}

        assert len(ids) == 2
        assert "mine" not in ids
