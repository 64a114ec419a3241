"""Media types: Accept, Content-Type, and bodies (contract: platform 2)."""

import pytest

from pools.models import Key
from tests.cast import add_keys, numbered
from tests.conftest import JSON_API
from tests.errors import ENDPOINT_NOT_FOUND, assert_refused, bad_request
from tests.pools.documents import key_document
from tests.tables import each_row

JSON = "application/json"
MIME_TYPE = bad_request(
    "The mime type of the request is not acceptable (check content-type and accept headers)", code="MIME_TYPE_INVALID"
)
INVALID_JSON = bad_request(
    "The request could not be completed because it contains invalid JSON (check formatting/encoding)",
    code="JSON_INVALID",
)
NULL_BYTE = bad_request(
    "The request could not be completed because it contains an unexpected null byte (check encoding)",
    code="ENCODING_INVALID",
)
BYTES = bad_request(
    "The request could not be completed because it contains an invalid byte sequence (check encoding)",
    code="ENCODING_INVALID",
)


class TestAccept:
    @each_row(
        ("accept", "media_type"),
        [
            ("", JSON_API),
            ("*/*", JSON_API),
            ("*", JSON_API),
            ("application/*", JSON_API),
            ("application/vnd.api+json", JSON_API),
            ("application/vnd.keygen+json", JSON_API),
            ("application/octet-stream", JSON_API),
            ("application/json", JSON),
            ("APPLICATION/JSON; charset=utf-8", JSON),
            ("application/json, application/vnd.api+json", JSON),
            ("application/json;q=0.5, application/vnd.api+json", JSON_API),
            ("application/vnd.api+json;q=0.1, application/json;q=0.2", JSON),
            ("*/*; q=0.5, application/xml", JSON_API),
            ("text/html, application/json", JSON),
        ],
    )
    def test_accept_header_chooses(self, api, acme, accept, media_type):
        response = api(acme.admin).get("keys", Accept=accept)

        assert (response.status_code, response["Content-Type"]) == (200, f"{media_type}; charset=utf-8")
        assert response.json() == {"data": []}

    def test_charset_of_the_body_is_not_that_of_the_query(self, api, acme):
        add_keys(acme.policy, *numbered(2))

        response = api(acme.admin).get("keys?limit=1", CONTENT_TYPE="application/json; charset=utf-16")

        assert len(response.json()["data"]) == 1

    @pytest.mark.parametrize(
        "accept", ["application/xml", "text/html", "text/plain", "json", "application/json;q=0", ","]
    )
    def test_accept_header_refuses_invalid_input(self, api, acme, accept):
        response = api(acme.admin).get("keys", Accept=accept)

        assert_refused(response, 400, MIME_TYPE, early=True)
        assert response["Content-Type"] == f"{JSON_API}; charset=utf-8"

    @pytest.mark.parametrize(("suffix", "media_type"), [(".json", JSON), (".jsonapi", JSON_API)])
    def test_accept_header_may_be_said_by_the_address(self, api, acme, suffix, media_type):
        assert api(acme.admin).get(f"keys{suffix}")["Content-Type"] == f"{media_type}; charset=utf-8"

    def test_accept_header_holds_for_errors_too(self, api, acme):
        for path in ("keys/nothing", "nothing"):
            assert api(acme.admin).get(path, Accept=JSON)["Content-Type"] == f"{JSON}; charset=utf-8"


class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/vnd.api+json",
            "application/vnd.keygen+json",
            "application/json",
            "application/json; charset=utf-8",
            "Application/JSON",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "text/plain",
            "",
        ],
    )
    def test_content_type_is_read_as_json(self, api, acme, content_type):
        response = api(acme.admin).post("keys", key_document(acme.policy), content_type=content_type)

        assert response.status_code == 201

    def test_content_type_of_another_kind_is_not_read(self, api, acme):
        response = api(acme.admin).post("keys", key_document(acme.policy), content_type="application/xml")

        assert_refused(response, 400, bad_request("is missing", "/data"))

    @pytest.mark.parametrize("content_type", ["vnd.api+json", "application", "application/", "a b/c"])
    def test_content_type_that_is_none_is_refused(self, api, acme, content_type):
        response = api(acme.admin).post("keys", key_document(acme.policy), content_type=content_type)

        assert_refused(response, 400, MIME_TYPE, early=True)


