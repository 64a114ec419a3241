"""Licenses, policies and products in the console."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.utils import timezone

from licensing.models import License, Policy, Product
from licensing.services import issue_license
from tests.cast import add_keys, make_license, make_policy
from tests.console import act, form_values, page, signed_in, staff, superuser


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


def rows_of(response):
    return list(response.context["cl"].result_list)


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


class TestWords:
    """Pages and messages name the customer, or else the name or masked key, and never an id."""

    def notices(self, client, response):
        return [str(message) for message in client.get(response["Location"]).context["messages"]]

    def test_console_messages_name_the_customer(self, acme, client):
        monthly = make_policy(acme.product, "Monthly", duration=86_400)
        expiry = timezone.now() + timedelta(days=10)
        license = make_license(monthly, expiry=expiry, owner=acme.user("user"))
        until = f"{expiry + timedelta(days=1):%-d %b %Y}"

        said = [
            self.notices(client, act(client, f"licensing_license_{name}", license))
            for name in ("suspend", "reinstate", "renew", "revoke")
        ]

        assert said == [
            ["License of user@acme.test suspended."],
            ["License of user@acme.test reinstated."],
            [f"License of user@acme.test renewed until {until}."],
            ["License of user@acme.test revoked."],
        ]

    def test_console_messages_name_a_license_without_a_customer(self, acme, client):
        license = make_license(acme.unpooled, "C1B6DE-39A6E3-59V3")

        assert self.notices(client, act(client, "licensing_license_suspend", license)) == [
            "License C1B6…59V3 suspended."
        ]

    def test_console_messages_count_several(self, acme, client):
        licenses = [make_license(acme.unpooled) for _ in range(2)]

        assert self.notices(client, act(client, "licensing_license_suspend", *licenses)) == ["2 licenses suspended."]

    def test_renewal_says_the_new_expiry_before(self, acme, client):
        monthly = make_policy(acme.product, "Monthly", duration=86_400)
        expiry = timezone.now() + timedelta(days=10)
        license = make_license(monthly, expiry=expiry, owner=acme.user("user"))

        text = client.get(page("licensing_license_renew", id=license.pk)).content.decode()

        assert f"New expiry: {expiry + timedelta(days=1):%-d %b %Y, %H:%M} UTC." in text
        assert "Renew the license of user@acme.test?" in text

    def test_console_shows_no_ids_as_names(self, acme, client):
        license = make_license(acme.unpooled, "C1B6DE-39A6E3-59V3")

        listed = client.get(page("licensing_license_changelist")).content.decode()
        shown = client.get(page("licensing_license_change", license.pk))

        assert "C1B6…59V3" in listed
        assert str(license.pk)[-12:] not in re.sub(r'(href|value|name)="[^"]*"', "", listed)
        assert shown.context["title"] == "C1B6…59V3"


class TestList:
    def test_console_lists_key_customer_reference_and_expiry(self, acme, client, audit):
        add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
        ann = acme.user("user", first_name="Ann", last_name="Example")
        issue_license(policy=acme.policy, audit=replace(audit, reference="Order 10780"), owner=ann)

        text = client.get(page("licensing_license_changelist")).content.decode()

        for shown in ("C1B6…59V3", "user@acme.test", "Ann Example", "Order 10780", "never", "Rocket", "Pooled"):
            assert shown in text, shown

    @pytest.mark.parametrize(
        "text",
        ["LICENSE-4711", "ann's", "nn's lic", "customer25", "CUSTOMER25", "example.com", "25@exam", "Novák", "novak"]
        + ["jan n", "Order 10780", "10780", "order 1078", None],
    )
    def test_console_finds_licenses(self, acme, client, text):
        jan = acme.user("user", email="customer25@example.com", first_name="Jan", last_name="Novák")
        license = make_license(acme.unpooled, "LICENSE-4711", name="Ann's license", owner=jan, reference="Order 10780")
        make_license(acme.unpooled, name="Another", owner=acme.user("user"), reference="Order 10779")

        assert rows_of(client.get(page("licensing_license_changelist"), {"q": text or license.pk})) == [license]

    def test_console_lists_the_licenses_of_a_customer(self, acme, rival, client):
        ann, bob = acme.user("user"), acme.user("user", email="bob@acme.test")
        (license, _) = [make_license(acme.unpooled, owner=each) for each in (ann, bob)]
        make_license(rival.unpooled, owner=rival.user("user"))

        response = client.get(page("licensing_license_changelist", customer=ann.pk))

        assert rows_of(response) == [license]
        assert "user@acme.test" in response.content.decode()

    def test_filter_by_status_says_whose_block_it_is(self, acme, client):
        ann = acme.user("user")
        license = make_license(acme.unpooled, owner=ann)
        make_license(acme.unpooled)
        ann.ban()

        response = client.get(page("licensing_license_changelist", status="BANNED"))

        assert rows_of(response) == [license]
        assert "Customer blocked" in response.content.decode()


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
        with django_assert_num_queries(12, exact=False) as statements:
            client.get(page("licensing_license_changelist"))
        counts.append(len(statements))

    assert counts[0] == counts[1]


def form_of(client, name, *args):
    """The values that the form on a page sends if the operator changes nothing."""
    return form_values(client, page(name, *args))


class TestPolicies:
    def test_console_policies_are_added_to_a_product_of_ones_own(self, acme, client):
        values = form_of(client, "licensing_policy_add")

        response = client.post(page("licensing_policy_add"), {**values, "name": "Launch", "product": acme.product.pk})

        assert response.status_code == 302
        policy = Policy.objects.get(name="Launch")
        assert (policy.account, policy.use_pool) == (acme.account, False)

    def test_console_policies_obey_their_rules(self, acme, client):
        values = form_of(client, "licensing_policy_add")

        response = client.post(
            page("licensing_policy_add"),
            {**values, "name": "Both", "product": acme.product.pk, "scheme": "LEGACY_ENCRYPT"},
        )

        assert "must be encrypted when using LEGACY_ENCRYPT scheme" in response.content.decode()

    def test_policies_of_pools_are_not_listed(self, acme, client):
        response = client.get(page("licensing_policy_changelist"))

        assert list(response.context["cl"].queryset) == [acme.unpooled]

    def test_the_page_of_a_policy_with_a_pool_leads_to_its_terms(self, acme, rival, client):
        response = client.get(page("licensing_policy_change", acme.policy.pk))

        assert response["Location"] == page("pools_pool_terms", acme.policy.pk)
        assert client.get(page("licensing_policy_change", rival.policy.pk))["Location"] == "/admin/"

    def test_console_policies_cannot_be_deleted(self, acme, client):
        assert client.post(page("licensing_policy_delete", acme.unpooled.pk), {"post": "yes"}).status_code == 403


class TestProducts:
    def test_console_products_are_added_to_ones_own_account(self, acme, rival, client):
        client.post(
            page("licensing_product_add"),
            {"name": "New", "code": "new", "account": rival.account.pk, "metadata": "{}"},
        )

        assert Product.objects.get(name="New").account == acme.account

    def test_console_products_are_added_by_superusers_to_any(self, acme):
        signed_in(superuser()).post(
            page("licensing_product_add"),
            {"name": "New", "account": acme.account.pk, "metadata": "{}"},
        )

        assert Product.objects.get(name="New").account == acme.account

    def test_console_products_need_an_account(self, db):
        response = signed_in(superuser()).post(page("licensing_product_add"), {"name": "New", "metadata": "{}"})

        assert response.status_code == 200
        assert "account" in response.context["adminform"].form.errors

    def test_platforms_are_tags(self, acme, client):
        values = {"name": "New", "metadata": "{}", "platforms": " Windows,macOS ,, Windows", "url": "https://acme.test"}
        client.post(page("licensing_product_add"), values)
        product = Product.objects.get(name="New")

        listed = client.get(page("licensing_product_changelist")).content.decode()
        client.post(page("licensing_product_change", product.pk), {**values, "platforms": ""})

        assert product.platforms == ["Windows", "macOS"]
        assert '<bdi class="tag">macOS</bdi>' in listed
        assert 'href="https://acme.test"' in listed
        product.refresh_from_db()
        assert product.platforms is None

    def test_platforms_with_a_comma_stay_as_they_are(self, acme, client):
        acme.product.platforms = ["Linux, x86", "macOS"]
        acme.product.save()
        values = form_of(client, "licensing_product_change", acme.product.pk)

        client.post(page("licensing_product_change", acme.product.pk), {**values, "name": "Renamed"})

        acme.product.refresh_from_db()
        assert (acme.product.name, acme.product.platforms) == ("Renamed", ["Linux, x86", "macOS"])

    def test_products_lead_to_their_pools_and_terms(self, acme, client):
        text = client.get(page("licensing_product_change", acme.product.pk)).content.decode()

        for policy in (acme.policy, acme.unpooled):
            assert f"/{policy.pk}/change/" in text
