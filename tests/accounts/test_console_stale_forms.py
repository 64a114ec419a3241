"""A form of the console that was opened before the row was changed does not overwrite the change."""

import pytest

from tests.console import page, signed_in, staff


@pytest.fixture
def client(acme):
    return signed_in(staff(acme))


def form(client, url, **values):
    """The values of a form as the page shows them, with some changed."""
    shown = client.get(url).context["adminform"].form
    fields = {name: shown[name].value() for name in shown.fields if shown[name].value() is not None}
    return {**fields, "metadata": "{}", **values}


def test_form_of_another_tab_does_not_overwrite_a_change(acme, client):
    user = acme.user("user")
    url = page("accounts_user_change", user.pk)
    first, second = form(client, url, first_name="Ann"), form(client, url, last_name="Lee")
    client.post(url, first)

    response = client.post(url, second)

    user.refresh_from_db()
    assert (user.first_name, user.last_name) == ("Ann", None)
    assert "Nothing was saved" in response.content.decode()


def test_saving_again_replaces_the_change(acme, client):
    user = acme.user("user")
    url = page("accounts_user_change", user.pk)
    first, second = form(client, url, first_name="Ann"), form(client, url, first_name="Lea")
    client.post(url, first)

    refused = client.post(url, second)
    assert "First name is now “Ann”" in refused.content.decode()
    again = {**second, "seen": refused.context["adminform"].form["seen"].value()}
    client.post(url, again)

    user.refresh_from_db()
    assert user.first_name == "Lea"


def test_form_that_is_up_to_date_is_saved(acme, client):
    user = acme.user("user")
    url = page("accounts_user_change", user.pk)

    assert client.post(url, form(client, url, first_name="Ann")).status_code == 302
    assert client.post(url, form(client, url, first_name="Lea")).status_code == 302

    user.refresh_from_db()
    assert user.first_name == "Lea"
