"""POST /products (contract: keys 8)."""

from itertools import count

import pytest

from licensing.models import Product
from tests.cast import make_product
from tests.errors import BAD, UNPROCESSABLE, assert_refused, bad_request, unprocessable
from tests.licensing.documents import product_document, product_object
from tests.tables import each_row

LONG = "x" * 256
TOO_LONG = "is too long (maximum is 255 characters)"
ATTRIBUTES = "/data/attributes"
PROTOCOL = "must be a valid URL using one of the following protocols: https, http"
HOST = "must be a URL with a valid host"


def refusal(attribute, detail, code):
    return unprocessable("products", detail, code, f"{ATTRIBUTES}/{attribute}")


class TestCreate:
    def test_creating_a_product_answers_with_the_product(self, acme, api):
        response = api(acme.admin).post("products", product_document(name="Satellite"))

        product = Product.objects.latest("id")
        assert (response.status_code, response.json()) == (201, {"data": product_object(product, name="Satellite")})
        assert response["Location"] == f"http://testserver/v1/accounts/{acme.account.pk}/products/{product.pk}"

    @each_row(
        "attributes",
        [
            {"code": "rocket"},
            {"code": "Rocket 2.0/ä"},
            {"distributionStrategy": "OPEN"},
            {"distributionStrategy": "CLOSED"},
            {"url": "https://example.com"},
            {"url": "http://sub.example.museum:8080/path?query=1#fragment"},
            {"url": "HTTPS://user:pass@EXAMPLE.com:99999/%E2%9C%93?q=(~*')@/?#/?"},
            {"url": "https://my_host.example.com:/"},
            {"url": "https://exam%70le..com?x"},
            {"url": "https://.com"},
            {"platforms": []},
            {"platforms": ["macos", "linux"]},
            {"metadata": {}},
            {"metadata": {"externalId": 1}},
        ],
    )
    def test_creating_a_product_keeps_what_was_sent(self, acme, api, attributes):
        response = api(acme.admin).post("products", product_document(**attributes))

        product = Product.objects.latest("id")
        assert (response.status_code, response.json()["data"]) == (201, product_object(product, **attributes))

    @pytest.mark.parametrize("name", ["code", "distributionStrategy", "url", "platforms", "metadata"])
    def test_creating_a_product_takes_null_for_nothing_said(self, acme, api, name):
        response = api(acme.admin).post("products", product_document(**{name: None}))

        assert (response.status_code, response.json()["data"]) == (201, product_object(Product.objects.latest("id")))

    def test_creating_a_product_accepts_singular_type_other_spellings_and_no_relationships(self, acme, api):
        document = {
            "data": {
                "type": "product",
                "attributes": {"name": "Rocket", "distribution_strategy": "OPEN"},
                "relationships": {},
            }
        }

        response = api(acme.admin).post("products", document)

        assert response.status_code == 201
        assert response.json()["data"]["attributes"]["distributionStrategy"] == "OPEN"

    @pytest.mark.parametrize(
        ("document", "detail", "pointer"),
        [
            (None, "is missing", "/data"),
            ({"data": {"type": "products"}}, "is missing", ATTRIBUTES),
            ({"data": {"type": "policies", "attributes": {"name": "x"}}}, "is invalid", "/data/type"),
            ({"data": {"type": "products", "attributes": {}}}, "is missing", f"{ATTRIBUTES}/name"),
            ({"data": {**product_document()["data"], "id": "x"}}, "unpermitted parameter", "/data/id"),
            (
                {"data": {**product_document()["data"], "relationships": {"environment": {}}}},
                "unpermitted parameter",
                "/data/relationships/environment",
            ),
        ],
    )
    def test_creating_a_product_refuses_a_wrong_document(self, acme, api, document, detail, pointer):
        response = api(acme.admin).post("products", document)

        assert_refused(response, BAD, bad_request(detail, pointer))

    @each_row(
        ("attributes", "detail", "pointer"),
        [
            ({"name": None}, "cannot be null", "name"),
            ({"name": ""}, "cannot be blank", "name"),
            ({"name": " "}, "cannot be blank", "name"),
            ({"name": 1}, "type mismatch (received integer expected string)", "name"),
            ({"code": ""}, "cannot be blank", "code"),
            ({"code": 1}, "type mismatch (received integer expected string)", "code"),
            ({"distributionStrategy": ""}, "cannot be blank", "distributionStrategy"),
            ({"url": ""}, "cannot be blank", "url"),
            ({"url": []}, "type mismatch (received array expected string)", "url"),
            ({"platforms": "linux"}, "type mismatch (received string expected array)", "platforms"),
            ({"platforms": ["linux", 1]}, "type mismatch (received integer expected string)", "platforms/1"),
            ({"platforms": [None]}, "cannot be null", "platforms/0"),
            ({"platforms": [""]}, "cannot be blank", "platforms/0"),
            ({"metadata": []}, "type mismatch (received array expected object)", "metadata"),
            ({"permissions": ["product.read"]}, "unpermitted parameter", "permissions"),
            ({"created": "2020-01-01T00:00:00Z"}, "unpermitted parameter", "created"),
        ],
    )
    def test_creating_a_product_refuses_a_wrong_attribute(self, acme, api, attributes, detail, pointer):
        response = api(acme.admin).post("products", product_document(**attributes))

        assert_refused(response, BAD, bad_request(detail, f"{ATTRIBUTES}/{pointer}"))

    @each_row(
        ("attributes", "errors"),
        [
            ({"name": LONG}, [("name", TOO_LONG, "NAME_TOO_LONG")]),
            ({"code": LONG}, [("code", TOO_LONG, "CODE_TOO_LONG")]),
            ({"code": "action"}, [("code", "is reserved", "CODE_NOT_ALLOWED")]),
            ({"code": "actions"}, [("code", "is reserved", "CODE_NOT_ALLOWED")]),
            ({"code": "a" * 32}, [("code", "is invalid", "CODE_INVALID")]),
            ({"code": "0189CC80-2B5B-7C0E-9E6E-111111111111"}, [("code", "is invalid", "CODE_INVALID")]),
            (
                {"distributionStrategy": "FREE"},
                [
                    (
                        "distributionStrategy",
                        "unsupported distribution strategy",
                        "DISTRIBUTION_STRATEGY_NOT_ALLOWED",
                    )
                ],
            ),
            ({"url": f"https://example.com/{LONG}"}, [("url", TOO_LONG, "URL_TOO_LONG")]),
            ({"url": "ftp://example.com"}, [("url", PROTOCOL, "URL_PROTOCOL_INVALID")]),
            ({"url": "http://localhost"}, [("url", HOST, "URL_HOST_INVALID")]),
            ({"url": "http://127.0.0.1"}, [("url", HOST, "URL_HOST_INVALID")]),
            ({"url": "http://example.x"}, [("url", HOST, "URL_HOST_INVALID")]),
            (
                {"url": "file:///boom.sh"},
                [("url", PROTOCOL, "URL_PROTOCOL_INVALID"), ("url", HOST, "URL_HOST_INVALID")],
            ),
            (
                {"url": "/var/www/index.html"},
                [("url", PROTOCOL, "URL_PROTOCOL_INVALID"), ("url", HOST, "URL_HOST_INVALID")],
            ),
            *(
                ({"url": url}, [("url", HOST, "URL_HOST_INVALID")])
                for url in (
                    *("https://", "https:///x", "https:example.com", "https://[::1]/", "https://example.com.", "http:"),
                    *("https://example.c0m", "https://xn--p1ai.xn--p1ai", "https://user@:80/", "https://2130706433/"),
                )
            ),
            *(
                ({"url": url}, [("url", PROTOCOL, "URL_PROTOCOL_INVALID"), ("url", HOST, "URL_HOST_INVALID")])
                for url in ("example.com", "javascript:alert(1)", "mailto:a@example.com", "?", "#", "//")
            ),
            *(
                ({"url": url}, [("url", "must be a valid URL", "URL_INVALID")])
                for url in (
                    *(
                        "https://example.com/<x>",
                        "https://example.com/{x}",
                        "https://example.com/|",
                        "https://a.com/[x]",
                    ),
                    *("https://example.com/%zz", "https://example.com/%", "https://example.com/a#b#c", "1http://a.com"),
                    *("https://example.com:80:80/", "https://a@b@example.com", 'https://example.com/"', "https://[x]/"),
                    *(
                        "https://example.com/\\",
                        "https://example.com/`",
                        "https://example.com/^",
                        " https://example.com",
                    ),
                )
            ),
            ({"url": "http://["}, [("url", "must be a valid URL", "URL_INVALID")]),
            ({"url": "http://example.com:port"}, [("url", "must be a valid URL", "URL_INVALID")]),
            ({"url": "http://exa\nmple.com"}, [("url", "must be a valid URL", "URL_INVALID")]),
            (
                {"platforms": ["linux"] * 101},
                [("platforms", "is too long (maximum is 100 items)", "PLATFORMS_TOO_LONG")],
            ),
            (
                {"platforms": [LONG]},
                [
                    (
                        "platforms",
                        "has an item that is too long (maximum is 255 characters)",
                        "PLATFORMS_TOO_LONG",
                    )
                ],
            ),
            (
                {"name": LONG, "code": "action"},
                [("code", "is reserved", "CODE_NOT_ALLOWED"), ("name", TOO_LONG, "NAME_TOO_LONG")],
            ),
            (
                {"url": f"ftp://localhost/{LONG}", "distributionStrategy": "FREE", "name": LONG},
                [
                    ("name", TOO_LONG, "NAME_TOO_LONG"),
                    ("url", PROTOCOL, "URL_PROTOCOL_INVALID"),
                    ("url", HOST, "URL_HOST_INVALID"),
                    ("url", TOO_LONG, "URL_TOO_LONG"),
                    (
                        "distributionStrategy",
                        "unsupported distribution strategy",
                        "DISTRIBUTION_STRATEGY_NOT_ALLOWED",
                    ),
                ],
            ),
            ({"url": "https://bücher.example"}, [("url", "must be a valid URL", "URL_INVALID")]),
            ({"url": "https://example.com/größe"}, [("url", "must be a valid URL", "URL_INVALID")]),
        ],
    )
    def test_creating_a_product_refuses_a_value(self, acme, api, attributes, errors):
        response = api(acme.admin).post("products", product_document(**attributes))

        assert_refused(response, UNPROCESSABLE, *[refusal(*error) for error in errors])
        assert Product.objects.count() == 1


class TestCode:
    @pytest.mark.parametrize("code", ["rocket", "ROCKET", "roc\N{KELVIN SIGN}et"])
    def test_product_code_is_unique_in_an_account(self, acme, api, code):
        make_product(acme.account, code="rocket")

        response = api(acme.admin).post("products", product_document(code=code))

        assert_refused(response, UNPROCESSABLE, refusal("code", "has already been taken", "CODE_TAKEN"))

    def test_product_code_of_another_account_is_free(self, acme, rival, api):
        make_product(rival.account, code="rocket")

        assert api(acme.admin).post("products", product_document(code="rocket")).status_code == 201

    def test_taken_in_the_meantime_is_answered_like_taken_before(self, acme, api, monkeypatch):
        make_product(acme.account, code="rocket")
        look, looks = Product._code_errors, count()
        # The first look comes too early.
        monkeypatch.setattr(Product, "_code_errors", lambda product: look(product) if next(looks) else [])

        response = api(acme.admin).post("products", product_document(code="rocket"))

        assert_refused(response, UNPROCESSABLE, refusal("code", "has already been taken", "CODE_TAKEN"))
