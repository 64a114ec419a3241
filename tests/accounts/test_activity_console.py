"""The activity has every change in the console, and every sign-in to it, that the ledger of keys has not."""

import pytest
from django.contrib import admin
from django.core.management import call_command
from django.test import Client

from accounts.admin.actions import EVENTS, RowAction
from accounts.models import Activity, Token
from tests.cast import add_keys, make_license
from tests.console import PASSWORD, act, page, signed_in, staff, superuser


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def operator(ann):
    return signed_in(ann)


def entries():
    """The events, nouns and names of the entries, in the order of the changes."""
    return [(entry.event, entry.noun, entry.name) for entry in Activity.objects.order_by("id")]


def test_a_change_by_a_form_is_recorded_with_its_fields(acme, ann, operator):
    form = {"name": "Sketchline", "code": "", "url": "", "platforms": "null", "distribution_strategy": "LICENSED"}
    form |= {"metadata": "{}", "initial-metadata": "{}"}
    operator.post(page("licensing_product_add"), form)
    product = acme.account.products.get(name="Sketchline")
    operator.post(page("licensing_product_change", product.pk), form | {"name": "Sketchline 2", "code": "sketch"})
    operator.post(page("licensing_product_change", product.pk), form | {"name": "Sketchline 2", "code": "sketch"})

    assert entries() == [("created", "product", "Sketchline"), ("changed", "product", "Sketchline 2")]
    entry = Activity.objects.first()
    assert (entry.operator, entry.operator_id, entry.account) == (ann.email, ann.pk, acme.account)
    assert sorted(name.lower() for name in entry.details["fields"]) == ["code", "name"]
    assert entry.request_id


def test_actions_are_recorded_for_the_rows_that_they_changed(acme, operator):
    one, other = make_license(acme.unpooled, name="One"), make_license(acme.unpooled, name="Two", suspended=True)

    act(operator, "licensing_license_suspend", one, other)
    act(operator, "licensing_license_suspend", other)
    act(operator, "licensing_license_revoke", one)

    assert entries() == [("suspended", "license", "One"), ("revoked", "license", "One")]


def test_actions_on_keys_are_in_the_ledger_only(acme, operator):
    (key,) = add_keys(acme.policy, "KEY-0001")

    act(operator, "pools_key_reveal", key)
    act(operator, "pools_key_withdraw", key)

    assert not Activity.objects.exists()


def test_every_action_of_the_console_has_an_event(acme):
    """Without one it is recorded as a change, in the words of its button."""
    unknown = set()
    for model, model_admin in admin.site._registry.items():
        for action in getattr(model_admin, "confirmed_actions", ()):
            if not getattr(model, "in_ledger", False) and isinstance(action, RowAction):
                unknown |= {action.name} - EVENTS.keys()

    assert unknown == set()


def test_a_token_is_recorded_with_its_bearer(acme, operator):
    act(operator, "licensing_product_token", acme.product, name="Shop EU")
    token = Token.objects.get(name="Shop EU")
    act(operator, "accounts_token_revoke", token)

    assert entries() == [("created", "token", "Shop EU"), ("revoked", "token", "Shop EU")]
    assert Activity.objects.get(event="created").details == {"bearer": "Rocket"}


def test_people_are_recorded(acme, operator):
    operator.post(page("accounts_user_add"), {"email": "new@acme.test", "role": "user", "metadata": "{}"})
    user = acme.account.users.get(email="new@acme.test")
    act(operator, "accounts_user_ban", user)
    act(operator, "accounts_user_unban", user)

    assert entries() == [
        ("created", "user", "new@acme.test"),
        ("banned", "user", "new@acme.test"),
        ("unbanned", "user", "new@acme.test"),
    ]


def test_a_sign_in_is_recorded_and_a_failed_one_is_not(acme, ann):
    client = Client()
    client.post(page("login"), {"username": ann.email, "password": "wrong"})
    client.get(page("login"))
    client.post(page("login"), {"username": ann.email, "password": PASSWORD})

    entry = Activity.objects.get()
    assert (entry.event, entry.object_id, entry.operator_id, entry.account) == (
        "signed-in",
        ann.pk,
        ann.pk,
        acme.account,
    )
    assert entry.request_id


def test_a_superusers_sign_in_belongs_to_no_account(db):
    Client().post(page("login"), {"username": superuser(PASSWORD).email, "password": PASSWORD})

    assert Activity.objects.get().account is None


def test_ones_own_password_is_recorded(ann, operator):
    form = {"old_password": PASSWORD, "new_password": "another sesame", "new_password_again": "another sesame"}
    operator.post(page("password_change"), form)

    assert entries() == [("password-changed", "user", "ann@acme.test")]


def test_change_by_a_superuser_is_in_the_activity_of_the_account(acme):
    client = signed_in(superuser())

    act(client, "accounts_account_rotate-signing-keys", acme.account, keys="ed25519")

    entry = Activity.objects.get()
    assert (entry.event, entry.noun, entry.account) == ("keys-rotated", "account", acme.account)


@pytest.mark.parametrize(
    ("command", "arguments", "event"),
    [
        ("create_account", ["new", "a@new.test"], "created"),
        ("change_account", ["acme", "--mask-keys"], "changed"),
        ("rotate_signing_key", ["acme"], "keys-rotated"),
        ("allow_sign_in", ["ann@acme.test", "192.0.2.1", "--account", "acme"], "sign-in-allowed"),
    ],
)
def test_commands_are_recorded(acme, ann, command, arguments, event):
    call_command(command, *arguments)

    entry = Activity.objects.get()
    assert (entry.event, entry.operator, entry.operator_id) == (event, f"manage.py {command}", None)
