"""A session in the console is over when its user may not use the console any more, and does not come back with access.

Each state of a user or account, by each way in: a session, email and password, a token.
"""

from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.second_factors import remove_second_factor
from accounts.services import change_account, change_user
from accounts.sessions import MAX_DELETED_SESSIONS
from tests.accounts.documents import basic
from tests.cast import add_keys, token_of
from tests.conftest import API
from tests.console import PASSWORD, page, signed_in, staff, superuser
from tests.security.second_factors import enable
from tests.tables import each_row

EMAIL = "ann@acme.test"


def set_status(ann, status):
    ann.account.status = status
    change_account(ann.account, "status")


def set_status_in_console(ann, status):
    values = {"name": "Acme", "slug": "acme", "status": status, "protected": "on"}
    assert signed_in(superuser()).post(page("accounts_account_change", ann.account_id), values).status_code == 302


def ban_and_unban(ann):
    ann.ban()
    ann.unban()


def take_and_give_access(ann):
    change_user(ann, {"is_staff": False})
    change_user(ann, {"is_staff": True})


def cancel_and_subscribe(ann):
    set_status(ann, "CANCELED")
    set_status(ann, "SUBSCRIBED")


def change_email_and_back(ann):
    change_user(ann, {"email": "eve@acme.test"})
    change_user(ann, {"email": EMAIL})


def turn_second_factor_on_and_off(ann):
    enable(ann)
    remove_second_factor(ann)


# How a state comes about, and the status of a sign-in to the API by email and password, of a request with a token that
# the user had, and of a new sign-in to the console.
OPEN, REFUSED = 302, 200  # of the console: to the home page, or the form again
STATES = {
    "unchanged": (lambda ann: None, 201, 200, OPEN),
    "banned": (lambda ann: ann.ban(), 403, 403, REFUSED),
    "unbanned": (ban_and_unban, 201, 200, OPEN),
    "without access": (lambda ann: change_user(ann, {"is_staff": False}), 201, 401, REFUSED),
    "with access again": (take_and_give_access, 201, 401, OPEN),
    "of a paused account": (lambda ann: set_status(ann, "PAUSED"), 201, 403, REFUSED),
    "of a canceled account": (lambda ann: set_status(ann, "CANCELED"), 201, 403, REFUSED),
    "of an account canceled in the console": (lambda ann: set_status_in_console(ann, "CANCELED"), 201, 403, REFUSED),
    "of an account that is served again": (cancel_and_subscribe, 201, 200, OPEN),
    "with another password": (lambda ann: change_user(ann, {"password": "zebra crossing"}), 401, 401, REFUSED),
    "with another email": (lambda ann: change_user(ann, {"email": "eve@acme.test"}), 401, 401, REFUSED),
    "with the old email again": (change_email_and_back, 201, 401, OPEN),
    "without a second factor again": (turn_second_factor_on_and_off, 201, 200, OPEN),
    "deleted": (lambda ann: ann.remove(), 401, 401, REFUSED),
}


def sign_in():
    client = Client()
    response = client.post(page("login"), {"username": EMAIL, "password": PASSWORD, "next": "/admin/"})
    return client, response.status_code


@pytest.fixture
def ann(acme):
    return staff(acme, email=EMAIL, password=PASSWORD)


@each_row("state", STATES)
def test_access_ends_at_every_door(acme, ann, state):
    change, by_password, by_token, in_console = STATES[state]
    add_keys(acme.policy, "KEY-0001")
    (session, signed), token = sign_in(), API(token_of(ann))
    assert (signed, session.get(page("index")).status_code) == (302, 200)

    change(ann)

    expected = 200 if state == "unchanged" else 302
    export = session.post(page("pools_pool_export", acme.policy.pk), {"state": "all", "format": "csv"})
    assert export.status_code == expected
    assert session.get(page("index")).status_code == expected
    assert token.get("policies").status_code == by_token
    assert API().post("tokens", Authorization=basic(EMAIL, PASSWORD)).status_code == by_password
    assert sign_in()[1] == in_console


@pytest.mark.parametrize("status", ["PAUSED", "CANCELED"])
def test_a_status_that_another_program_writes_ends_sessions_too(acme, ann, status):
    session, _ = sign_in()
    type(acme.account).objects.filter(pk=acme.account.pk).update(status=status)

    assert session.get(page("index")).status_code == 302


def test_other_accounts_keep_their_sessions(acme, rival):
    other, root = signed_in(staff(rival)), signed_in(superuser())

    set_status(acme.admin, "CANCELED")

    assert [client.get(page("index")).status_code for client in (other, root)] == [200, 200]


def test_a_ban_in_the_console_says_that_sessions_end(acme, ann):
    text = signed_in(superuser()).get(f"{page('accounts_user_ban')}?id={ann.pk}").content.decode()

    assert "They are signed out of the console." in text


class TestExpired:
    def test_expired_sessions_are_deleted_by_sign_ins_a_few_at_a_time(self, ann):
        now = timezone.now()
        Session.objects.bulk_create(
            Session(session_key=f"{number:032}", session_data="", expire_date=now + timedelta(seconds=number - 200))
            for number in range(MAX_DELETED_SESSIONS + 50)
        )
        Session.objects.create(session_key="open", session_data="", expire_date=now + timedelta(hours=1))

        left = []
        for _ in range(3):
            sign_in()
            left.append(Session.objects.filter(expire_date__lt=now).count())

        assert left == [50, 0, 0]
        assert Session.objects.filter(session_key="open").exists()

    def test_expired_sessions_are_left_by_refused_sign_ins(self, ann):
        Session.objects.create(session_key="old", session_data="", expire_date=timezone.now() - timedelta(hours=1))

        Client().post(page("login"), {"username": EMAIL, "password": "wrong"})

        assert Session.objects.filter(session_key="old").exists()
