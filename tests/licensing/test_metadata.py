"""`metadata` of products and policies: its valid values, which are returned unchanged (contract: keys 0.3)."""

import pytest

from tests.errors import BAD, UNPROCESSABLE, assert_refused, bad_request, unprocessable
from tests.licensing.documents import document, policy_document, product_document
from tests.tables import each_row

POINTER = "/data/attributes/metadata"
TOO_DEEP = "maximum depth of 2 exceeded"


@pytest.fixture(params=["products", "policies"])
def create(request, acme, api):
    """Posts a product or a policy with this metadata."""
    admin, path = api(acme.admin), request.param

    def post(metadata):
        if path == "products":
            return admin.post(path, product_document(metadata=metadata))
        return admin.post(path, policy_document(acme.product, metadata=metadata))

    post.path = path
    return post


@each_row(
    ("sent", "shown"),
    [
        ({}, {}),
        ({"externalId": 1}, {"externalId": 1}),
        ({"external_id": 1}, {"externalId": 1}),
        ({"fooBAR": 1, "aB2c": 2}, {"fooBar": 1, "aB2c": 2}),
        ({"snake_case": {"inner_name": 1}}, {"snakeCase": {"innerName": 1}}),
        ({"camelCase": {"innerName": [1, "two", None]}}, {"camelCase": {"innerName": [1, "two", None]}}),
        ({"values": [1.5, True, None, "text", "ünï"]}, {"values": [1.5, True, None, "text", "ünï"]}),
        ({"list": [[1], [2]]}, {"list": [[1], [2]]}),
    ],
)
def test_metadata_comes_back(create, api, acme, sent, shown):
    response = create(sent)

    assert (response.status_code, response.json()["data"]["attributes"]["metadata"]) == (201, shown)
    again = api(acme.admin).get(response["Location"].removeprefix("http://testserver"))
    assert again.json()["data"]["attributes"]["metadata"] == shown


def test_sent_back_as_it_was_shown_stays_the_same(create, api, acme):
    first = create({"fooBar": {"innerName": 1}, "externalId": [2]}).json()["data"]

    changes = document(create.path, {"metadata": first["attributes"]["metadata"]})
    second = api(acme.admin).patch(f"{create.path}/{first['id']}", changes).json()["data"]

    assert second == first


def test_metadata_is_replaced_as_a_whole(create, api, acme):
    first = create({"a": 1, "b": {"c": 2}}).json()["data"]

    changes = document(create.path, {"metadata": {"b": 3}})
    second = api(acme.admin).patch(f"{create.path}/{first['id']}", changes).json()["data"]

    assert second["attributes"]["metadata"] == {"b": 3}


@pytest.mark.parametrize(
    ("metadata", "pointer"),
    [
        ({"a": {"b": {"c": {}}}}, "a/b/c"),
        ({"array": [1, [[2]]]}, "array/1/0"),
        ({"first_name": [{"last_name": []}]}, "firstName/0/lastName"),
        ({"User-Info": {"HTTPServer": {"with space": []}}}, "userInfo/httpServer/withSpace"),
        ({"UPPER": {"a.b": {"größe": {}}}}, "upper/aB/größe"),
    ],
)
def test_metadata_is_refused_too_deep(create, metadata, pointer):
    assert_refused(create(metadata), BAD, bad_request(TOO_DEEP, f"{POINTER}/{pointer}"))


@pytest.mark.parametrize(
    ("metadata", "detail"),
    [
        ({"a": "x" * 16_384}, "too large (exceeded limit of 16384 bytes)"),
        ({f"k{number}": number for number in range(65)}, "too many keys (exceeded limit of 64 keys)"),
        ({"a": {f"k{number}": number for number in range(64)}}, "too many keys (exceeded limit of 64 keys)"),
        ({f"k{number}": "x" * 300 for number in range(65)}, "too large (exceeded limit of 16384 bytes)"),
    ],
)
def test_metadata_is_refused_too_large(create, metadata, detail):
    error = unprocessable(create.path, detail, "METADATA_TOO_LONG", POINTER)

    assert_refused(create(metadata), UNPROCESSABLE, error)


@pytest.mark.parametrize("metadata", [{"a": "x" * (16_384 - 8)}, {f"k{number}": number for number in range(64)}])
def test_metadata_may_be_as_large_as_that(create, metadata):
    assert create(metadata).status_code == 201
