"""Headers that every answer has (contract: platform 3.2, 3.3, 3.5)."""

import json

import pytest

from keygen_site.jsonapi.versions import VERSIONS
from tests.conftest import API
from tests.errors import BAD, assert_refused
from tests.tables import each_row

ALWAYS = {
    "Cache-Control": "no-transform, no-store, max-age=0",
    "Content-Security-Policy": "default-src 'none'; report-uri /-/csp-reports; report-to csp-reports;",
    "Keygen-Edition": "CE",
    "Keygen-Mode": "multiplayer",
    "Keygen-Revision": "",
    "Keygen-Version": "1.8",
    "Referrer-Policy": "strict-origin-when-cross-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Permitted-Cross-Domain-Policies": "none",
    "X-XSS-Protection": "0",
}
NEVER = {"Link", "ETag", "Last-Modified", "Allow", "Retry-After", "Set-Cookie", "X-RateLimit-Limit", "Location"}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "keys", 200), ("GET", "keys/nonsense", 404), ("POST", "keys", 400), ("GET", "users?limit=0", 400)],
)
def test_headers_are_on_every_answer(acme, method, path, status):
    response = API(acme.admin_token).request(method, path)

    assert response.status_code == status
    assert {name: response[name] for name in ALWAYS} == ALWAYS
    assert not NEVER & set(response.headers)
    assert response["Keygen-Account"] == str(acme.account.pk)
    assert response["Keygen-Bearer"] == str(acme.admin.pk)
    assert response["Keygen-Token"] == str(acme.admin.tokens.get().pk)


def test_headers_name_no_bearer_without_a_credential(acme):
    response = API().get("keys")

    assert "Keygen-Account" in response
    assert not {"Keygen-Bearer", "Keygen-Token"} & set(response.headers)


def test_headers_name_the_mode_and_the_revision(acme, settings):
    settings.ACCOUNT, settings.REVISION = "acme", "4f2c1e0"

    response = API(acme.admin_token).get("/v1/keys")

    assert (response["Keygen-Mode"], response["Keygen-Revision"]) == ("singleplayer", "4f2c1e0")


def test_headers_tell_browsers_where_to_report(acme):
    response = API().get("keys")

    assert json.loads(response["Report-To"]) == {
        "group": "csp-reports",
        "max_age": 10886400,
        "endpoints": [{"url": "https://testserver/-/csp-reports"}],
    }
    assert API().post("/-/csp-reports", {"csp-report": {}}).status_code == 204


class TestVersion:
    @each_row("version", VERSIONS)
    @each_row("prefix", ["", "v"])
    def test_version_header_is_the_requests(self, acme, version, prefix):
        assert API().get("keys", Keygen_Version=prefix + version)["Keygen-Version"] == version

    def test_version_header_is_else_the_accounts(self, acme):
        acme.account.api_version = "1.5"
        acme.account.save()

        assert API().get("keys")["Keygen-Version"] == "1.5"
        assert API().get("keys", Keygen_Version="1.7")["Keygen-Version"] == "1.7"

    @pytest.mark.parametrize("version", ["1.9", "0.9", "2.0", "1", "latest", "1.8.0", "vv1.8"])
    def test_version_header_has_to_be_known(self, acme, version):
        response = API(acme.admin_token).get("keys", Keygen_Version=version)

        error = {
            "title": "Bad request",
            "detail": "unsupported API version requested",
            "code": "INVALID_API_VERSION",
            "links": {"about": "https://keygen.sh/docs/api/versioning/"},
        }
        assert_refused(response, BAD, error)
        assert "Keygen-Version" not in response

    @pytest.mark.parametrize("version", ["1.0", "1.1", "1.2", "1.3"])
    def test_version_header_decides_what_ids_are_called(self, acme, version):
        response = API(acme.admin_token).get("keys", Keygen_Version=version)

        assert response["Keygen-Account-Id"] == str(acme.account.pk)
        assert response["Keygen-Bearer-Id"] == str(acme.admin.pk)
        assert response["Keygen-Token-Id"]
        assert not {"Keygen-Account", "Keygen-Bearer", "Keygen-Token"} & set(response.headers)


class TestOtherSites:
    @pytest.mark.parametrize(
        ("path", "status"), [("keys", 200), ("nowhere", 404), ("/v1/accounts/nowhere/keys", 404), ("keys?limit=0", 400)]
    )
    def test_other_sites_may_read_every_answer(self, acme, path, status):
        response = API(acme.admin_token).get(path, Origin="https://shop.test")

        assert response.status_code == status
        assert response["Access-Control-Allow-Origin"] == "*"
        assert "keygen-signature" in response["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in response
        assert response["Vary"] == "Origin"

    def test_other_sites_may_ask_first(self, acme):
        response = API().request(
            "OPTIONS",
            "keys",
            Origin="https://shop.test",
            Access_Control_Request_Method="POST",
            Access_Control_Request_Headers="authorization, content-type",
        )

        assert (response.status_code, response.content) == (200, b"")
        assert "Content-Type" not in response
        assert response["Access-Control-Allow-Methods"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        assert response["Access-Control-Allow-Headers"] == "authorization, content-type"
        assert response["Access-Control-Max-Age"] == "86400"

    def test_other_sites_are_not_meant_where_there_is_no_other_site(self, acme):
        assert "Access-Control-Allow-Origin" not in API().get("keys")

    def test_other_sites_have_nothing_to_do_in_the_console(self, db):
        response = API().get("/admin/login/", Origin="https://shop.test")

        assert "Access-Control-Allow-Origin" not in response
