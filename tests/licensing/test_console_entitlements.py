"""Entitlements in the console: their pages, and their attachment to policies, pools and licenses."""

import re

import pytest

from accounts.models import Activity
from licensing.models import Entitlement
from tests.cast import make_license
from tests.console import GROUPS, act, form_values, page, signed_in, staff, superuser
from tests.licensing.entitlements import attach, make_entitlement
from tests.tables import each_row


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


@pytest.fixture
def offline(acme):
    return make_entitlement(acme.account)


def sent_by(client, address):
    """The values that the form of an action sends unchanged: its hidden fields and checked boxes."""
    form = client.get(address).context["form"]
    return {"before": form["before"].value(), "entitlements": form["entitlements"].value()}


def codes_of(rows):
    return sorted(rows.values_list("code", flat=True))


class TestPages:
    def test_entitlement_is_added_and_renamed(self, acme, rival, client):
        values = {"name": "Offline mode", "code": "OFFLINE", "metadata": "{}", "account": rival.account.pk}
        client.post(page("licensing_entitlement_add"), values)
        entitlement = Entitlement.objects.get()

        address = page("licensing_entitlement_change", entitlement.pk)
        client.post(address, {**form_values(client, address), "name": "Offline"})

        entitlement.refresh_from_db()
        assert (entitlement.account, entitlement.code, entitlement.name) == (acme.account, "OFFLINE", "Offline")
        events = Activity.objects.filter(noun="entitlement").order_by("id").values_list("event", "name", "details")
        assert list(events) == [("created", "Offline mode", None), ("changed", "Offline", {"fields": ["Name"]})]

    @each_row(
        ("code", "said"),
        [
            ("offline", "has already been taken"),
            ("actions", "is reserved"),
            ("0196b5a0-0000-7000-8000-000000000000", "is invalid"),
            ("", "This field is required"),
        ],
    )
    def test_codes_obey_the_rules(self, client, offline, code, said):
        values = {"name": "Another", "code": code, "metadata": "{}"}

        response = client.post(page("licensing_entitlement_add"), values)

        assert said in response.content.decode()
        assert Entitlement.objects.count() == 1

    def test_superuser_chooses_the_account(self, acme):
        values = {"name": "Offline mode", "code": "OFFLINE", "metadata": "{}", "account": acme.account.pk}

        signed_in(superuser()).post(page("licensing_entitlement_add"), values)

        assert Entitlement.objects.get().account == acme.account

    def test_page_and_list_show_what_has_it(self, acme, client, offline):
        license = make_license(acme.unpooled, name="Ann's license")
        attach(acme.policy, offline)
        attach(license, offline)

        text = client.get(page("licensing_entitlement_change", offline.pk)).content.decode()
        listed = client.get(page("licensing_entitlement_changelist")).content.decode()
        licenses = client.get(page("licensing_license_changelist", entitlement=offline.pk))

        assert page("pools_pool_change", acme.policy.pk) in text
        assert page("licensing_license_change", license.pk) in text
        assert re.findall(r'class="field-(?:policies|licenses)">(\d+)<', listed) == ["1", "1"]
        assert list(licenses.context["cl"].result_list) == [license]

    def test_entitlement_is_deleted_after_a_warning(self, acme, client, offline):
        attach(acme.policy, offline)

        asked = client.get(page("licensing_entitlement_remove", id=offline.pk)).content.decode()
        response = act(client, "licensing_entitlement_remove", offline)

        assert "A validation that asks for it fails." in asked
        assert response["Location"] == page("licensing_entitlement_changelist")
        assert not Entitlement.objects.exists()
        assert Activity.objects.get(noun="entitlement").event == "deleted"


