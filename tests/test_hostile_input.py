"""Hostile input never causes a 5xx, and every refusal has the contract's error document."""

import json
import string
from urllib.parse import quote

import orjson
import pytest
from django.db import transaction
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from keygen_site.jsonapi.negotiation import MAX_DOCUMENT_BYTES
from tests.conftest import API, JSON_API
from tests.errors import assert_refused, bad_request
from tests.fuzzing import CASES, ID, address, assert_answered, examples, share, world_of
from tests.pools.documents import key_document
from tests.tables import each_row

WRITES = [(method, path) for method, path in CASES if method in ("POST", "PATCH")]


@pytest.fixture
def world(acme):
    return world_of(acme)


NESTED = b"[" * 5_000 + b"]" * 5_000
BODIES = {
    "lone surrogate": rb'{"data": {"type": "keys", "attributes": {"key": "\ud800"}}}',
    "lone surrogate as a name": rb'{"data": {"\udfff": 1}}',
    "raw surrogate": b'{"data": "\xed\xa0\x80"}',
    "NUL": rb'{"data": {"type": "keys", "attributes": {"name": "\u0000", "key": "\u0000"}}, "meta": {"key": "\u0000"}}',
    "NUL as a name": rb'{"data": {"\u0000": 1}, "meta": {"\u0000": 1}}',
    "raw NUL": b'{"data": "\0"}',
    "nested arrays": NESTED,
    "nested objects": b'{"data":' * 1_000 + b"1" + b"}" * 1_000,
    "nested metadata": b'{"data": {"type": "users", "attributes": {"metadata": ' + b'{"a":' * 500 + b"1" + b"}" * 503,
    "giant integer": b'{"data": {"attributes": {"maxUses": ' + b"9" * 10_000 + b"}}}",
    "giant exponent": b'{"data": {"attributes": {"maxUses": 1e400}}, "meta": {"count": -1e308}}',
    "not a number": b'{"data": NaN}',
    "many digits": b'{"data": {"attributes": {"duration": 0.' + b"1" * 100_000 + b"}}}",
    "duplicate members": b'{"data": {"type": "keys"}, "data": [], "data": {"type": "x"}, "meta": 1, "meta": {}}',
    "duplicates by case": b'{"data": {"attributes": {"usePool": true, "use_pool": 1, "use-pool": null}}}',
    "UTF-16": '{"data": {}}'.encode("utf-16"),
    "UTF-32": '{"data": {}}'.encode("utf-32"),
    "UTF-7": '{"data": "é"}'.encode("utf-7"),
    "Latin-1": '{"data": "é"}'.encode("latin-1"),
    "byte order mark": b'\xef\xbb\xbf{"data": {}}',
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03",
    "form": b"data[type]=keys&data[attributes][key]=x",
    "multipart": b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{}\r\n--x--\r\n',
    "many members": b'{"data": {' + b",".join(b'"a%d": 1' % number for number in range(20_000)) + b"}}",
    "long name": b'{"data": {"' + b"a" * 500_000 + b'": 1}}',
    "long text": b'{"data": {"type": "' + b"a" * 900_000 + b'"}}',
    "scalar relationship": b'{"data": {"type": "keys", "relationships": {"policy": {"data": 1}, "product": 1}}}',
    "numbers for all": b'{"data": {"type": 1, "id": 1, "attributes": 1, "relationships": 1, "meta": 1, "links": 1}}',
    "lists for all": b'{"data": [[]], "meta": [], "errors": [], "included": []}',
    "true": b"true",
    "blank": b" \t\r\n",
}


class TestDocument:
    @each_row(("turn", "body"), enumerate(BODIES.values()))
    def test_document_of_every_shape_is_answered(self, api, acme, world, turn, body):
        speaker = api(acme.admin)

        for method, path in share(WRITES, turn):
            with transaction.atomic():
                response = speaker.request(method, address(path, world), body)
                transaction.set_rollback(True)
            assert_answered(response)

    def test_document_of_equal_members_counts_as_the_last_of_them(self, api, acme):
        # Contract: platform 2.3.
        document = orjson.dumps(key_document(acme.policy)).decode()
        twice = document.replace('"attributes":', '"attributes": {"key": "FIRST-0001"}, "attributes":').encode()

        response = api(acme.admin).post("keys", twice)

        assert response.json()["data"]["attributes"]["key"] == key_document(acme.policy)["data"]["attributes"]["key"]

    def test_beyond_the_limit_is_refused(self, api, acme):
        body = b'{"data": "' + b"a" * MAX_DOCUMENT_BYTES + b'"}'

        response = api(acme.admin).post("keys", body)

        error = {
            "title": "Request entity too large",
            "detail": "The body of the request is too large (maximum is 1048576 bytes)",
            "code": "BODY_TOO_LARGE",
            "links": {"about": "/docs#BODY_TOO_LARGE"},
        }
        assert_refused(response, 413, error, early=True)

    @pytest.mark.parametrize("year", ["0001", "0204", "9999"])
    def test_document_may_name_any_year(self, api, acme, year):
        moment = f"{year}-06-15T10:20:30.456Z"

        response = api(acme.admin).post("tokens", {"data": {"type": "tokens", "attributes": {"expiry": moment}}})

        assert response.json()["data"]["attributes"]["expiry"] == moment

    @pytest.mark.parametrize(
        ("moment", "kind"),
        [
            ("0001-01-01T00:00:00+14:00", "string"),
            ("9999-12-31T23:59:59-12:00", "string"),
            (1e300, "float"),
            (-1e11, "float"),
            (-(10**11), "integer"),
            (253402300800, "integer"),
        ],
    )
    def test_document_may_not_leave_the_calendar(self, api, acme, moment, kind):
        response = api(acme.admin).post("tokens", {"data": {"type": "tokens", "attributes": {"expiry": moment}}})

        assert_refused(response, 400, bad_request(f"failed to coerce {kind} to time", "/data/attributes/expiry"))


