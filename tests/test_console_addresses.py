"""An address of the console asks for no more than the console itself offers."""

import re
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.admin.options import IncorrectLookupParameters
from django.core.exceptions import SuspiciousOperation
from django.test import RequestFactory

from accounts.models import Token, User
from licensing.services import issue_license
from pools.admin.key_imports import KeyImportAdmin
from pools.models import Key, KeyImport, PendingImport
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.accounts.groups import make_group
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.console import page, signed_in, staff, superuser
from tests.licensing.entitlements import attach, make_entitlement
from tests.licensing.machines import make_floating, make_machine

pytestmark = pytest.mark.without_database  # the URLs of pages are the same on each database

LOOKUPS = {
    "": "A",
    "__exact": "A",
    "__iexact": "a",
    "__startswith": "A",
    "__contains": "A",
    "__regex": "^A",
    "__gt": "A",
    "__range": "A,B",
    "__in": "A,B",
    "__isnull": "1",
}
_LINK = re.compile(r'href="([^"]*)"')
# All lists but that of uploads, which leads to that of imports.
LISTS = {model: each for model, each in admin.site._registry.items() if model is not PendingImport}


@pytest.fixture
def everything(acme, rival, audit):
    """A row of each kind, and of most kinds several, so that the lists offer all of their filters."""
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy, name="Batch 1")
    other = make_policy(acme.product, "Other", use_pool=True)
    for key in [*add_keys(acme.policy, *numbered(4)), *add_keys(other, "OTHER-0001")]:
        key.key_import = key_import
        key.save()
    acme.policy.pool.pop(audit)
    issue_license(policy=acme.policy, audit=audit, owner=acme.user())
    make_license(acme.unpooled, name="By hand")
    Token.generate(acme.product, name="Shop")
    group, entitlement = make_group(acme.account), make_entitlement(acme.account)
    license = make_floating(acme.product)
    make_machine(license, group=group, owner=acme.user())
    attach(license, entitlement)
    attach(acme.unpooled, entitlement)
    check_pending_import(
        create_pending_import(policy=acme.policy, operator=User(email="operator@acme.test"), blocks=[b"KEY-1001\nx\n"])
    )
    superuser()


def people(acme):
    return staff(acme), superuser()


def list_of(model, **query):
    return page(f"{model._meta.label_lower.replace('.', '_')}_changelist", **query)


def links_of(response):
    return [unescape(link) for link in _LINK.findall(response.content.decode())]


def offered_by(response):
    """Query parameters in the links of a list: the names of its filters, its pages and its orders.

    Each filter also takes `__isnull` of its field, shown or not.
    """
    names = {name for link in links_of(response) if link.startswith("?") for name, _ in parse_qsl(link[1:])}
    return names | {f"{name.partition('__')[0]}__isnull" for name in names if "__" in name}


def fields_of(model):
    """The names that a URL could use for a field: fields of the model, and fields of related models."""
    names = {"pk"}
    for field in model._meta.get_fields(include_hidden=True):
        names |= {field.name, getattr(field, "attname", field.name)}
        if field.related_model:
            names |= {f"{field.name}__{each.name}" for each in field.related_model._meta.concrete_fields}
    return names


def is_refused(model_admin, request):
    try:
        model_admin.get_changelist_instance(request)
    except (IncorrectLookupParameters, SuspiciousOperation):
        return True
    return False


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model._meta.label)
def test_lists_answer_only_the_filters_that_they_offer(acme, everything, model):
    person = superuser()
    # The list of keys has its filters once a pool is chosen.
    query = {"policy": acme.policy.pk} if model is Key else {}
    offered = offered_by(signed_in(person).get(list_of(model, **query)))
    answered = []
    for field in sorted(fields_of(model)):
        for lookup, value in LOOKUPS.items():
            request = RequestFactory().get("/", {field + lookup: value})
            request.user = person
            if field + lookup not in offered and not is_refused(LISTS[model], request):
                answered.append(field + lookup)

    assert answered == []


def test_refused_filters_are_left_out_and_the_page_says_so(acme, everything):
    client = signed_in(staff(acme))
    (key, *_) = acme.policy.pool.all()
    wrong = []
    for query in (
        {"key__startswith": "KEY"},
        {"policy": acme.policy.pk, "key__regex": "^KEY"},
        {"policy__account__slug": "acme"},
        {"nonsense": "1"},
        {"e": "1", "key__startswith": "KEY"},
        {"e": "1", "nonsense": "1"},
    ):
        response = client.get(page("pools_key_changelist", **query))
        if (response.status_code, response["Location"]) != (302, f"{page('pools_key_changelist')}?e=1"):
            wrong.append(query)

    text = client.get(page("pools_key_changelist", e="1")).content.decode()
    assert wrong == []
    assert "so it was left out" in text
    assert key.key not in text


