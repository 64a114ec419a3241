"""No URL of the console returns a server error, for any user and any parameters."""

from urllib.parse import urlencode

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import URLPattern, URLResolver

from accounts.models import Token, User
from pools.models import KeyImport
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.console import GROUPS, PASSWORD, page, signed_in, staff, superuser

pytestmark = pytest.mark.without_database  # pages and forms are the same on each database

UNKNOWN = "01a20866-333d-73e7-b6c6-6d3a7c07d222"
IDS = ["x", "1", "_5F", "1" * 400, "é", "a/b", "{0}", UNKNOWN]
QUERIES = [
    "e=1",
    "e=1&e=2&q=x",
    "p=9999999",
    "p=-1",
    "p=x",
    "p=0&p=1",
    "p=" + "9" * 400,
    "p=1e9",
    "o=99.-99.x",
    "o=-1",
    "o=1&o=2",
    "o=" + "1." * 400,
    "q=%00",
    "q=%F0%9F%98%80",
    "q=" + "x" * 4_000,
    "q=%22%27%5C%25_",
    "q=a&q=b",
    f"q={UNKNOWN}",
    "_to_field=key",
    "_to_field=id&_popup=1",
    "_to_field=password&_popup=1",
    "_to_field=",
    "_popup=x",
    "all=",
    "id=x",
    f"id={UNKNOWN}",
    "id=&id=" + UNKNOWN,
    "once=x",
    f"once={UNKNOWN}",
    "policy=x",
    f"policy={UNKNOWN}&state=lost&since=99&import=x",
    "state=popped&state=withdrawn",
    "import=x",
    "since=7",
    "policy__id__exact=x",
    "account__id__exact=x",
    "account__isnull=perhaps",
    "event__exact=lost",
    "event__in=a,b,",
    "banned__isempty=2",
    "role__exact=x",
    "is_staff__exact=2",
    "status__exact=x",
    "key__regex=(",
    "created__year=x",
    "_facets=True",
    "_changelist_filters=%00",
    "_changelist_filters=p%3D9999999%26o%3D99",
    "next=https://evil.test/",
    "account=%F0%9F%98%80",
    "%5B%5D=&=&&",
]
AUTOCOMPLETE = [
    "",
    "app_label=accounts&model_name=user&field_name=account",
    "app_label=accounts&model_name=user&field_name=groups&term=x",
    "app_label=licensing&model_name=license&field_name=policy&term=x",
    "app_label=licensing&model_name=license&field_name=owner&term=%00&page=x",
    "app_label=licensing&model_name=license&field_name=owner&term=x&page=9999999",
    "app_label=nowhere&model_name=x&field_name=y",
    "app_label=pools&model_name=key&field_name=policy&app_label=accounts",
]


def rows_of_each_kind(acme):
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy, name="Batch 1")
    for key in add_keys(acme.policy, *numbered(3)):
        key.key_import = key_import
        key.save()
    make_license(acme.unpooled)
    Token.generate(acme.product, name="Shop")
    make_policy(acme.product, "Other", use_pool=True)
    operator = User.objects.get(email="operator@acme.test")
    check_pending_import(create_pending_import(policy=acme.policy, operator=operator, blocks=[b"KEY-1001\nx\n"]))


def patterns(entries=None, prefix=""):
    """Each route of the console: its path with `{names}` of parameters, their converters, and the model of its page."""
    for entry in admin.site.get_urls() if entries is None else entries:
        if isinstance(entry, URLResolver):
            yield from patterns(entry.url_patterns, f"{prefix}{entry.pattern}")
        elif isinstance(entry, URLPattern):
            yield f"/admin/{prefix}", entry


