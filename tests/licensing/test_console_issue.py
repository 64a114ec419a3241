"""Issuing a license in the console, to a customer who may be new."""

import pytest

from accounts.models import Customer, User
from licensing.models import License
from pools.models import KeyEvent
from tests.cast import add_keys, make_license, make_policy
from tests.console import page, shown, signed_in, staff, superuser

NEW = "jan@example.com"


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test"))


def issue(client, policy, **values):
    return client.post(page("licensing_license_add"), {"policy": policy.pk, **values})


def errors_of(response):
    assert response.status_code == 200
    return {name: list(errors) for name, errors in response.context["form"].errors.items()}


class TestCustomer:
    def test_console_issue_takes_a_key_and_shows_it(self, acme, client):
        add_keys(acme.policy, "KEY-0001")
        owner = acme.user("user")

        response = issue(client, acme.policy, name="Ann's", owner="User@acme.test", reference="Order 1")

        license = License.objects.get()
        assert shown(client, response) == license.key == "KEY-0001"
        assert (license.name, license.owner, license.reference) == ("Ann's", owner, "Order 1")
        event = KeyEvent.objects.get()
        assert (event.event, event.operator, event.reference) == ("issued", "ann@acme.test", "Order 1")

    @pytest.mark.parametrize(
        ("name", "first", "last"),
        [
            ("Jan Novák", "Jan", "Novák"),
            ("Jan Maria  Novák", "Jan Maria", "Novák"),
            ("Jan", "Jan", None),
            ("", None, None),
        ],
    )
    def test_console_issue_creates_a_new_customer(self, acme, client, name, first, last):
        issue(client, acme.unpooled, owner=" Jan@Example.com ", customer_name=name)

        customer = Customer.objects.get(email=NEW)
        assert License.objects.get().owner_id == customer.pk
        assert (customer.account, customer.first_name, customer.last_name) == (acme.account, first, last)
        assert (customer.role, customer.is_staff, customer.has_usable_password()) == ("user", False, False)

    def test_console_issue_knows_a_customer_by_the_email(self, acme, client):
        jan = acme.user("user", email=NEW, first_name="Jan", last_name="Novák")

        issue(client, acme.unpooled, owner="JAN@example.com", customer_name="Someone Else")

        jan.refresh_from_db()
        assert (License.objects.get().owner, jan.display_name) == (jan, "Jan Novák")

    def test_console_issue_knows_customers_of_the_account_only(self, acme, rival, client):
        theirs = rival.user("user", email=NEW)

        issue(client, acme.unpooled, owner=NEW)

        owner = License.objects.get().owner
        assert (owner.account, owner == theirs) == (acme.account, False)

    def test_superuser_creates_the_customer_in_the_account_of_the_policy(self, acme, rival):
        issue(signed_in(superuser()), rival.unpooled, owner=NEW)

        assert User.objects.get(email=NEW).account == rival.account

    def test_console_issue_refuses_a_blocked_customer(self, acme, client):
        add_keys(acme.policy, "KEY-0001")
        acme.user("user", email=NEW).ban()

        assert "is blocked" in errors_of(issue(client, acme.policy, owner=NEW))["owner"][0]
        assert acme.policy.pool.available().count() == 1

    def test_console_issue_adds_customers_only_with_the_permission(self, acme):
        person = staff(acme, email="bob@acme.test")
        group = person.groups.get()
        group.permissions.remove(group.permissions.get(codename="add_user"))
        client = signed_in(person)

        refused = issue(client, acme.unpooled, owner=NEW)
        acme.user("user", email=NEW)

        assert "may not add customers" in errors_of(refused)["owner"][0]
        assert issue(client, acme.unpooled, owner=NEW).status_code == 302

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            ({"owner": "no email"}, "Enter an email address"),
            ({"customer_name": "Jan Novák"}, "Enter the email of the customer, too."),
        ],
    )
    def test_console_issue_shows_the_error_of_a_missing_owner(self, acme, client, values, error):
        assert errors_of(issue(client, acme.unpooled, **values))["owner"][0].startswith(error)
        assert not License.objects.exists()


class TestEmptyPool:
    def test_console_issue_leads_to_the_import(self, acme, client):
        (error,) = errors_of(issue(client, acme.policy, owner=NEW))["policy"]

        url = page("pools_pendingimport_import", acme.policy.pk)
        assert error == f'<bdi>Pooled</bdi> is empty. <a href="{url}">Import keys</a> or choose another pool.'
        assert not License.objects.exists()
        assert not User.objects.filter(email=NEW).exists()  # rolled back with the license

    def test_console_issue_escapes_the_name_of_the_pool(self, acme, client):
        policy = make_policy(acme.product, "<b>bold</b>", use_pool=True)

        text = issue(client, policy).content.decode()

        assert "<b>bold" not in text
        assert "&lt;b&gt;bold&lt;/b&gt;</bdi> is empty" in text


class TestResult:
    def test_page_after_issue_leads_on(self, acme, client):
        add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
        response = issue(client, acme.policy, owner=NEW, customer_name="Jan Novák", reference="Order 7")

        text = client.get(response["Location"]).content.decode()

        license = License.objects.get()
        for expected in (
            "License for Jan Novák",
            "C1B6DE-39A6E3-59V3",
            "Rocket · Pooled",
            "Order 7",
            page("licensing_license_change", license.pk),
            page("accounts_customer_change", license.owner_id),
        ):
            assert expected in text, expected

    def test_page_after_issue_without_mail_says_so(self, acme, client, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        response = issue(client, acme.unpooled, owner=NEW)

        text = client.get(response["Location"]).content.decode()

        assert "mail is not set up on this server" in text
        assert "Email it to" not in text

    def test_form_is_filled_in_by_ids_of_ones_own_only(self, acme, rival, client):
        ann, theirs = acme.user("user"), rival.user("user")

        mine = client.get(page("licensing_license_add", policy=acme.policy.pk, customer=ann.pk))
        other = client.get(page("licensing_license_add", policy=rival.policy.pk, customer=theirs.pk))

        assert mine.context["form"]["owner"].value() == "user@acme.test"
        assert mine.context["form"]["policy"].value() == acme.policy.pk
        assert theirs.email not in other.content.decode()


def test_reference_of_a_license_is_kept_by_the_api_too(acme, api, acme_admin):
    document = {
        "data": {
            "type": "licenses",
            "relationships": {"policy": {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}},
        }
    }

    response = api(acme_admin).post("licenses", document, **{"Keygen_Reference": "Order 8"})

    assert response.status_code == 201
    assert License.objects.get().reference == "Order 8"
    assert "reference" not in response.json()["data"]["attributes"]


def test_license_page_has_its_story(acme, client):
    license = make_license(acme.unpooled, "C1B6DE-39A6E3-59V3", owner=acme.user("user"), reference="Order 9")

    text = client.get(page("licensing_license_change", license.pk)).content.decode()

    for expected in ("Issued", "user@acme.test", "Order 9", "It never expires.", "C1B6…59V3", "History"):
        assert expected in text, expected
    assert "39A6E3" not in text
