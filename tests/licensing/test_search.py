"""`POST /search` (contract: search)."""

from itertools import product

import pytest

from accounts import searchable
from licensing.models import LicenseUser
from tests.cast import make_license, make_policy, make_product


def search(client, type, query, op=None, path="search", **headers):
    meta = {"type": type, "query": query} | ({} if op is None else {"op": op})
    return client.post(path, {"meta": meta}, **headers)


@pytest.fixture
def names(acme):
    """The rows that are searched, by name."""
    one, two = make_product(acme.account, "Keyring One", code="keyring-one"), make_product(acme.account, "Keyring Two")
    yearly, monthly = make_policy(one, "Yearly 100%"), make_policy(two, "Monthly")
    jane = acme.user(email="jane@example.com", first_name="Jane", last_name="Doe", metadata={"orderId": "1001"})
    john = acme.user(email="john.doe@example.org", first_name="John Paul", last_name="Doe Smith")
    umlaut = acme.user(email="ute@example.net", first_name="Müller")
    office = make_license(yearly, "JANE-KEY-1", name="Office of Jane", owner=jane, metadata={"tags": ["a", "b"]})
    lab = make_license(monthly, "JOHN-KEY-2", name="Lab", owner=john, suspended=True)
    LicenseUser.objects.create(account=acme.account, license=office, user=john)
    return {
        **{"one": one, "two": two, "yearly": yearly, "monthly": monthly, "jane": jane, "john": john},
        **{"umlaut": umlaut, "office": office, "lab": lab},
    }


def found(response, names):
    """The names of the rows of a response, newest first."""
    by_id = {str(row.pk): name for name, row in names.items()}
    assert response.status_code == 200, response.content
    return [by_id.get(each["id"], "?") for each in response.json()["data"]]


MATCHES = [
    ("users", {"email": "EXAMPLE.org"}, ["john"]),
    ("users", {"firstName": "MÜLL"}, ["umlaut"]),
    ("user", {"fullName": "John Doe"}, ["john"]),
    ("Users", {"name": "Doe"}, []),
    ("users", {"last name": "doe"}, ["john", "jane"]),
    ("users", {"role": "admin"}, ["?"]),
    ("users", {"role": "sales-agent"}, []),
    ("users", {"email": None}, []),
    ("users", {"email": "   "}, []),
    ("users", {"email": "j%e"}, []),
    ("users", {"metadata": {"order_id": "1001"}}, ["jane"]),
    ("users", {"metadata": {"orderId": 1001}}, []),
    ("licenses", {"key": "JANE-KEY-1"}, ["office"]),
    ("licenses", {"key": "jane-key-1"}, []),
    ("licenses", {"name": "lab"}, ["lab"]),
    ("licenses", {"product": "two"}, ["lab"]),
    ("licenses", {"product": "keyring-one"}, []),
    ("licenses", {"policy": "YEARLY"}, ["office"]),
    ("licenses", {"owner": "example.org"}, ["lab"]),
    ("licenses", {"user": "example.org"}, ["lab", "office"]),
    ("licenses", {"metadata": {"tags": ["b"]}}, ["office"]),
    ("licenses", {"metadata": {"tags": []}}, ["office"]),
    ("licenses", {"metadata": {"tags": {}}}, []),
    ("policies", {"name": "100%"}, ["yearly"]),
    ("policies", {"product": "keyring"}, ["monthly", "yearly"]),
    ("products", {"name": "ring"}, ["two", "one"]),
]


@pytest.mark.parametrize("limit", [searchable.MAX_SEARCHED_ROWS, 1])
def test_members_of_each_type_match(api, acme, names, monkeypatch, limit):
    """Beyond the limit, only indexed columns find rows: the middle of a text is searched in the newest rows only."""
    monkeypatch.setattr(searchable, "MAX_SEARCHED_ROWS", limit)
    admin, wrong = api(acme.admin), []
    for type, query, expected in MATCHES:
        shown = found(search(admin, type, query), names)
        if not (shown == expected or (limit == 1 and set(shown) <= set(expected))):
            wrong.append((type, query, shown))

    assert wrong == []


def test_large_account_is_searched_by_its_indexes(api, acme, names, monkeypatch):
    monkeypatch.setattr(searchable, "MAX_SEARCHED_ROWS", 1)
    admin = api(acme.admin)
    indexed = [
        ("users", {"email": "jane"}, ["jane"]),
        ("users", {"firstName": "john"}, ["john"]),
        ("users", {"name": "jane doe"}, ["jane"]),
        ("users", {"id": str(names["jane"].pk)}, ["jane"]),
        ("licenses", {"key": "JANE-KEY-1"}, ["office"]),
        ("licenses", {"name": "office"}, ["office"]),
        ("licenses", {"owner": "jane"}, ["office"]),
        ("licenses", {"policy": str(names["yearly"].pk)}, ["office"]),
    ]

    assert [
        (type, query, shown)
        for type, query, expected in indexed
        if (shown := found(search(admin, type, query), names)) != expected
    ] == []


def test_ids_match_in_any_form(api, acme, names):
    admin, uuid = api(acme.admin), str(names["jane"].pk)

    for term in (uuid, uuid.upper(), uuid.replace("-", ""), uuid[9:30], uuid[-7:].upper()):
        assert "jane" in found(search(admin, "users", {"id": term}), names)
    assert found(search(admin, "users", {"id": "zzz"}), names) == []
    assert found(search(admin, "licenses", {"owner": uuid}), names) == ["office"]
    assert "office" in found(search(admin, "licenses", {"owner": uuid[:11]}), names)