class TestAttachment:
    PAGES = ["licensing_license", "licensing_policy", "pools_pool"]

    def row(self, acme, name):
        if name == "licensing_license":
            return make_license(acme.unpooled)
        return acme.policy if name == "pools_pool" else acme.unpooled

    def of(self, acme, name, row):
        if name == "licensing_license":
            return codes_of(Entitlement.objects.filter(license_entitlements__license=row))
        return codes_of(Entitlement.objects.of_policy(row.pk))

    @each_row("name", PAGES)
    def test_entitlements_are_attached_and_detached(self, acme, client, offline, name):
        row, cloud = self.row(acme, name), make_entitlement(acme.account, "CLOUD", "Cloud")
        attach(row, offline)
        address = page(f"{name}_entitlements", id=row.pk)

        client.post(address, {**sent_by(client, address), "entitlements": [cloud.pk]})

        assert self.of(acme, name, row) == ["CLOUD"]
        events = Activity.objects.order_by("id").values_list("event", "noun", "details")
        noun = "license" if name == "licensing_license" else "policy"
        attached, detached = [(f"entitlements-{verb}ed", noun, {"count": 1}) for verb in ("attach", "detach")]
        assert list(events)[-2:] == [attached, detached]

    @each_row("name", PAGES)
    def test_form_that_was_sent_as_it_is_changes_nothing(self, acme, client, offline, name):
        row = self.row(acme, name)
        attach(row, offline)
        address, before = page(f"{name}_entitlements", id=row.pk), Activity.objects.count()

        client.post(address, sent_by(client, address))

        assert self.of(acme, name, row) == ["OFFLINE"]
        assert Activity.objects.count() == before

    @each_row("name", PAGES)
    def test_form_keeps_what_others_have_attached_meanwhile(self, acme, client, offline, name):
        row, address = self.row(acme, name), None
        cloud, team = [make_entitlement(acme.account, code, code) for code in ("CLOUD", "TEAM")]
        attach(row, offline)
        address = page(f"{name}_entitlements", id=row.pk)
        opened = sent_by(client, address)
        attach(row, cloud)

        client.post(address, {**opened, "entitlements": [*opened["entitlements"], team.pk]})
        refused = client.post(address, {**opened, "entitlements": [cloud.pk]})

        assert self.of(acme, name, row) == ["CLOUD", "OFFLINE", "TEAM"]
        assert "Open its page again." in refused.content.decode()

    @each_row("name", PAGES)
    def test_entitlement_of_another_account_is_refused(self, acme, rival, client, offline, name):
        theirs, row = make_entitlement(rival.account), self.row(acme, name)

        response = act(client, f"{name}_entitlements", row, entitlements=[theirs.pk])

        assert response.status_code == 200
        assert self.of(acme, name, row) == []

    def test_license_shows_its_own_and_those_of_its_policy_apart(self, acme, client, offline):
        license, cloud = make_license(acme.unpooled), make_entitlement(acme.account, "CLOUD", "Cloud")
        attach(acme.unpooled, offline)
        attach(license, cloud)

        response = client.get(page("licensing_license_change", license.pk))
        offered = client.get(page("licensing_license_entitlements", id=license.pk)).context["form"]

        assert (response.context["entitlements"], response.context["inherited"]) == ([cloud], [offline])
        text = response.content.decode()
        assert text.index(">Cloud<") < text.index("<h3>From") < text.index(">Offline mode<")
        assert [label for _, label in offered.fields["entitlements"].choices] == ["Cloud (CLOUD)"]

    @each_row(("name", "shown"), [("licensing_policy_change", "unpooled"), ("pools_pool_terms", "policy")])
    def test_terms_show_entitlements(self, acme, client, offline, name, shown):
        policy = getattr(acme, shown)
        attach(policy, offline)

        text = client.get(page(name, policy.pk)).content.decode()

        assert '>Offline mode</bdi></a> <code class="quiet">OFFLINE</code>' in text
        assert "Change entitlements" in text

    def test_pool_leads_back_to_its_terms(self, acme, client, offline):
        response = act(client, "pools_pool_entitlements", acme.policy, entitlements=[offline.pk])

        assert response["Location"] == page("pools_pool_terms", acme.policy.pk)

    def test_without_entitlements_the_page_says_how_to_add_one(self, acme, client):
        text = client.get(page("licensing_policy_entitlements", id=acme.unpooled.pk)).content.decode()

        assert "There are no entitlements yet." in text


@each_row("name", GROUPS)
def test_each_role_sees_entitlements_and_operators_change_them(acme, offline, name):
    client, license = signed_in(staff(acme, name)), make_license(acme.unpooled)
    attach(license, offline)
    may = name == "Operator"

    shown = client.get(page("licensing_license_change", license.pk)).content.decode()

    assert ">Offline mode<" in shown
    assert ("Change entitlements" in shown) == may
    assert client.get(page("licensing_entitlement_changelist")).status_code == 200
    assert client.get(page("licensing_entitlement_change", offline.pk)).status_code == 200
    for address in ("licensing_entitlement_add", "licensing_entitlement_remove", "licensing_license_entitlements"):
        query = {} if address.endswith("add") else {"id": license.pk if "license_" in address else offline.pk}
        assert client.get(page(address, **query)).status_code == (200 if may else 403), address
    pool = client.get(page("pools_pool_entitlements", id=acme.policy.pk))
    assert pool.status_code == (200 if may else 403)