class TestBody:
    @each_row(
        "body",
        [
            b"{",
            b"{'data': {}}",
            b"{data: {}}",
            b'{"data": {}} trailing',
            b'{"data": {}, }',
            b'/* comment */ {"data": {}}',
            rb'{"da\ta": "\x0d"}',
            rb'{"data": "\ud800"}',
            b'{"data": "caf\xe9"}',
            b'{"data": NaN}',
            b'{"data": Infinity}',
            b"\xef\xbb\xbf",
            b"[" * 100_000,
            b'{"data":' * 5_000,
        ],
    )
    def test_body_that_is_no_json_is_refused_before_all_else(self, api, body):
        response = api().post("/v1/accounts/nobody/keys", body)

        assert_refused(response, 400, INVALID_JSON, early=True)

    @each_row(
        ("body", "detail", "pointer"),
        [
            (b"", "is missing", "/data"),
            (b"  \n", "is missing", "/data"),
            (b"{}", "is missing", "/data"),
            (b'{"data": null}', "cannot be null", "/data"),
            (b"null", "cannot be null", "/data"),
            (b'{"data": []}', "type mismatch (received array expected object)", "/data"),
            (b"[]", "type mismatch (received array expected object)", "/data"),
            (b'"text"', "type mismatch (received string expected object)", "/data"),
            (b"1", "type mismatch (received integer expected object)", "/data"),
            (b'{"data": {}}', "is missing", "/data/type"),
            (b'{"data": {"type": null}}', "cannot be null", "/data/type"),
            (b'{"data": {"type": 1}}', "type mismatch (received integer expected string)", "/data/type"),
            (b'{"data": {"type": ""}}', "cannot be blank", "/data/type"),
            (b'{"meta": {}, "data": {"foo": 1}}', "unpermitted parameter", "/meta"),
            (b'{"data": {"foo_bar": 1}, "meta": {}}', "unpermitted parameter", "/data/fooBar"),
            (b'{"data": {"type": "keys", "attributes": {"' + b"9" * 5_000 + b'": 1}}}', "unpermitted parameter", None),
            (b'{"data": {"type": "keys", "attributes": {"key": ' + b"9" * 5_000 + b"}}}", None, None),
        ],
    )
    def test_body_of_the_wrong_shape_is_refused(self, api, acme, body, detail, pointer):
        response = api(acme.admin).post("keys", body)

        assert response.status_code == 400
        error = response.json()["errors"][0]
        if detail:
            assert error["detail"] == detail
        if pointer:
            assert_refused(response, 400, bad_request(detail, pointer))

    def test_body_may_hold_no_nul(self, api, acme):
        assert_refused(api(acme.admin).post("keys", key_document(acme.policy, "KEY\0-0001")), 400, NULL_BYTE)
        assert not Key.objects.exists()

    @pytest.mark.parametrize("name", ["attributes", "Attributes", "ATTRIBUTES"])
    def test_body_names_are_compared_in_snake_case(self, api, acme, name):
        document = key_document(acme.policy)
        document["data"][name] = document["data"].pop("attributes")

        assert api(acme.admin).post("keys", document).status_code == 201


class TestAddress:
    @pytest.mark.parametrize("path", ["keys?policy=%ff", "keys/%ff", "%c3%28"])
    def test_url_of_invalid_bytes_is_refused(self, api, acme, path):
        assert_refused(api(acme.admin).get(path), 400, BYTES, early=True)

    @pytest.mark.parametrize("path", ["keys?policy=%00", "keys/%00"])
    def test_url_with_a_nul_is_refused(self, api, acme, path):
        assert_refused(api(acme.admin).get(path), 400, NULL_BYTE, early=True)

    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "nothing"),
            ("GET", "keys/1/2/3"),
            ("PUT", "keys"),
            ("PATCH", "keys"),
            ("DELETE", "keys"),
            ("POST", "keys/1"),
            ("OPTIONS", "keys"),
            ("TRACE", "keys"),
            ("PROPFIND", "keys"),
            ("GET", "/v1/nothing"),
            ("GET", "/v2/accounts/acme/keys"),
        ],
    )
    def test_url_that_leads_nowhere(self, api, acme, method, path):
        assert_refused(api(acme.admin).request(method, path), 404, ENDPOINT_NOT_FOUND, early=True)

    def test_url_may_end_with_a_slash(self, api, acme):
        assert api(acme.admin).get("keys/").status_code == 200

    def test_head_is_get_without_a_body(self, api, acme):
        response = api(acme.admin).request("HEAD", "keys")

        assert (response.status_code, response.content) == (200, b"")
