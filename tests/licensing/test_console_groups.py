"""Groups in the console: their limits, owners and members, and moving rows to them."""

import re

import pytest

from accounts.models import Activity, Group
from tests.accounts.groups import make_group
from tests.cast import make_license
from tests.console import GROUPS, act, form_values, page, signed_in, staff, superuser
from tests.licensing.machines import make_floating, make_machine
from tests.tables import each_row

ADD = {"name": "Hospital", "metadata": "{}"}


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


@pytest.fixture
def group(acme):
    return make_group(acme.account)


def emails_of(group):
    return sorted(group.owners.values_list("user__email", flat=True))


def rows_of(response):
    return [row.pk for row in response.context["cl"].result_list]


class TestPages:
    def test_group_is_added_with_limits_and_owners(self, acme, rival, client):
        for email in ("eva@acme.test", "jan@acme.test"):
            acme.user("user", email=email)
        sent = {"max_users": "10", "max_licenses": "0", "owners": " Eva@acme.test\r\njan@acme.test, eva@acme.test"}

        client.post(page("accounts_group_add"), {**ADD, **sent, "account": rival.account.pk})

        group = Group.objects.get()
        assert (group.account, group.max_users, group.max_licenses, group.max_machines) == (acme.account, 10, 0, None)
        assert emails_of(group) == ["eva@acme.test", "jan@acme.test"]
        assert Activity.objects.get(noun="group").event == "created"

    @each_row(("limit", "expected"), [(None, "2+"), (2, "2+ of 2"), (3, "3 of 3"), (4, "3 of 4")])
    def test_count_of_members_ends_at_a_bound_or_at_the_limit(self, acme, client, group, monkeypatch, limit, expected):
        monkeypatch.setattr("licensing.admin.groups.MAX_COUNTED_MEMBERS_OF_PAGE", 2)
        for _ in range(3):
            make_license(acme.unpooled, group=group)
        Group.objects.filter(pk=group.pk).update(max_licenses=limit)

        (licenses,) = (
            each
            for each in client.get(page("accounts_group_change", group.pk)).context["members"]
            if each["title"] == "Licenses"
        )

        assert (licenses["use"], licenses["is_full"]) == (expected, limit in (2, 3))

    def test_superuser_chooses_the_account(self, acme):
        eva = acme.user("user")

        signed_in(superuser()).post(
            page("accounts_group_add"), {**ADD, "account": acme.account.pk, "owners": eva.email}
        )

        assert Group.objects.get().account == acme.account
        assert emails_of(Group.objects.get()) == [eva.email]

    def test_group_is_changed_with_its_owners(self, acme, client, group):
        eva, jan = acme.user("user", email="eva@acme.test"), acme.user("user", email="jan@acme.test")
        group.owners.create(account=acme.account, user=eva)
        address = page("accounts_group_change", group.pk)

        values = form_values(client, address)
        client.post(address, {**values, "max_machines": "5", "owners": jan.email})

        group.refresh_from_db()
        assert (group.max_machines, emails_of(group)) == (5, ["jan@acme.test"])
        assert Activity.objects.get(noun="group", event="changed").details == {
            "fields": ["Machines, at most", "Owners"]
        }

    def test_owners_that_others_set_meanwhile_stay(self, acme, client, group):
        eva, jan = acme.user("user", email="eva@acme.test"), acme.user("user", email="jan@acme.test")
        address = page("accounts_group_change", group.pk)
        opened = form_values(client, address)
        group.owners.create(account=acme.account, user=eva)

        client.post(address, {**opened, "name": "Clinic"})
        client.post(address, {**opened, "seen": "", "owners": jan.email})

        group.refresh_from_db()
        assert (group.name, emails_of(group)) == ("Hospital", ["eva@acme.test", "jan@acme.test"])

    @each_row(
        ("sent", "said"),
        [
            ({"owners": "unknown@acme.test"}, "No user has the email unknown@acme.test."),
            ({"owners": "user@rival.test"}, "No user has the email user@rival.test."),
            ({"owners": " ".join(f"u{number}@acme.test" for number in range(3))}, "At most 2 owners can be set here."),
            ({"max_users": "-1"}, "must be greater than or equal to 0"),
            ({"max_users": "x"}, "Enter a whole number."),
            ({"name": ""}, "This field is required."),
        ],
    )
    def test_mistakes_are_explained(self, acme, rival, client, monkeypatch, sent, said):
        monkeypatch.setattr("licensing.admin.groups.MAX_OWNERS", 2)
        rival.user("user")
        for number in range(3):
            acme.user("user", email=f"u{number}@acme.test")

        response = client.post(page("accounts_group_add"), {**ADD, **sent})

        assert said in response.content.decode()
        assert not Group.objects.exists()

    def test_page_shows_how_much_is_used_and_the_members(self, acme, client, group):
        group.max_users, group.max_licenses = 10, 1
        group.save()
        eva = acme.user("user", email="eva@acme.test", group=group)
        license = make_license(acme.unpooled, group=group, name="Eva's license")
        machine = make_machine(make_floating(acme.product), name="Studio", group=group)

        response = client.get(page("accounts_group_change", group.pk))

        text = response.content.decode()
        used = [(kind["title"], kind["use"], kind["is_full"]) for kind in response.context["members"]]
        assert used == [("Customers", "1 of 10", False), ("Licenses", "1 of 1", True), ("Machines", "1", False)]
        for name, row in (
            ("accounts_customer_change", eva),
            ("licensing_license_change", license),
            ("licensing_machine_change", machine),
        ):
            assert page(name, row.pk) in text

    def test_page_shows_the_newest_members_and_leads_to_the_others(self, acme, client, group, monkeypatch):
        monkeypatch.setattr("licensing.admin.groups.MAX_SHOWN_MEMBERS", 1)
        make_license(acme.unpooled)
        users = [acme.user("user", email=f"u{number}@acme.test", group=group).pk for number in range(2)]
        licenses = [make_license(acme.unpooled, group=group) for _ in range(2)]
        machines = [make_machine(licenses[0], str(number), group=group).pk for number in range(2)]
        make_machine(licenses[0], "other")

        text = client.get(page("accounts_group_change", group.pk)).content.decode()

        expected = {
            "accounts_customer": users,
            "licensing_license": [row.pk for row in licenses],
            "licensing_machine": machines,
        }
        for name, rows in expected.items():
            address = page(f"{name}_changelist", group=group.pk)
            assert f'href="{address}"' in text
            assert sorted(rows_of(client.get(address))) == sorted(rows), name

    def test_list_shows_how_much_is_used(self, acme, client, group, monkeypatch):
        monkeypatch.setattr("licensing.admin.groups.MAX_COUNTED_MEMBERS", 2)
        Group.objects.update(max_licenses=20, max_users=3)
        for _ in range(3):
            make_license(acme.unpooled, group=group)
        acme.user("user", group=group)

        text = client.get(page("accounts_group_changelist")).content.decode()

        assert re.findall(r'class="field-(?:users|licenses|machines)">([^<]+)<', text) == ["1 of 3", "2+ of 20", "0"]

    def test_list_costs_a_fixed_number_of_statements(self, acme, client, django_assert_num_queries):
        counts = []
        for number in (2, 12):
            for _ in range(number):
                make_license(acme.unpooled, group=make_group(acme.account))
            with django_assert_num_queries(12, exact=False) as statements:
                client.get(page("accounts_group_changelist"))
            counts.append(len(statements))

        assert counts[0] == counts[1]

    def test_group_is_deleted_and_its_members_stay(self, acme, client, group):
        license = make_license(acme.unpooled, group=group)

        act(client, "accounts_group_remove", group)

        license.refresh_from_db()
        assert (Group.objects.count(), license.group_id) == (0, None)
        assert Activity.objects.get(noun="group").event == "deleted"