HEADERS = {
    "Idempotency-Key": ["", " ", "a b", "x" * 256, "é", "a\tb", "\x7f", "0"],
    "Keygen-Reference": ["", " ", "x" * 256, "\xff", "é", "a\tb", "\x00"],
    "Authorization": [
        *("", " ", "Bearer", "Bearer ", "Bearer  x", "bearer x", "Token x", 'Token token="x"', "License", "License "),
        *("License \xff", "Basic", "Basic ", "Basic !!!", "Basic /////w==", "Basic AA==", "Basic YTpi", "Basic Og=="),
        *(
            "Basic YUBiOmM=",
            "Basic bGljZW5zZTo=",
            "Digest x",
            "Bearer " + "x" * 10_000,
            f"Bearer {ID}",
            "\xff\xfe",
            "é x",
        ),
    ],
    "Accept": [
        "",
        "*",
        "*/*;q=x",
        "*/*;q=nan",
        "*/*;q=1e999",
        ",,,",
        "a/b" * 2_000,
        "text/html",
        "\xff",
        ";",
        "*/*;;;",
    ],
    "Content-Type": [
        "",
        "a",
        "a/b",
        "/",
        ";",
        "application/json; charset=utf-99",
        "multipart/form-data",
        "\xff/\xff",
        "a/b" * 2_000,
    ],
    "Keygen-Version": ["", "0", "1.9", "v", "vv1.8", "1.8.0", "\xff", "1" * 5_000],
    "Keygen-Accept-Signature": ["", "x", 'algorithm="x"', 'algorithm="', "\xff", 'keyid="' + "x" * 5_000 + '"'],
    "Keygen-Environment": ["", "x"],
    "Content-Encoding": ["gzip", "br"],
    "Content-Length": ["", "x", "-1"],
    "Transfer-Encoding": ["chunked", "gzip, chunked", "x"],
    "Expect": ["x"],
    "X-HTTP-Method-Override": ["DELETE", "x"],
    "X-Forwarded-For": ["x", "\xff", "1.2.3.4" * 500],
    "X-Forwarded-Proto": ["x"],
    "Cookie": ["a", "=;=", "sessionid=x; csrftoken=\xff"],
    "Origin": ["null", "x\xff"],
    "Range": ["bytes=0-0", "x"],
    "If-Modified-Since": ["x"],
    "Host": ["", "x", "evil.test", "a b", "[::1", "localhost:99999", "\xff"],
}


class TestHeaders:
    @each_row(
        ("name", "value"),
        [(name, value) for name, values in HEADERS.items() for value in values],
    )
    def test_headers_of_every_shape_is_answered(self, api, acme, world, name, value):
        token = api(acme.admin).token
        requests = [
            ("GET", "keys", None),
            ("POST", "keys", key_document(acme.policy)),
            ("DELETE", f"policies/{acme.policy.pk}/pool", None),
            ("POST", "tokens", None),
            ("POST", "licenses/actions/validate-key", {"meta": {"key": "x"}}),
            ("POST", f"policies/{acme.policy.pk}/pool/actions/import", b"KEY-000002\n"),
            ("GET", "nothing", None),
        ]

        for method, path, body in requests:
            headers = {"Authorization": f"Bearer {token}", "Content-Type": JSON_API} | {name: value}
            content_type = headers.pop("Content-Type")
            with transaction.atomic():
                response = API().request(method, f"/v1/accounts/acme/{path}", body, content_type, **headers)
                transaction.set_rollback(True)
            assert_answered(response)


TEXT = st.text(max_size=40)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
NAMES = st.sampled_from(
    ["data", "type", "id", "attributes", "relationships", "meta", "key", "name", "policy", "owner", "expiry"]
    + ["metadata", "maxUses", "duration", "count", "scope"]
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXT, inner, max_size=4), max_leaves=15
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        "data": st.fixed_dictionaries(
            {"type": st.sampled_from(["keys", "policies", "products", "licenses", "users", "tokens"]) | SCALARS},
            optional={"attributes": VALUES, "relationships": VALUES, "id": VALUES},
        ),
        "meta": VALUES,
    },
)
QUERY = st.dictionaries(
    st.sampled_from(["limit", "page[size]", "page[number]", "page[cursor]", "order", "policy", "status"]) | TEXT,
    TEXT,
    max_size=3,
)
HEADER = st.text(string.printable.replace("\r", "").replace("\n", "") + "\xe9\xff", max_size=40)


def encoded(document):
    """JSON as no polite client would write it: with lone surrogates, NaN and numbers of any size."""
    return json.dumps(document).encode()


@given(
    case=st.sampled_from(CASES),
    identifier=st.none() | TEXT,
    query=QUERY,
    document=DOCUMENTS | VALUES,
    # The test client cannot send a body that is shorter than its Content-Length.
    headers=st.dictionaries(
        st.sampled_from(sorted(HEADERS.keys() - {"Content-Type", "Content-Length"})), HEADER, max_size=2
    ),
)
@example(case=("GET", "/v1/accounts/{account}/licenses/{id}"), identifier="\ud7ff", query={}, document=None, headers={})
@settings(
    max_examples=examples(1_000),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_nothing_that_is_made_up_breaks_it(case, identifier, query, document, headers, acme, api, world):
    method, path = case
    parts = {} if identifier is None else {"id": identifier}
    pairs = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    headers.setdefault("Authorization", f"Bearer {acme.admin_token}")

    with transaction.atomic():
        response = API().request(method, f"{address(path, world, **parts)}?{pairs}", encoded(document), **headers)
        transaction.set_rollback(True)

    assert_answered(response)
