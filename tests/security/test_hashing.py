"""Passwords are hashed outside of transactions: on SQLite one keeps all other clients from writing (H5)."""

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection

from accounts.models import User
from accounts.password_reset import make_reset_token
from accounts.services import create_account, sign_up, update_password
from tests.accounts.documents import basic, user_document
from tests.cast import make_company
from tests.conftest import API

PASSWORD, NEW = "open sesame", "a better one"

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def hashed(monkeypatch):
    """Whether a transaction was open, for each hash that was computed."""
    found, encode = [], MD5PasswordHasher.encode

    def spy(hasher, password, salt):
        found.append(connection.in_atomic_block)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", spy)
    return found


def test_hashes_are_computed_outside_of_transactions(hashed):
    acme = make_company("acme")
    acme.account.protected = False
    acme.account.save()
    joe = acme.user("user", email="joe@acme.test", password=PASSWORD)
    del hashed[:]
    admins = [{"email": f"ann{number}@rockets.test", "password": PASSWORD} for number in range(3)]
    reset = {"meta": {"passwordResetToken": make_reset_token(joe), "newPassword": NEW}}
    acts = {
        "sign-up": lambda: sign_up(admins=admins, name="Rockets", slug="rockets"),
        "command": lambda: create_account(slug="beta", name="Beta", email="ann@beta.test", password=PASSWORD),
        "anonymous": lambda: API().post("users", user_document(email="eve@acme.test", password=PASSWORD)),
        "reset": lambda: API().post(f"users/{joe.pk}/actions/reset-password", reset),
        "sign-in": lambda: API().post("tokens", Authorization=basic("joe@acme.test", NEW)),
        "unknown": lambda: API().post("tokens", Authorization=basic("unknown@acme.test", NEW)),
        "change": lambda: update_password(User.objects.get(pk=joe.pk), old=NEW, new=PASSWORD, ip_address="192.0.2.1"),
    }
    inside = {}

    for name, act in acts.items():
        act()
        inside[name] = len(hashed), any(hashed)
        del hashed[:]

    counts = {"sign-up": 3, "change": 2}
    assert inside == {name: (counts.get(name, 1), False) for name in acts}
