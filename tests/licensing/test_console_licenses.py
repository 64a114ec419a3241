"""Licenses, policies and products in the console."""

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing.models import License, Policy, Product
from pools.models import KeyEvent
from tests.cast import add_keys, make_license, make_policy
from tests.console import act, page, shown, signed_in, staff, superuser


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


def rows_of(response):
    return list(response.context["cl"].result_list)


class TestIssue:
    def test_console_issue_takes_a_key_and_shows_it(self, acme, client):
        add_keys(acme.policy, "KEY-0001")
        owner = acme.user("user")

        response = client.post(
            page("licensing_license_add"),
            {"policy": acme.policy.pk, "name": "Ann's", "owner": "User@acme.test", "reference": "Order 1"},
        )

        license = License.objects.get()
        assert shown(client, response) == license.key == "KEY-0001"
        assert (license.name, license.owner) == ("Ann's", owner)
        event = KeyEvent.objects.get()
        assert (event.event, event.operator, event.reference) == ("issued", "ann@acme.test", "Order 1")

    def test_console_issue_says_that_a_pool_is_empty(self, acme, client):
        response = client.post(page("licensing_license_add"), {"policy": acme.policy.pk})

        assert "pool is empty" in response.content.decode()
        assert not License.objects.exists()

    def test_console_issue_knows_users_of_the_account_only(self, acme, rival, client):
        response = client.post(page("licensing_license_add"), {"policy": acme.unpooled.pk, "owner": rival.admin.email})

        assert "Nobody in the account has this e-mail." in response.content.decode()


class TestActs:
    def test_console_act_suspends_and_reinstates(self, acme, client):
        license = make_license(acme.unpooled)

        act(client, "licensing_license_suspend", license)
        license.refresh_from_db()
        assert license.suspended
        act(client, "licensing_license_reinstate", license)
        license.refresh_from_db()
        assert not license.suspended

    def test_console_act_says_why_not(self, acme, client):
        license = make_license(acme.unpooled, suspended=True)

        response = act(client, "licensing_license_suspend", license)

        assert response.status_code == 422
        assert "is already suspended" in response.content.decode()

    def test_console_act_renews(self, acme, client):
        policy = make_policy(acme.product, "Monthly", duration=86_400)
        expiry = timezone.now()
        license = make_license(policy, expiry=expiry)

        act(client, "licensing_license_renew", license)

        license.refresh_from_db()
        assert license.expiry == expiry + timedelta(days=1)

    def test_console_act_revokes(self, acme, client):
        license = make_license(acme.unpooled)

        act(client, "licensing_license_revoke", license)

        assert not License.objects.exists()

    def test_console_act_offers_what_makes_sense(self, acme, client):
        license = make_license(acme.unpooled, suspended=True)

        offered = [
            each.label for each, _ in client.get(page("licensing_license_change", license.pk)).context["action_links"]
        ]

        assert offered == ["Reinstate", "Revoke"]


@pytest.mark.parametrize("text", ["LICENSE-4711", "ann's", "user@acme.test", None])
def test_console_finds_licenses(acme, client, text):
    license = make_license(acme.unpooled, "LICENSE-4711", name="Ann's", owner=acme.user("user"))
    make_license(acme.unpooled, name="Another")

    assert rows_of(client.get(page("licensing_license_changelist", q=text or license.pk))) == [license]


def test_console_masks_keys_of_licenses(acme, client):
    license = make_license(acme.unpooled, "C1B6DE-39A6E3-59V3")

    text = client.get(page("licensing_license_change", license.pk)).content.decode()

    assert "C1B6…59V3" in text
    assert "39A6E3" not in text


def test_console_lists_of_licenses_cost_a_fixed_number_of_statements(acme, client, django_assert_num_queries):
    counts = []
    for number in (2, 12):
        for _ in range(number):
            make_license(acme.unpooled, owner=acme.user("user"))
        with django_assert_num_queries(9, exact=False) as statements:
            client.get(page("licensing_license_changelist"))
        counts.append(len(statements))

    assert counts[0] == counts[1]


def form_of(client, name, *args):
    """What the form on a page would send as it is."""
    form = client.get(page(name, *args)).context["adminform"].form
    values = {field.html_name: field.value() for field in form}
    return {name: value for name, value in values.items() if value not in (None, False)}


class TestPolicies:
    def test_console_policies_are_added_to_a_product_of_ones_own(self, acme, client):
        values = form_of(client, "licensing_policy_add")

        response = client.post(
            page("licensing_policy_add"),
            {**values, "name": "Launch", "product": acme.product.pk, "low_stock_threshold": 100},
        )

        assert response.status_code == 302
        policy = Policy.objects.get(name="Launch")
        assert (policy.account, policy.use_pool, policy.low_stock_threshold) == (acme.account, True, 100)

    def test_console_policies_obey_their_rules(self, acme, client):
        values = form_of(client, "licensing_policy_add")

        response = client.post(
            page("licensing_policy_add"),
            {**values, "name": "Both", "product": acme.product.pk, "scheme": "ED25519_SIGN"},
        )

        assert "cannot use a scheme and use a pool" in response.content.decode()

    def test_change_but_never_get_or_lose_a_pool(self, acme, client):
        values = form_of(client, "licensing_policy_change", acme.policy.pk)
        values.pop("use_pool", None)

        client.post(page("licensing_policy_change", acme.policy.pk), {**values, "name": "Renamed"})

        acme.policy.refresh_from_db()
        assert (acme.policy.name, acme.policy.use_pool) == ("Renamed", True)

    def test_console_policies_cannot_be_deleted(self, acme, client):
        assert client.post(page("licensing_policy_delete", acme.policy.pk), {"post": "yes"}).status_code == 403


class TestProducts:
    def test_console_products_are_added_to_ones_own_account(self, acme, rival, client):
        client.post(
            page("licensing_product_add"),
            {"name": "New", "code": "new", "account": rival.account.pk, "metadata": "{}", "platforms": "null"},
        )

        assert Product.objects.get(name="New").account == acme.account

    def test_console_products_are_added_by_superusers_to_any(self, acme):
        signed_in(superuser()).post(
            page("licensing_product_add"),
            {"name": "New", "account": acme.account.pk, "metadata": "{}", "platforms": "null"},
        )

        assert Product.objects.get(name="New").account == acme.account

    def test_console_products_need_an_account(self, db):
        response = signed_in(superuser()).post(page("licensing_product_add"), {"name": "New", "metadata": "{}"})

        assert response.status_code == 200
        assert "account" in response.context["adminform"].form.errors
