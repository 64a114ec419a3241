"""Names in metadata: stored as they were sent, shown in camelCase, found in every spelling (contract: README)."""

import pytest
from django.utils.datastructures import MultiValueDict

from keygen_site.db.metadata import filter_metadata
from keygen_site.jsonapi.text import metadata_name
from licensing.models import License, Product
from tests.cast import make_license
from tests.licensing.documents import product_document

# A name as it was sent, and as responses show it.
SHOWN = {
    "camelCase": "camelCase",
    "snake_case": "snakeCase",
    "kebab-case": "kebabCase",
    "PascalCase": "pascalCase",
    "UPPER": "upper",
    "UPPER_CASE": "upperCase",
    "with space": "withSpace",
    "With Blank": "withBlank",
    "with.dot": "withDot",
    "with/slash": "withSlash",
    "with:colon": "withColon",
    "a-b_c d.e": "aBCDE",
    "HTTPServer": "httpServer",
    "userID": "userId",
    "XMLHttpRequest": "xmlHttpRequest",
    "iPhone": "iPhone",
    "ID": "id",
    "_leading": "leading",
    "trailing_": "trailing",
    "double__under": "doubleUnder",
    "-dash": "dash",
    "1st": "1st",
    "version2Name": "version2Name",
    "order_2": "order2",
}
# Names that would lose something.
KEPT = [
    "$dollar",
    "@at",
    "a=b&c",
    "<b>",
    '"',
    "é",
    "größe",
    "Größe",
    "日本",
    "emoji😀",
    "",
    " ",
    "_",
    "line\nbreak",
    "tab\t",
]


def shown_metadata(client, row, version="1.8"):
    response = client.get(f"{row.JSONAPIMeta.resource_name}/{row.pk}", Keygen_Version=version)
    return response.json()["data"]["attributes"]["metadata"]


def test_names_are_shown_in_camel_case(acme, api):
    sent = {**dict.fromkeys(SHOWN, 1), **dict.fromkeys(KEPT, 2)}

    for document in ({"metadata": sent}, {"metadata": {"nested": sent}}, {"metadata": {"list": [sent]}}):
        response = api(acme.admin).post("products", product_document(name="Widget", **document))
        product = Product.objects.get(pk=response.json()["data"]["id"])
        metadata = response.json()["data"]["attributes"]["metadata"]
        names = metadata.get("nested") or metadata.get("list", [metadata])[0]

        assert names == {**dict.fromkeys(SHOWN.values(), 1), **dict.fromkeys(KEPT, 2)}
        assert product.metadata == document["metadata"]
        assert shown_metadata(api(acme.admin), product) == metadata


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"user_id": 1, "userId": 2}, {"userId": 2}),
        ({"userId": 1, "user_id": 2}, {"userId": 2}),
        ({"user-id": 1, "userId": 2}, {"user-id": 1, "userId": 2}),
        ({"a": 1, "A": 2}, {"a": 1, "A": 2}),
        ({"in": {"user_id": 1, "userId": 2}}, {"in": {"userId": 2}}),
        ({"in": [{"foo bar": 1, "foo-bar": 2}]}, {"in": [{"foo bar": 1, "foo-bar": 2}]}),
    ],
)
def test_no_member_gets_lost_to_another_spelling(acme, api, sent, shown):
    response = api(acme.admin).post("products", product_document(name="Widget", metadata=sent))
    product = Product.objects.get(pk=response.json()["data"]["id"])

    assert response.json()["data"]["attributes"]["metadata"] == shown
    assert shown_metadata(api(acme.admin), product) == shown


def test_names_in_nested_metadata_are_in_snake_case_up_to_version_1_4(acme, api):
    license = make_license(acme.unpooled, metadata={"userID": {"HTTPServer": 1, "with space": 2, "$größe": 3}})

    assert shown_metadata(api(acme.admin), license, "1.4") == {
        "userId": {"http_server": 1, "with_space": 2, "$größe": 3}
    }


def test_filter_finds_a_name_in_every_spelling(acme):
    """The comparison in SQL is that of `metadata_name`, for every pair of names."""
    names = [*SHOWN, *SHOWN.values(), *(name for name in KEPT if name)]
    for name in names:
        make_license(acme.unpooled, metadata={name: "x"})

    wrong = []
    for name in names:
        if set(name) & set("[]&="):
            continue
        found = filter_metadata(License.objects.all(), MultiValueDict({f"metadata[{name}]": ["x"]}))
        stored = {next(iter(metadata)) for metadata in found.values_list("metadata", flat=True)}
        expected = {other for other in names if metadata_name(other) == metadata_name(name)}
        if stored != expected:
            wrong.append((name, stored ^ expected))

    assert not wrong


def test_large_integers_come_back_whole(acme, api):
    sent = {"huge": 12345678901234567890123456789, "big": 2**53 + 1, "negative": -(10**40), "half": 0.5}
    license = make_license(acme.unpooled, metadata=sent)

    assert shown_metadata(api(acme.admin), license) == sent