def test_operator_decides_whether_all_members_must_match(api, acme, names):
    query, admin = {"name": "office", "product": "two"}, api(acme.admin)

    assert found(search(admin, "licenses", query), names) == []
    assert found(search(admin, "licenses", query, "or"), names) == ["lab", "office"]
    assert found(search(admin, "licenses", {"user": "example", "owner": "example"}, "OR"), names) == ["lab", "office"]


MALFORMED = [
    ({}, "is missing", "/meta"),
    ({"data": {}}, "unpermitted parameter", "/data"),
    ({"meta": {"type": "users", "query": {}}}, "cannot be blank", "/meta/query"),
    ({"meta": {"type": "users", "query": []}}, "type mismatch (received array expected object)", "/meta/query"),
    (
        {"meta": {"type": "users", "query": {"email": "jane"}, "op": "xor"}},
        "search operator 'xor' is not supported",
        "/meta/op",
    ),
    (
        {"meta": {"type": "license_users", "query": {"a": 1}}},
        "search type 'licenseUsers' is not supported",
        "/meta/type",
    ),
    ({"meta": {"type": "keys", "query": {"a": 1}}}, "search type 'keys' is not supported", "/meta/type"),
    (
        {"meta": {"type": "users", "query": {"e-mail": "jane", "email": "j"}}},
        "search query 'eMail' is not supported for resource type 'users'",
        "/meta/query/eMail",
    ),
    (
        {"meta": {"type": "users", "query": {"метка": "jane"}}},
        "search query '' is not supported for resource type 'users'",
        "/meta/query/",
    ),
    (
        {"meta": {"type": "users", "query": {"email": "ja"}}},
        "search query for 'email' is too small (minimum 3 characters)",
        "/meta/query/email",
    ),
    (
        {"meta": {"type": "users", "query": {"email": 12345}}},
        "type mismatch (received integer expected string)",
        "/meta/query/email",
    ),
    (
        {"meta": {"type": "users", "query": {"metadata": ["plan"]}}},
        "search query for 'metadata' must be a hash of key-value search terms",
        "/meta/query/metadata",
    ),
    ({"meta": {"type": "users", "query": {"metadata": {}}}}, "cannot be blank", "/meta/query/metadata"),
    (
        {"meta": {"type": "users", "query": {"metadata": {"order_id": "1"}}}},
        "search query for 'orderId' is too small (minimum 3 characters)",
        "/meta/query/metadata/orderId",
    ),
]


def test_malformed_query_is_refused(api, acme):
    admin, wrong = api(acme.admin), []
    for document, detail, pointer in MALFORMED:
        response = admin.post("search", document)
        error = response.json().get("errors", [{}])[0]
        if (response.status_code, error.get("detail"), error.get("source")) != (400, detail, {"pointer": pointer}):
            wrong.append((document, response.status_code, error))

    assert wrong == []


def test_last_spelling_of_a_name_counts(api, acme, names):
    """Each is one condition in SQL, however many there are."""
    spellings = [f"first{''.join(separators)}name" for separators in product("_-", repeat=11)]
    query = dict.fromkeys(spellings, "unknown") | {"FirstName": "jane"}

    assert found(search(api(acme.admin), "users", query), names) == ["jane"]


def test_staff_only_may_search(api, acme):
    refused = {}
    for role in ("admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user"):
        response = search(api(acme.bearer(role)), "products", {"name": "rocket"})
        refused[role] = response.status_code

    staff = dict.fromkeys(("admin", "developer", "sales-agent", "support-agent", "read-only"), 200)
    assert refused == staff | dict.fromkeys(("product", "license", "user"), 403)
    assert search(api(acme.product), "tokens", {"name": "abc"}).status_code == 400
    assert search(api(), "products", {"name": "rocket"}).status_code == 401


def test_other_accounts_are_not_searched(api, acme, rival):
    assert search(api(acme.admin), "products", {"id": str(rival.product.pk)}).json()["data"] == []
    assert len(search(api(acme.admin), "products", {"name": "rocket"}).json()["data"]) == 1


def test_pages_are_those_of_a_list(api, acme, names):
    first = search(api(acme.admin), "users", {"email": "example"}, path="search?page[size]=2&page[number]=1")

    assert found(first, names) == ["umlaut", "john"]
    assert first.json()["links"]["meta"] == {"pages": 2, "count": 3}
    assert first.json()["links"]["next"].startswith("/v1/accounts/acme/search?page")


def test_resources_are_those_of_the_current_version(api, acme, names):
    response = search(api(acme.admin), "licenses", {"name": "office"}, Keygen_Version="1.0")

    assert "owner" in response.json()["data"][0]["relationships"]
    assert response["Keygen-Version"] == "1.0"


def test_search_needs_the_permission_to_read_what_it_finds(api, acme):
    reader = acme.bearer("read-only")
    reader.permissions = ["license.read", "user.read"]
    reader.save()
    client = api(reader)

    assert search(client, "licenses", {"name": "rocket"}).status_code == 200
    assert search(client, "products", {"name": "rocket"}).status_code == 403
    assert search(client, "users", {"email": "acme"}).status_code == 403  # an admin may be among them
