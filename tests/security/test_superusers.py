"""A superuser is made by an explicit choice of a superuser: never by an empty field, never by an operator."""

import pytest

from accounts.models import User
from tests.console import page, signed_in, staff, superuser
from tests.tables import each_row

EMAIL = "new@acme.test"
FORM = {"email": EMAIL, "role": "user", "metadata": "{}"}


@pytest.fixture
def root(db):
    return signed_in(superuser())


def test_an_empty_account_makes_no_superuser(root):
    response = root.post(page("accounts_user_add"), FORM)

    assert response.status_code == 200
    assert "Choose the account of the user, or tick “Superuser”." in response.content.decode()
    assert not User.objects.filter(email=EMAIL).exists()


def test_a_superuser_makes_a_superuser_by_the_box(root):
    response = root.post(page("accounts_user_add"), {**FORM, "new_superuser": "on"})

    user = User.objects.get(email=EMAIL)
    assert response.status_code == 302
    assert (user.is_superuser, user.account) == (True, None)


def test_a_superuser_makes_a_user_of_an_account(acme, root):
    root.post(page("accounts_user_add"), {**FORM, "account": acme.account.pk})

    user = User.objects.get(email=EMAIL)
    assert (user.is_superuser, user.account) == (False, acme.account)


def test_the_box_and_an_account_exclude_each_other(acme, root):
    response = root.post(page("accounts_user_add"), {**FORM, "account": acme.account.pk, "new_superuser": "on"})

    assert "A superuser belongs to no account" in response.content.decode()
    assert not User.objects.filter(email=EMAIL).exists()


@each_row("forged", [{"new_superuser": "on"}, {"is_superuser": "on"}, {"new_superuser": "on", "account": ""}])
def test_an_operator_makes_none(acme, forged):
    client = signed_in(staff(acme))
    assert "new_superuser" not in client.get(page("accounts_user_add")).content.decode()

    client.post(page("accounts_user_add"), {**FORM, **forged})

    user = User.objects.get(email=EMAIL)
    assert (user.is_superuser, user.account) == (False, acme.account)


@each_row("who", ["operator", "superuser"])
def test_no_change_makes_one(acme, root, who):
    user = acme.user(email=EMAIL)
    client = root if who == "superuser" else signed_in(staff(acme))
    assert "new_superuser" not in client.get(page("accounts_user_change", user.pk)).content.decode()

    client.post(page("accounts_user_change", user.pk), {**FORM, "new_superuser": "on", "account": ""})

    user.refresh_from_db()
    assert (user.is_superuser, user.account) == (False, acme.account)
