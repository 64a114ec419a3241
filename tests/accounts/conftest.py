import pytest

from tests.accounts.documents import basic
from tests.cast import make_license

PASSWORD = "open sesame"


@pytest.fixture
def sign_in(api):
    """`sign_in(email, password)` asks Acme for a token."""

    def request(email, password=PASSWORD, data=None, **headers):
        return api().post("tokens", data, Authorization=basic(email, password), **headers)

    return request


@pytest.fixture
def joe(acme):
    """A user of Acme with a password."""
    return acme.user("user", email="joe@acme.test", password=PASSWORD)


@pytest.fixture
def held_license(acme, joe):
    """A license of Acme's product that Joe owns."""
    return make_license(acme.unpooled, owner=joe)


@pytest.fixture(autouse=True)
def quick_passwords(settings):
    """Argon2 is slow on purpose, and there are hundreds of sign-ins here."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
