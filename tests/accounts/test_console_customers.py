"""Customers in the console: a list of their own, by the permissions and the rank of users."""

import re

import pytest

from accounts.models import Customer, Token, User
from tests.cast import make_license
from tests.console import act, group, page, shown, signed_in, staff, superuser


@pytest.fixture
def operator(acme):
    return signed_in(staff(acme))


def rows_of(response):
    return list(response.context["cl"].result_list)


class TestList:
    def test_console_lists_customers_and_not_the_team(self, acme, rival, operator):
        ann = acme.user("user")
        rival.user("user")
        acme.user("developer")
        acme.user("user", email="clerk@acme.test", is_staff=True)

        assert [each.pk for each in rows_of(operator.get(page("accounts_customer_changelist")))] == [ann.pk]

    @pytest.mark.parametrize(
        "text",
        ["customer25", "CUSTOMER25", "example.com", "@example.com", "omer25@ex", "Novák", "novak", "NOVÁK", "jan novák"]
        + ["jan", None],
    )
    def test_console_finds_customers_by_a_part(self, acme, operator, text):
        jan = acme.user("user", email="customer25@example.com", first_name="Jan", last_name="Novák")
        acme.user("user", email="other@acme.test", first_name="Eva", last_name="Dvořák")

        found = rows_of(operator.get(page("accounts_customer_changelist"), {"q": text or jan.pk}))

        assert [each.pk for each in found] == [jan.pk]

    def test_console_finds_old_customers_by_the_beginning(self, acme, operator, monkeypatch):
        """By an index: the newest only are read for other parts."""
        monkeypatch.setattr("keygen_site.db.text_search.MAX_SCANNED_ROWS", 1)
        jan = acme.user("user", email="customer25@example.com", first_name="Jan", last_name="Novák")
        for number in range(3):
            acme.user("user", email=f"new{number}@acme.test")

        for text, found in (("customer25", 1), ("example.c", 1), ("Jan", 1), ("nov", 1), ("omer25", 0)):
            rows = rows_of(operator.get(page("accounts_customer_changelist"), {"q": text}))
            assert [each.pk for each in rows] == [jan.pk] * found, text

    def test_console_says_that_there_are_more_results(self, acme, operator):
        for number in range(60):
            acme.user("user", email=f"customer{number}@example.com")

        text = operator.get(page("accounts_customer_changelist", q="customer")).content.decode()

        assert "Type more to narrow them down." in text

    def test_console_counts_the_licenses_of_customers(self, acme, operator, monkeypatch):
        monkeypatch.setattr("licensing.admin.customers.MAX_COUNTED_LICENSES", 3)
        for email, count in (("one@acme.test", 1), ("many@acme.test", 4), ("none@acme.test", 0)):
            owner = acme.user("user", email=email)
            for _ in range(count):
                make_license(acme.unpooled, owner=owner)

        text = operator.get(page("accounts_customer_changelist")).content.decode()

        shown = dict(re.findall(r"customer=([0-9a-f-]{36})\">(\d\+?)<", text))
        emails = {User.objects.get(pk=pk).email: count for pk, count in shown.items()}
        assert emails == {"one@acme.test": "1", "many@acme.test": "3+"}

    def test_console_filters_customers_by_block(self, acme, operator):
        ann, bob = acme.user("user"), acme.user("user", email="bob@acme.test")
        bob.ban()

        found = {
            status: [each.pk for each in rows_of(operator.get(page("accounts_customer_changelist", status=status)))]
            for status in ("active", "blocked")
        }

        assert found == {"active": [ann.pk], "blocked": [bob.pk]}


