from base64 import b64encode

import pytest
from django.core.management import CommandError, call_command

from accounts.models import Account, Token, User
from tests.conftest import API


def create_account(capsys, *arguments):
    call_command("create_account", *arguments)
    return capsys.readouterr()


def test_create_account_prints_a_token_of_the_first_admin(db, capsys):
    said = create_account(capsys, "acme", "Ann@Acme.test", "--name", "Acme Rockets")

    token = said.out.strip()
    admin = User.objects.get()
    assert (admin.email, admin.role, admin.account.name) == ("ann@acme.test", "admin", "Acme Rockets")
    assert API(token).get("keys").status_code == 200
    assert token not in said.err


def test_create_account_keeps_no_token(db, capsys):
    token = create_account(capsys, "acme", "ann@acme.test").out.strip()

    stored = Token.objects.values().get()
    assert token not in str(stored)
    assert len(bytes(stored["digest"])) == 32


@pytest.mark.parametrize(
    ("slug", "email", "problem"),
    [
        ("acme", "ann@acme.test", "slug has already been taken"),
        ("Acme", "ann@acme.test", "slug can only contain lowercase letters"),
        ("actions", "ann@acme.test", "slug is reserved"),
        ("0123456789abcdef0123456789abcdef", "ann@acme.test", "slug cannot resemble a UUID"),
        ("other", "unknown", "email is invalid"),
    ],
)
def test_create_account_refuses_invalid_input(acme, capsys, slug, email, problem):
    with pytest.raises(CommandError, match=problem):
        create_account(capsys, slug, email)

    assert Account.objects.count() == 1


def test_admin_with_a_password_signs_in_to_the_api_and_the_console(db, capsys, monkeypatch, client):
    monkeypatch.setenv("SECRET", "correct-horse-battery")

    create_account(capsys, "acme", "ann@acme.test", "--password-variable", "SECRET")

    credentials = b64encode(b"ann@acme.test:correct-horse-battery").decode()
    response = client.post(
        "/v1/accounts/acme/tokens", "", "application/json", headers={"Authorization": f"Basic {credentials}"}
    )
    assert response.status_code == 201
    assert client.login(username="ann@acme.test", password="correct-horse-battery")
    assert client.get("/admin/pools/keyimport/").status_code == 200


def test_password_is_asked_for(db, capsys, monkeypatch):
    monkeypatch.setattr("accounts.management.commands.create_account.ask_password", lambda whose: "correct-horse")

    create_account(capsys, "acme", "ann@acme.test", "--password")

    assert User.objects.get().check_password("correct-horse")


def test_weak_password_creates_nothing(db, capsys, monkeypatch):
    monkeypatch.setenv("SECRET", "x")

    with pytest.raises(CommandError, match="password is too short"):
        create_account(capsys, "acme", "ann@acme.test", "--password-variable", "SECRET")

    assert not Account.objects.exists()


def test_admin_without_a_password_stays_out_of_the_console(db, capsys):
    create_account(capsys, "acme", "ann@acme.test")

    assert not User.objects.get().is_staff
