"""Media types: Accept, Content-Type, and bodies (contract: platform 2)."""

import json

import pytest
from django.test import Client

from keygen_site.jsonapi.negotiation import JSON_NAMES
from pools.models import Key
from tests.cast import add_keys, numbered
from tests.conftest import API, JSON_API
from tests.errors import ENDPOINT_NOT_FOUND, assert_refused, bad_request, not_found, unprocessable
from tests.licensing.documents import policy_document, product_document
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
PARAMETERS = bad_request(
    "The request could not be completed because it contains invalid query parameters (check encoding)",
    code="PARAMETERS_INVALID",
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
            ("application/*", JSON),
            ("text/*", JSON),
            ("application/vnd.api+json", JSON_API),
            ("application/vnd.keygen+json", JSON_API),
            ("application/octet-stream", JSON_API),
            ("application/json", JSON),
            *((name, JSON) for name in JSON_NAMES),
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

    @pytest.mark.parametrize(
        ("accept", "status"),
        [
            ("", 200),
            ("*", 200),
            ("text/html, image/*;q=0.1,", 200),
            ("x/y", 200),
            ("nonsense", 400),
            ("text/html;,a", 400),
        ],
    )
    def test_accept_header_of_a_ping_has_media_types(self, db, accept, status):
        for path in ("/v1/ping", "/v1/accounts/any/ping", "/v1/health"):
            response = API().get(path, Accept=accept)

            assert response.status_code == (204 if (status, path) == (200, "/v1/health") else status)
            if status == 400:
                assert_refused(response, 400, MIME_TYPE, early=True)

    def test_accept_header_of_an_account_is_not_that_of_a_file(self, api, acme):
        admin, path = api(acme.admin), f"/v1/accounts/{acme.account.pk}"

        assert_refused(admin.get(path, Accept="application/octet-stream"), 400, MIME_TYPE, early=True)
        assert admin.get(f"{path}/me", Accept="application/octet-stream").status_code == 200

    @pytest.mark.parametrize(("suffix", "media_type"), [(".json", JSON), (".jsonapi", JSON_API)])
    @pytest.mark.parametrize("accept", ["", "*/*"])
    def test_suffix_of_the_address_counts_where_accept_does_not(self, api, acme, suffix, media_type, accept):
        for path in ("keys", "me", f"tokens/{acme.admin.tokens.get().pk}", f"/v1/accounts/{acme.account.pk}"):
            response = api(acme.admin).get(f"{path}{suffix}", Accept=accept)

            assert (response.status_code, response["Content-Type"]) == (200, f"{media_type}; charset=utf-8")

    @pytest.mark.parametrize("suffix", [".json", ".jsonapi"])
    @pytest.mark.parametrize("accept", [JSON, JSON_API])
    def test_suffix_of_the_address_does_not_count_against_accept(self, api, acme, suffix, accept):
        assert api(acme.admin).get(f"keys{suffix}", Accept=accept)["Content-Type"] == f"{accept}; charset=utf-8"

    @pytest.mark.parametrize("suffix", [".xml", ".html", ".JSON", ".x"])
    def test_suffix_of_the_address_is_a_known_one(self, api, acme, suffix):
        for path in ("keys", "me", f"tokens/{acme.admin.tokens.get().pk}", f"policies/{acme.policy.pk}/pool"):
            response = api(acme.admin).get(path + suffix)

            assert_refused(response, 400, MIME_TYPE, early=True)
            assert "Keygen-Version" not in response

    def test_suffix_follows_anything_where_only_ids_name_a_resource(self, api, acme):
        admin, nested = api(acme.admin), f"policies/{acme.policy.pk}/pool"

        for path, noun in [("keys", "key"), ("policies", "policy"), ("tokens", "token"), (nested, "key")]:
            assert_refused(admin.get(f"{path}/none.json"), 404, not_found(noun, "none"))
            assert_refused(admin.get(f"{path}/none.xml"), 400, MIME_TYPE, early=True)

    def test_suffix_of_an_email_is_part_of_it(self, api, acme):
        assert_refused(
            api(acme.admin).get(f"users/{acme.admin.pk}.json"), 404, not_found("user", f"{acme.admin.pk}.json")
        )

    def test_accept_header_holds_for_errors_too(self, api, acme):
        for path in ("keys/nothing", "nothing"):
            assert api(acme.admin).get(path, Accept=JSON)["Content-Type"] == f"{JSON}; charset=utf-8"


class TestContentType:
    @pytest.mark.parametrize(
        "content_type",
        [
            "application/vnd.api+json",
            "application/vnd.keygen+json",
            *JSON_NAMES,
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

    @each_row(
        ("method", "path"),
        [
            ("DELETE", "policies/{policy}/pool"),
            ("DELETE", "policies/{policy}"),
            ("POST", "tokens"),
            ("POST", "products/{product}/tokens"),
            ("PUT", "tokens"),
            ("PATCH", "products/{product}"),
        ],
    )
    def test_content_type_that_is_none_is_refused_without_a_body_too(self, api, acme, method, path):
        add_keys(acme.policy, *numbered(1))
        path = path.format(policy=acme.policy.pk, product=acme.product.pk)

        response = api(acme.admin).request(method, path, Content_Type="nonsense")

        assert_refused(response, 400, MIME_TYPE, early=True)
        assert Key.objects.available().count() == 1


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
        response = api().post("/v1/accounts/unknown/keys", body)

        assert_refused(response, 400, INVALID_JSON, early=True)

    @each_row(
        ("body", "detail", "pointer"),
        [
            (b"", "is missing", "/data"),
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


class TestJSON:
    @pytest.mark.parametrize("character", [*map(chr, range(1, 32)), "\x7f", "\u2028"])
    def test_a_string_may_have_unescaped_control_characters(self, api, acme, character):
        body = f'{{"data":{{"type":"products","attributes":{{"name":"a{character}b \\" c"}}}}}}'.encode()

        response = api(acme.admin).post("products", body)

        assert response.json()["data"]["attributes"]["name"] == f'a{character}b " c'

    @pytest.mark.parametrize(
        "text", ['"a\0b"', '"a\\\nb"', '"a', '"\\x"', '"\\ud800"', "NaN", "1e400", "01", "/**/1", "9" * 400]
    )
    def test_all_else_is_strict(self, api, acme, text):
        body = f'{{"data":{{"type":"products","attributes":{{"name":{text}}}}}}}'.encode()

        assert_refused(api(acme.admin).post("products", body), 400, INVALID_JSON, early=True)

    @pytest.mark.parametrize("number", [2**31, 2**63, 2**64, 10**30])
    def test_an_integer_of_any_size_is_compared_with_its_limit(self, api, acme, number):
        document = json.dumps(policy_document(acme.product, maxUses=number)).encode()

        error = unprocessable(
            "policies", "must be less than or equal to 2147483647", "MAX_USES_INVALID", "/data/attributes/maxUses"
        )
        assert_refused(api(acme.admin).post("policies", document), 422, error)

    @pytest.mark.parametrize("names", [("distributionStrategy", "distribution_strategy"), ("Name", "name")])
    @pytest.mark.parametrize("first", [0, 1])
    def test_of_two_spellings_that_in_snake_case_gives_way(self, api, acme, names, first):
        ordered = names if first == 0 else names[::-1]
        values = {names[0]: "OPEN", names[1]: "CLOSED"}
        document = product_document(**{"code": "x"}, **{name: values[name] for name in ordered})

        shown = api(acme.admin).post("products", document).json()["data"]["attributes"]

        assert "OPEN" in (shown["distributionStrategy"], shown["name"])


class TestAddress:
    @pytest.mark.parametrize("path", ["keys?policy=%ff", "keys?%ff=1", "keys?a=%E2%82", "keys?a=%", "nothing?a=%zz"])
    def test_query_that_cannot_be_decoded_is_refused(self, api, acme, path):
        assert_refused(api(acme.admin).get(path), 400, PARAMETERS, early=True)

    @pytest.mark.parametrize("path", ["keys/%ff", "%c3%28"])
    def test_url_of_invalid_bytes_is_refused(self, api, acme, path):
        assert_refused(api(acme.admin).get(path), 400, BYTES, early=True)

    @pytest.mark.parametrize("path", ["keys?policy=%00", "/%00", "/v1/accounts/a%00b/keys"])
    def test_url_with_a_nul_is_refused(self, api, acme, path):
        assert_refused(api(acme.admin).get(path), 400, NULL_BYTE, early="accounts" not in path)

    @pytest.mark.parametrize("path", ["keys/%00", "users/a%00b", "licenses/%00", "products/%00/tokens"])
    def test_identifier_with_a_nul_is_refused_to_a_bearer(self, api, acme, path):
        response = api(acme.admin).get(path)

        assert_refused(response, 400, NULL_BYTE)
        assert {"Keygen-Bearer", "Keygen-Signature"} <= response.headers.keys()

    @pytest.mark.parametrize(("path", "noun"), [("products/%20", "product"), ("keys/%20%20", "key")])
    def test_identifier_that_is_blank_is_not_named(self, api, acme, path, noun):
        error = {"title": "Not found", "detail": f"The requested {noun} was not found", "code": "NOT_FOUND"}

        assert_refused(api(acme.admin).get(path), 404, error)

    @pytest.mark.parametrize(
        "path", ["//v1/accounts/acme/keys", "/v1//accounts/acme//keys//", "///v1/accounts/acme/keys"]
    )
    def test_doubled_slashes_count_as_one(self, api, acme, path):
        target = {"PATH_INFO": path, "RAW_URI": path}

        for environ in ({"PATH_INFO": path}, target):
            response = Client().get("/", headers={"Authorization": f"Bearer {acme.admin_token}"}, **environ)

            assert (response.status_code, response.json()) == (200, {"data": []})

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
