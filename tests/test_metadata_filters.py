"""`metadata[…]` in the lists of licenses and users (contract: licenses 5.2): which rows each query finds."""

import pytest

from tests.cast import make_license

ROWS = {
    "plain": {"plan": "pro", "seats": 5, "on": True, "nothing": None, "ratio": 1.5, "customerId": "c-1"},
    "texts": {"plan": "Pro", "seats": "5", "on": "true", "nothing": "null", "ratio": "1.5", "customer_id": "c-2"},
    "nested": {"owner": {"first_name": "Ann", "age": 41, "vip": True}, "tags": ["a", "b", 3], "matrix": [["a"]]},
    "camel": {"owner": {"firstName": "Ann", "address": {"zipCode": "10115"}}, "tags": "a", "0": "zero"},
    "odd": {"größe": {"maß": "XL"}, 'a"b': {'c"d': "x"}, "list": {"0": "zero"}, "owner": '{"first_name": "Ann"}'},
    "arrays": {"tags": ["b", "a", "a"], "owner": ["Ann"], "deep": {"tags": ["x", "y"]}, "list": ["zero"]},
    "blank": {"owner": {"first_name": ""}, "tags": [""], "text": ""},
    "empty": {},
}
EVERYTHING, NOTHING = set(ROWS), set()
FOUND = [
    # One name.
    ("metadata[plan]=pro", {"plain"}),
    ("metadata[plan]=pr", NOTHING),
    ("metadata[plan]=p_o", NOTHING),
    ("metadata[plan]=%25", NOTHING),
    ("metadata[seats]=5", {"plain", "texts"}),
    ("metadata[seats]=5.0", {"plain"}),
    ("metadata[on]=true", {"plain", "texts"}),
    ("metadata[on]=1", NOTHING),
    ("metadata[nothing]=null", {"plain", "texts"}),
    ("metadata[ratio]=1.50", {"plain"}),
    ("metadata[customer_id]=c-1", {"plain"}),
    ("metadata[customerId]=c-2", {"texts"}),
    ("metadata[CustomerId]=c-1", {"plain"}),
    ("metadata[customer-id]=c-1", {"plain"}),
    ("metadata[customerid]=c-1", NOTHING),
    ("metadata[unknown]=null", NOTHING),
    ("metadata[0]=zero", {"camel"}),
    ("metadata[tags]=a", {"camel"}),
    ("metadata[owner]=Ann", NOTHING),
    ("metadata[owner]=%7B%22first_name%22: %22Ann%22%7D", {"odd"}),
    ("metadata[plan]=pro&metadata[seats]=6", NOTHING),
    ("metadata[plan]=Pro&metadata[plan]=pro", {"plain"}),
    # A name within a name: texts only, in snake case.
    ("metadata[owner][first_name]=Ann", {"nested", "camel"}),
    ("metadata[Owner][first_name]=Ann", {"nested", "camel"}),
    ("metadata[owner][first_name]=ann", NOTHING),
    ("metadata[owner][firstName]=Ann", NOTHING),
    ("metadata[owner][age]=41", NOTHING),
    ("metadata[owner][vip]=true", NOTHING),
    ("metadata[owner][address][zip_code]=10115", {"camel"}),
    ("metadata[owner][address]=10115", NOTHING),
    ("metadata[owner][first_name]=Ann&metadata[owner][address][zip_code]=10115", {"camel"}),
    ("metadata[owner][first_name]=Ann&metadata[plan]=pro", NOTHING),
    ("metadata[owner][first_name]=", {"blank"}),
    ("metadata[plan][x]=pro", NOTHING),
    ("metadata[tags][0]=a", NOTHING),
    ("metadata[list][0]=zero", {"odd"}),
    ("metadata[gr%C3%B6%C3%9Fe][ma%C3%9F]=XL", {"odd"}),
    ("metadata[a%22b][c%22d]=x", NOTHING),
    ("metadata[a][b][c][d]=x", NOTHING),
    # An array.
    ("metadata[tags][]=a", {"nested", "arrays"}),
    ("metadata[tags][]=a&metadata[tags][]=b", {"nested", "arrays"}),
    ("metadata[tags][]=a&metadata[tags][]=a", {"nested", "arrays"}),
    ("metadata[tags][]=a&metadata[tags][]=c", NOTHING),
    ("metadata[tags][]=3", NOTHING),
    ("metadata[tags][]=", {"blank"}),
    ("metadata[deep][tags][]=y&metadata[deep][tags][]=x", {"arrays"}),
    ("metadata[plan][]=pro", NOTHING),
    ("metadata[owner][]=Ann", {"arrays"}),
    ("metadata[matrix][]=a", NOTHING),
    # A parameter that cannot be read.
    ("metadata[tags][][x]=a", NOTHING),
    ("metadata[][x]=a", NOTHING),
    ("metadata[plan=pro", NOTHING),
    ("metadata[plan]x=pro", NOTHING),
    ("metadata[plan][=pro", NOTHING),
    ("metadata[[plan]]=pro", NOTHING),
    ("metadata[a][b][c][d][e]=x", NOTHING),
    ("&".join(f"metadata[key{number}]=x" for number in range(10)), NOTHING),
    ("&".join(f"metadata[tags][]={number}" for number in range(10)), NOTHING),
    ("metadata[" + "a" * 3_000 + "][b]=x", NOTHING),
    # Queries that keygen-api ignores.
    ("metadata=pro", EVERYTHING),
    ("metadata[]=pro", EVERYTHING),
    ("metadata[plan]=", EVERYTHING),
    ("metadata[plan]", EVERYTHING),
]


@pytest.fixture(params=["licenses", "users"])
def rows(request, acme):
    """A row for each of `ROWS`: the list they are in, and their names by id."""
    if request.param == "licenses":
        made = {name: make_license(acme.unpooled, metadata=metadata) for name, metadata in ROWS.items()}
    else:
        made = {name: acme.user(email=f"{name}@acme.test", metadata=metadata) for name, metadata in ROWS.items()}
    return request.param, {str(row.pk): name for name, row in made.items()}


def test_metadata_filter_finds_what_has_these_values(acme, api, rows):
    path, names = rows
    speaker = api(acme.admin)

    wrong = []
    for query, expected in FOUND:
        response = speaker.get(f"{path}?{query}&limit=100")
        found = {names[row["id"]] for row in response.json()["data"]} if response.status_code == 200 else None
        if found != expected:
            wrong.append((query[:100], response.status_code, found))

    assert not wrong


def test_metadata_filter_goes_with_pages_and_other_filters(acme, api, rows):
    path, names = rows

    page = api(acme.admin).get(f"{path}?metadata[tags][]=a&status=ACTIVE&page[number]=1&page[size]=1").json()

    assert [names[row["id"]] for row in page["data"]] == ["arrays"]
    assert "page[number]=2" in page["links"]["last"] or "page%5Bnumber%5D=2" in page["links"]["last"]