class TestChange:
    def test_console_adds_a_customer(self, acme, rival, operator):
        values = {"email": "New@acme.test", "first_name": "Jan", "metadata": "{}"}
        forged = {"role": "admin", "account": rival.account.pk, "is_staff": "on"}
        operator.post(page("accounts_customer_add"), {**values, **forged})

        customer = User.objects.get(email="new@acme.test")
        assert (customer.account, customer.role, customer.is_staff) == (acme.account, "user", False)
        assert (customer.display_name, customer.has_usable_password()) == ("Jan", False)

    def test_superuser_adds_a_customer_to_an_account(self, acme):
        client = signed_in(superuser())
        values = {"email": "new@acme.test", "metadata": "{}"}

        refused = client.post(page("accounts_customer_add"), values)
        client.post(page("accounts_customer_add"), {**values, "account": acme.account.pk})

        assert "account" in refused.context["adminform"].form.errors
        assert User.objects.get(email="new@acme.test").account == acme.account

    def test_console_changes_email_and_name(self, acme, operator):
        ann = acme.user("user")
        Token.generate(ann)

        values = {"email": "ann@new.test", "last_name": "Example", "metadata": "{}"}
        operator.post(page("accounts_customer_change", ann.pk), values)

        ann.refresh_from_db()
        assert (ann.email, ann.last_name, ann.tokens.count()) == ("ann@new.test", "Example", 0)

    def test_console_keeps_the_password_unless_there_is_a_new_one(self, acme, operator):
        ann = acme.user("user", password="open sesame")
        values = {"email": ann.email, "metadata": "{}"}

        operator.post(page("accounts_customer_change", ann.pk), values)
        ann.refresh_from_db()
        kept = ann.check_password("open sesame")
        operator.post(page("accounts_customer_change", ann.pk), {**values, "new_password": "another sesame"})

        ann.refresh_from_db()
        assert (kept, ann.check_password("another sesame")) == (True, True)

    def test_only_admins_change_the_email(self, acme):
        ann = acme.user("user")
        client = signed_in(staff(acme, email="dev@acme.test", role="developer"))

        values = {"email": "x@acme.test", "first_name": "Ann", "metadata": "{}"}
        client.post(page("accounts_customer_change", ann.pk), values)

        ann.refresh_from_db()
        assert (ann.email, ann.first_name) == ("user@acme.test", "Ann")

    def test_console_blocks_and_makes_tokens(self, acme, operator):
        ann = acme.user("user")

        text = shown(operator, act(operator, "accounts_customer_token", ann))
        act(operator, "accounts_customer_ban", ann)

        assert text.startswith("user-")
        assert ann.tokens.count() == 1
        assert User.objects.get(pk=ann.pk).banned


class TestReach:
    """Permissions are those of users; Customer has none of its own."""

    @pytest.mark.parametrize("name", ["Support", "Auditor"])
    def test_who_may_only_look_changes_nothing(self, acme, name):
        ann = acme.user("user")
        client = signed_in(staff(acme, name))

        assert client.get(page("accounts_customer_changelist")).status_code == 200
        assert client.get(page("accounts_customer_change", ann.pk)).status_code == 200
        assert client.get(page("accounts_customer_add")).status_code == 403
        assert client.post(page("accounts_customer_change", ann.pk), {"email": "x@acme.test"}).status_code == 403
        assert act(client, "accounts_customer_ban", ann).status_code == 403

    def test_a_person_without_a_group_sees_no_customers(self, acme):
        person = staff(acme)
        person.groups.clear()

        assert signed_in(person).get(page("accounts_customer_changelist")).status_code == 403

    def test_team_has_no_pages_of_customers(self, acme, operator):
        response = operator.get(page("accounts_customer_change", acme.admin.pk))

        assert response.status_code == 302
        assert act(operator, "accounts_customer_ban", acme.admin).status_code == 404

    def test_customer_page_shows_licenses_to_those_who_may_see_them(self, acme, operator):
        ann = acme.user("user")
        license = make_license(acme.unpooled, "C1B6DE-39A6E3-59V3", owner=ann)

        text = operator.get(page("accounts_customer_change", ann.pk)).content.decode()

        assert page("licensing_license_change", license.pk) in text
        assert page("licensing_license_add", customer=ann.pk) in text
        assert "C1B6…59V3" in text
        assert "39A6E3" not in text

    def test_customers_have_no_permissions_of_their_own(self, db):
        assert not group("Operator").permissions.model.objects.filter(content_type__model="customer").exists()


def test_proxy_is_the_same_bearer(acme):
    """A token made for the proxy speaks for the user."""
    ann = acme.user("user")

    Token.generate(Customer.objects.get(pk=ann.pk))

    assert ann.tokens.get().bearer == ann