def addresses():
    """All addresses of the console: each route, with ids that exist, and with ids that do not."""
    ids = {model: model._default_manager.values_list("pk", flat=True).first() for model in admin.site._registry}
    by_name = {f"{model._meta.app_label}_{model._meta.model_name}": pk for model, pk in ids.items()}
    found = []
    for prefix, pattern in patterns():
        route = str(pattern.pattern)
        names = pattern.pattern.converters
        if not names:
            found.append(f"{prefix}{route.strip('^$')}" if "(" not in route else "/admin/accounts/")
            continue
        model = "_".join(prefix.strip("/").split("/")[1:3])
        known = by_name.get(model)
        if "policy" in names:
            known = by_name["licensing_policy"]
        for value in [known or UNKNOWN, *(IDS if "uuid" not in route else [UNKNOWN])]:
            path = route
            for name in names:
                kind = "uuid" if f"<uuid:{name}>" in route else "path" if f"<path:{name}>" in route else "str"
                path = path.replace(f"<{kind}:{name}>", str(value)).replace(f"<{name}>", str(value))
            found.append(prefix + path)
    found += ["/admin/r/1/x/", f"/admin/r/1/{UNKNOWN}/", "/admin/r/x/x/", "/admin/r/999/1/", "/admin/nowhere/"]
    return list(dict.fromkeys(found))


@pytest.fixture
def people(acme, rival):
    """A client for each kind of person, by name: of other accounts and without permissions too."""
    found = {name: staff(acme, name) for name in GROUPS}
    rows_of_each_kind(acme)
    found |= {"superuser": superuser(), "without a group": acme.user("developer", is_staff=True)}
    found |= {"of another account": staff(rival), "no operator": acme.user("admin", email="no@acme.test")}
    clients = {name: signed_in(person) for name, person in found.items()} | {"anonymous": Client()}
    for client in clients.values():
        client.raise_request_exception = False
    return clients


def failures(client, who, paths):
    return [(who, path[:200]) for path in paths if client.get(path).status_code >= 500]


def test_no_address_is_a_server_error_for_anybody(people):
    """Superusers ask for all addresses, each other person for a share of the malformed ones."""
    paths = addresses()
    malformed = [path for path in paths if any(quoted in path for quoted in IDS[:-1])]
    plain = [path for path in paths if path not in malformed]
    wrong = failures(people["superuser"], "superuser", malformed)
    for turn, (who, client) in enumerate(people.items()):
        wrong += failures(client, who, plain) + failures(client, who, malformed[turn :: 2 * len(people)])

    assert wrong == []
    assert len(paths) > 300


def test_no_query_is_a_server_error(people):
    plain = [path for path in addresses() if not any(quoted in path for quoted in IDS[:-1]) and path.count("/") > 3]
    lists = [path for path in plain if path.endswith("/") and path.count("/") == 4]
    queries = [f"{path}?{query}" for path in lists for query in QUERIES]
    others = [path for path in plain if path not in lists]
    queries += [f"{path}?{query}" for turn, path in enumerate(others) for query in QUERIES[turn % 16 :: 16]]
    queries += [f"{page('autocomplete')}?{query}" for query in AUTOCOMPLETE]
    queries += [f"{page(name)}?{query}" for name in ("index", "login", "jsi18n", "logout") for query in QUERIES[::4]]
    wrong = failures(people["superuser"], "superuser", queries)
    for turn, who in enumerate(("Operator", "Auditor", "without a group", "anonymous")):
        wrong += failures(people[who], who, queries[turn::12])

    assert wrong == []
    assert len(lists) > 8