class TestMembers:
    def rows(self, acme):
        license = make_floating(acme.product)
        return {
            "licensing_license": license,
            "accounts_customer": acme.user("user"),
            "licensing_machine": make_machine(license, name="Studio"),
        }

    @each_row("name", ["licensing_license", "accounts_customer", "licensing_machine"])
    def test_row_enters_and_leaves_a_group_from_its_page(self, acme, client, group, name):
        row = self.rows(acme)[name]
        shown = client.get(page(f"{name}_change", row.pk)).content.decode()

        act(client, f"{name}_group", row, group=group.pk)
        row.refresh_from_db()
        entered = row.group
        inside = client.get(page(f"{name}_change", row.pk)).content.decode()
        act(client, f"{name}_group", row, group="")
        row.refresh_from_db()

        assert (entered, row.group) == (group, None)
        assert page(f"{name}_group", id=row.pk) in shown
        assert page("accounts_group_change", group.pk) in inside
        changes = Activity.objects.filter(event="group-changed").order_by("id").values_list("details", flat=True)
        assert list(changes) == [{"to": "Hospital"}, {"to": ""}]

    @each_row(
        ("name", "limit", "said"),
        [
            ("licensing_license", "max_licenses", "cannot enter Full: its limit is 0 licenses"),
            ("accounts_customer", "max_users", "user@acme.test cannot enter Full: its limit is 0 users"),
            ("licensing_machine", "max_machines", "Studio cannot enter Full: its limit is 0 machines"),
        ],
    )
    def test_full_group_is_refused_in_words(self, acme, client, name, limit, said):
        full, row = make_group(acme.account, "Full", **{limit: 0}), self.rows(acme)[name]

        response = act(client, f"{name}_group", row, group=full.pk)

        row.refresh_from_db()
        assert (response.status_code, row.group) == (422, None)
        assert said in response.content.decode()
        assert not Activity.objects.filter(event="group-changed").exists()

    def test_group_of_another_account_is_no_choice(self, acme, rival, client):
        theirs, license = make_group(rival.account, "Theirs"), make_license(acme.unpooled)

        asked = client.get(page("licensing_license_group", id=license.pk)).content.decode()
        act(client, "licensing_license_group", license, group=theirs.pk)

        license.refresh_from_db()
        assert "Theirs" not in asked
        assert license.group is None

    def test_superuser_moves_no_row_to_a_group_of_another_account(self, acme, rival, group):
        licenses = [make_license(acme.unpooled), make_license(rival.unpooled)]

        act(signed_in(superuser()), "licensing_license_group", *licenses, group=group.pk)

        for license in licenses:
            license.refresh_from_db()
        assert [license.group for license in licenses] == [group, None]

    def test_many_licenses_enter_as_far_as_there_is_room(self, acme, client):
        group = make_group(acme.account, max_licenses=2)
        licenses = [make_license(acme.unpooled) for _ in range(3)]

        response = act(client, "licensing_license_group", *licenses, group=group.pk)

        notices = [str(message) for message in client.get(response["Location"]).context["messages"]]
        assert notices == ["2 licenses moved.", "1 unchanged: cannot enter Hospital: its limit is 2 licenses."]


@each_row("name", GROUPS)
def test_each_role_sees_groups_and_operators_change_them(acme, group, name):
    client, license = signed_in(staff(acme, name)), make_license(acme.unpooled, group=group)
    may = name == "Operator"

    shown = client.get(page("licensing_license_change", license.pk)).content.decode()

    assert page("accounts_group_change", group.pk) in shown
    assert ("Change group" in shown) == may
    assert page("accounts_group_changelist") in shown
    assert client.get(page("accounts_group_change", group.pk)).status_code == 200
    assert client.get(page("accounts_group_add")).status_code == (200 if may else 403)
    assert client.get(page("accounts_group_remove", id=group.pk)).status_code == (200 if may else 403)
    assert client.get(page("licensing_license_group", id=license.pk)).status_code == (200 if may else 403)