def test_a_filter_by_a_related_field_opens_no_other_field_of_it(acme, rival, everything, monkeypatch):
    monkeypatch.setattr(KeyImportAdmin, "list_filter", ["policy__account"])
    client = signed_in(superuser())
    asked = {
        f"policy__account__{field}{lookup}": value
        for field in ("id", "slug", "name", "status", "signing_keys", "signing_keys__private", "users__password")
        for lookup, value in LOOKUPS.items()
    }

    answered = [
        name
        for name, value in asked.items()
        if client.get(page("pools_keyimport_changelist", **{name: value})).status_code != 302
    ]

    assert answered == []
    offered = page("pools_keyimport_changelist", policy__account__id__exact=acme.account.pk)
    assert client.get(offered).status_code == 200


def test_lists_are_ordered_only_by_the_columns_that_they_sort_by(acme, everything):
    person = superuser()
    wrong = []
    for model, model_admin in LISTS.items():
        request = RequestFactory().get("/")
        request.user = person
        usual = model_admin.get_changelist_instance(request)
        columns = dict(enumerate(usual.list_display))
        for number in range(len(columns) + 3):
            for order in (str(number), f"-{number}", f"--{number}", f"{number}x"):
                request = RequestFactory().get("/", {"o": order})
                request.user = person
                ordered = model_admin.get_changelist_instance(request).queryset.query.order_by
                may = order in (str(number), f"-{number}") and columns.get(number) in usual.sortable_by
                if not may and ordered != usual.queryset.query.order_by:
                    wrong.append(f"{model._meta.label} {order}: {ordered}")

    assert wrong == []


def test_rows_are_named_by_their_ids_only(acme, everything):
    client = signed_in(superuser())
    wrong = []
    for model in LISTS:
        for field in model._meta.concrete_fields:
            response = client.get(list_of(model, _popup="1", _to_field=field.name))
            if response.status_code != (200 if field.primary_key else 400):
                wrong.append(f"{model._meta.label}.{field.name}")

    assert wrong == []


def test_nothing_is_completed_that_no_form_completes(acme, everything):
    found = []
    for client in map(signed_in, people(acme)):
        for model in apps.get_models():
            for field in model._meta.get_fields():
                query = {"app_label": model._meta.app_label, "model_name": model._meta.model_name}
                response = client.get(page("autocomplete", **query, field_name=field.name, term=""))
                if response.status_code != 403 or response.json()["results"]:
                    found.append(f"{model._meta.label}.{field.name}")

    assert found == []


def test_an_address_fills_in_no_form(acme, everything):
    client = signed_in(superuser())
    filled = []
    for model in LISTS:
        address = page(f"{model._meta.label_lower.replace('.', '_')}_add")
        names = {name for name in fields_of(model) if "__" not in name} | {"new_password", "admin_email", "reference"}
        response = client.get(address, {name: f"planted-{name}" for name in names})
        if response.status_code == 200:
            filled += re.findall(r'"(planted-\w+)"', response.content.decode())

    assert filled == []


def test_every_link_that_the_console_makes_is_followed(acme, everything):
    wrong = []
    for client in map(signed_in, people(acme)):
        seen, ahead = set(), [page("index")]
        while ahead:
            address = ahead.pop()
            response = client.get(address)
            if response.status_code != 200 and not is_expected(address, response):
                wrong.append((address, response.status_code, response.get("Location")))
                continue
            if "?" in address or "text/html" not in response["Content-Type"]:
                continue  # the unfiltered list has the links of a filtered one, too
            for link in links_of(response):
                parts = urlsplit(urljoin(address, link))
                found = f"{parts.path}?{parts.query}" if parts.query else parts.path
                if parts.path.startswith("/admin/") and found not in seen:
                    seen.add(found)
                    ahead.append(found)
        assert len(seen) > 50

    assert wrong == []


def is_expected(address, response):
    """The list of uploads leads to that of imports; signing out is a POST."""
    return address in (page("pools_pendingimport_changelist"), page("logout")) and response.status_code in (302, 405)
