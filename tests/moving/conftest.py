import pytest
import time_machine

from accounts.models import Account
from tests.conftest import API
from tests.moving.exports import ACCOUNT_ID, SECRETS, import_fixture


@pytest.fixture
def shortly_after():
    """Set the clock to the minutes after the export, when the machines were alive."""
    with time_machine.travel("2026-11-27T00:50:00Z", tick=True):
        yield


@pytest.fixture
def own_hashers(settings):
    """The product's own hashers of passwords, not the quick one of the other tests."""
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.Argon2PasswordHasher",
        "accounts.passwords.MovedPasswordHasher",
    ]


@pytest.fixture
def moved(db, shortly_after):
    """The account of the fixture, moved in with its tokens."""
    import_fixture()
    return Account.objects.get(pk=ACCOUNT_ID)


@pytest.fixture
def moved_admin(moved):
    """Client of the moved account's admin, with the token that the admin had."""
    return API(SECRETS["tokens"]["admin"], ACCOUNT_ID)