def test_no_form_is_a_server_error(people):
    """Empty, half-filled and repeated forms, also where there is none."""
    forms = [
        "",
        urlencode({"action": "ban", "_selected_action": "x", "index": "x"}),
        urlencode({"action": "delete_selected", "_selected_action": "x", "index": "9" * 400}),
        urlencode([("action", "revoke"), ("_selected_action", UNKNOWN), ("_selected_action", "\0")]),
        urlencode({"email": "\0", "metadata": "{", "role": "x", "groups": "x", "account": "x", "policy": "x"}),
        urlencode({"once": "x", "count": "9" * 400, "reference": "\n", "state": "x", "format": "x", "since": "x"}),
        urlencode({"old_password": "\0", "new_password": "x" * 5_000, "new_password_again": "x"}),
        urlencode({"username": "\0@x", "password": "\0", "account": "\0", "next": "//evil.test"}),
        urlencode({"keys": "\0\n" * 3, "name": "\0", "format": "csv", "column": "9" * 400, "encoding": "\0"}),
    ]
    paths = [path for path in addresses() if not any(quoted in path for quoted in IDS[:-1])]
    wrong = []
    for turn, path in enumerate(paths):
        for form in forms if path.count("/") > 3 else forms[turn % 2 :: 2]:
            client = people["superuser" if turn % 2 else "Operator"]
            if path == page("logout"):
                continue
            response = client.post(path, form, content_type="application/x-www-form-urlencoded")
            if response.status_code >= 500:
                wrong.append((path[:200], form[:60]))

    assert wrong == []


def test_public_pages_of_objects_do_not_exist(acme, people):
    """Django's redirect would say which objects exist, and fails for an id of another kind."""
    for who in ("superuser", "Operator"):
        paths = [f"/admin/r/{number}/{acme.policy.pk}/" for number in range(1, 20)]
        assert {people[who].get(path).status_code for path in paths} == {404}


@pytest.mark.parametrize(
    "target", ["https://evil.test/", "//evil.test/", "/\\evil.test", "javascript:alert(1)", "", "http:///evil.test"]
)
def test_a_sign_in_that_leads_elsewhere_leads_to_the_console(acme, target):
    person = staff(acme, password=PASSWORD)

    form = {"username": person.email, "password": PASSWORD, "next": target}
    response = Client().post(page("login"), form)

    assert (response.status_code, response["Location"]) == (302, page("index"))


class TestExports:
    @pytest.fixture
    def admin_client(self, acme, api):
        add_keys(acme.policy, "KEY-0001")
        return api(acme.admin)

    @pytest.mark.parametrize(
        ("accept", "query", "expected", "suffix"),
        [
            ("text/csv", "", "text/csv", "csv"),
            ("text/csv; charset=utf-8", "", "text/csv", "csv"),
            ("application/x-ndjson, text/csv;q=0.5", "", "application/x-ndjson", "ndjson"),
            ("text/plain", "", "text/plain", "txt"),
            ("text/csv", "?format=ndjson", "application/x-ndjson", "ndjson"),
            ("*/*", "", "text/plain", "txt"),
            ("application/json", "?format=csv", "text/csv", "csv"),
        ],
    )
    def test_an_export_comes_in_the_accepted_format(self, acme, admin_client, accept, query, expected, suffix):
        path = f"policies/{acme.policy.pk}/pool/actions/export{query}"

        response = admin_client.get(path, Accept=accept)

        assert (response.status_code, response["Content-Type"]) == (200, f"{expected}; charset=utf-8")
        assert response["Content-Disposition"] == f'attachment; filename="keys-{acme.policy.pk}.{suffix}"'
        assert b"KEY-0001" in b"".join(response)

    @pytest.mark.parametrize(
        ("accept", "suffix"), [("text/csv", "csv"), ("*/*", "csv"), ("application/x-ndjson", "ndjson")]
    )
    def test_the_ledger_comes_in_the_accepted_format(self, admin_client, accept, suffix):
        response = admin_client.get("key-events/actions/export", Accept=accept)

        assert response.status_code == 200
        assert response["Content-Disposition"] == f'attachment; filename="key-events.{suffix}"'

    @pytest.mark.parametrize("path", ["keys", "policies/{}/pool", "me", "policies/{}/pool/actions/nothing"])
    def test_other_routes_refuse_media_types_of_files(self, acme, admin_client, path):
        response = admin_client.get(path.format(acme.policy.pk), Accept="text/csv")

        assert response.status_code in (400, 404)

    def test_an_error_of_an_export_is_a_document(self, acme, admin_client):
        path = f"policies/{acme.policy.pk}/pool/actions/export?state=lost"

        response = admin_client.get(path, Accept="text/csv")

        assert response.status_code == 400
        assert response.json()["errors"]
