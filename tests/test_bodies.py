"""A request that changes data reads its body first: invalid JSON is 400 and changes nothing."""

from urllib.parse import urlencode

import pytest
from django.apps import apps
from django.db import transaction

from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.operations import File
from tests.conftest import JSON_API
from tests.errors import BAD, assert_refused, bad_request
from tests.pools.documents import key_object
from tests.tenant_rows import Belongings, request_of

WRITES = {"POST", "PUT", "PATCH", "DELETE"}
JSON_INVALID = bad_request(
    "The request could not be completed because it contains invalid JSON (check formatting/encoding)",
    code="JSON_INVALID",
)
MIME_TYPE_INVALID = bad_request(
    "The mime type of the request is not acceptable (check content-type and accept headers)", code="MIME_TYPE_INVALID"
)
FORM = urlencode({"data[type]": "keys"}).encode()
PARTS = b'--x\r\nContent-Disposition: form-data; name="data"\r\n\r\n{}\r\n--x--\r\n'
# Media type and body, and the error.
BROKEN = [
    (JSON_API, b"{nonsense", JSON_INVALID),
    ("application/json", b"{", JSON_INVALID),
    ("application/vnd.keygen+json; charset=utf-8", b'{"data": {}} {}', JSON_INVALID),
    ("", b"{nonsense", JSON_INVALID),
    ("text/plain", b"undefined", JSON_INVALID),
    ("application/x-www-form-urlencoded", FORM, JSON_INVALID),
    ("multipart/form-data; boundary=x", PARTS, JSON_INVALID),
    (JSON_API, b'{"data": "\xff"}', JSON_INVALID),
    (JSON_API, b"\0", JSON_INVALID),
    ("nonsense", b"{}", MIME_TYPE_INVALID),
    ("application/", b"{nonsense", MIME_TYPE_INVALID),
]


def contents():
    """All rows of all tables of ours."""
    return {
        model._meta.label: sorted(map(str, model.objects.values_list()))
        for model in apps.get_models()
        if model._meta.app_label in ("accounts", "keygen_site", "licensing", "pools")
    }


def writing_endpoints():
    """Every endpoint that may change something, but those whose body is a file."""
    return [
        endpoint
        for endpoint in list_endpoints()
        if endpoint.method in WRITES and not isinstance(endpoint.view.operations[endpoint.action].takes, File)
    ]


@pytest.fixture
def own(acme):
    return Belongings(acme.account, acme.product, "acme")


def test_a_broken_body_is_refused_everywhere_and_changes_nothing(acme, api, own):
    speaker = api(acme.admin)
    before = contents()

    wrong = []
    for endpoint in writing_endpoints():
        path, *_ = request_of(endpoint, "acme", own)
        with transaction.atomic():
            for media_type, body, error in BROKEN:
                response = speaker.request(endpoint.method, path, body, media_type)
                if response.status_code != BAD or response.json()["errors"] != [error]:
                    wrong.append((endpoint.method, endpoint.path, media_type, body, response.status_code))
            if contents() != before:
                wrong.append((endpoint.method, endpoint.path, "changed something"))
            transaction.set_rollback(True)

    assert not wrong
    assert {endpoint.method for endpoint in writing_endpoints()} == WRITES


class TestBodyOfADelete:
    def test_body_of_a_delete_of_a_pool_is_refused_before_a_key_is_taken(self, acme, api, own):
        path = f"policies/{own.id_of('policy')}/pool"

        for once in ({}, {"Idempotency_Key": "the-order"}):
            assert_refused(api(acme.admin).delete(path, b"{nonsense", **once), BAD, JSON_INVALID, early=True)

        response = api(acme.admin).delete(path, Idempotency_Key="the-order")
        assert response.json()["data"] == key_object(own.rows["key"])

    # keygen-api ignores a document that it can read, and a body of a type that is not JSON (contract: keys 1.2).
    @pytest.mark.parametrize(
        ("media_type", "body"),
        [
            (JSON_API, b""),
            ("", b""),
            ("application/x-www-form-urlencoded", b""),
            (JSON_API, b'{"data": {"type": "policies"}}'),
            (JSON_API, b"[1]"),
            ("application/xml", b"<x/>"),
        ],
    )
    def test_body_of_a_delete_that_is_ignored(self, acme, api, own, media_type, body):
        path = f"policies/{own.id_of('policy')}/pool"

        response = api(acme.admin).request("DELETE", path, body, media_type)

        assert (response.status_code, response.json()["data"]) == (200, key_object(own.rows["key"]))


def test_the_body_of_a_get_is_not_read(acme, api, own):
    response = api(acme.admin).request("GET", f"policies/{own.id_of('policy')}/pool", b"{nonsense")

    assert response.status_code == 200
