"""Every list of the console is exported as CSV: the filtered rows, masked, without formulas, and recorded."""

import csv
from urllib.parse import urlencode

import pytest
from django.contrib import admin

from accounts.models import Activity, Token
from licensing.services import issue_license
from pools.models import KeyImport, PendingImport
from tests.accounts.groups import make_group
from tests.cast import add_keys, make_license, numbered
from tests.console import page, signed_in, staff, superuser
from tests.licensing.entitlements import make_entitlement
from tests.licensing.machines import make_floating, make_machine
from tests.tables import each_row

LISTS = [model for model in admin.site._registry if model is not PendingImport]


def name_of(model):
    return f"{model._meta.app_label}_{model._meta.model_name}"


@pytest.fixture
def everything(acme, rival, audit):
    """Rows of all kinds of two accounts."""
    for company in (acme, rival):
        key_import = KeyImport.objects.create(account=company.account, policy=company.policy, name="Batch")
        keys = add_keys(company.policy, *(f"{company.account.slug.upper()}-{text}" for text in numbered(3)))
        keys[2].key_import = key_import
        keys[2].save()
        company.policy.pool.pop(audit)
        issue_license(policy=company.policy, audit=audit, owner=company.user())
        make_license(company.unpooled, name=f"License of {company.account.slug}")
        Token.generate(company.product, name=f"Token of {company.account.slug}")
        make_machine(make_floating(company.product), ago=1)
        make_entitlement(company.account)
        make_group(company.account)


def export(client, model, **query):
    return client.post(f"{page(f'{name_of(model)}_csv')}?{urlencode(query)}")


def rows_of(response):
    return list(csv.DictReader(b"".join(response).decode("utf-8-sig").splitlines()))


@each_row("model", LISTS)
def test_every_list_is_exported_as_it_is_shown(acme, everything, model):
    client = signed_in(superuser())
    query = {"policy": acme.policy.pk} if name_of(model) == "pools_key" else {}
    listed = client.get(page(f"{name_of(model)}_changelist"), query).context["cl"]
    before = Activity.objects.count()

    response = export(client, model, **query)

    rows = rows_of(response)
    assert response["Content-Disposition"].startswith('attachment; filename="')
    assert [row["id"] for row in rows] == [str(row.pk) for row in listed.result_list]
    assert len(rows) == listed.result_count
    entry = Activity.objects.latest("id")
    assert Activity.objects.count() == before + 1
    assert (entry.event, entry.noun, entry.details["count"]) == ("exported", "list", len(rows))


@each_row("model", LISTS)
def test_files_have_the_rows_of_the_account_and_masked_keys(acme, rival, everything, model):
    client = signed_in(staff(acme))
    query = {"policy": acme.policy.pk} if name_of(model) == "pools_key" else {}
    response = export(client, model, **query)
    if not admin.site._registry[model].has_view_permission(response.wsgi_request):
        assert response.status_code == 403
        return

    text = b"".join(response).decode()

    assert "rival" not in text.lower()
    assert "ACME-KEY-0" not in text


def test_a_file_has_the_filters_and_the_search_of_the_list(acme, everything):
    client = signed_in(staff(acme))
    licenses = next(model for model in LISTS if name_of(model) == "licensing_license")

    (row,) = rows_of(export(client, licenses, q="License of acme"))
    assert row["id"] == str(acme.account.licenses.get(name="License of acme").pk)
    assert rows_of(export(client, licenses, status="SUSPENDED")) == []
    # The text of a search may be a key: it is not recorded.
    assert Activity.objects.filter(details__filter__status="SUSPENDED").exists()
    assert "License of acme" not in str(list(Activity.objects.filter(noun="list").values_list()))


def test_times_are_iso_and_html_is_gone(acme, everything):
    users = next(model for model in LISTS if name_of(model) == "accounts_user")

    text = b"".join(export(signed_in(staff(acme)), users)).decode()

    assert "<" not in text
    assert "T" in text.splitlines()[1]


def test_a_file_runs_no_formula(acme, everything):
    acme.another_product("=1+1")
    products = next(model for model in LISTS if name_of(model) == "licensing_product")

    assert "'=1+1" in str(rows_of(export(signed_in(staff(acme)), products)))


def test_a_list_that_is_too_long_is_refused_before_anything_is_sent(acme, everything, monkeypatch):
    monkeypatch.setattr("accounts.admin.csv_lists.MAX_ROWS", 1)
    licenses = next(model for model in LISTS if name_of(model) == "licensing_license")
    client = signed_in(staff(acme))

    response = export(client, licenses, status="ACTIVE")

    assert response.status_code == 302
    assert response["Location"] == page("licensing_license_changelist", status="ACTIVE")
    assert "more than 1 rows" in client.get(response["Location"]).content.decode()
    assert not Activity.objects.filter(noun="list").exists()


def test_a_filter_that_the_list_does_not_have_is_refused(acme, everything):
    licenses = next(model for model in LISTS if name_of(model) == "licensing_license")

    response = export(signed_in(staff(acme)), licenses, key__startswith="A")

    assert (response.status_code, response["Location"]) == (302, page("licensing_license_changelist", e="1"))


def test_files_come_by_post_only(acme):
    assert signed_in(staff(acme)).get(page("licensing_license_csv")).status_code == 405
