import pytest
from django.contrib.auth.hashers import MD5PasswordHasher

from licensing.models import LicenseUser
from tests.accounts.documents import basic
from tests.cast import make_license, make_policy, make_product
from tests.console import GROUPS, staff

PASSWORD = "open sesame"


@pytest.fixture
def sign_in(api):
    """`sign_in(email, password)` requests a token from Acme."""

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


@pytest.fixture
def hashed(monkeypatch):
    """The passwords of which a hash has been computed so far."""
    passwords, encode = [], MD5PasswordHasher.encode

    def counted(hasher, password, salt):
        passwords.append(password)
        return encode(hasher, password, salt)

    monkeypatch.setattr(MD5PasswordHasher, "encode", counted)
    return passwords


@pytest.fixture
def people(acme, joe, held_license):
    """Joe owns a license that his mate shares; Eve has nothing to do with them, Max only with another product."""
    mate = acme.user("user", email="mate@acme.test")
    LicenseUser.objects.create(account=acme.account, license=held_license, user=mate)
    max = acme.user("user", email="max@acme.test")
    other = make_product(acme.account, "Other")
    make_license(make_policy(other), "license-of-max", owner=max)
    return {
        "admin": acme.admin,
        "another admin": acme.user("admin", email="second@acme.test"),
        "developer": acme.user("developer"),
        "another developer": acme.user("developer", email="dev2@acme.test"),
        "sales-agent": acme.user("sales-agent"),
        "support-agent": acme.user("support-agent"),
        "read-only": acme.user("read-only"),
        "product": acme.product,
        "license": held_license,
        "user": joe,
        "mate": mate,
        "eve": acme.user("user", email="eve@acme.test"),
        "max": max,
    }


@pytest.fixture
def bearers(acme, joe, held_license):
    """Bearers of tokens by name. Joe's license is of Acme's product; Eve has none."""
    return {
        "admin": acme.admin,
        "another admin": acme.user("admin", email="second@acme.test"),
        "developer": acme.user("developer"),
        "sales-agent": acme.user("sales-agent"),
        "support-agent": acme.user("support-agent"),
        "read-only": acme.user("read-only"),
        "product": acme.product,
        "another product": acme.another_product(),
        "license": held_license,
        "another license": make_license(acme.policy, "another-license"),
        "user": joe,
        "another user": acme.user("user", email="eve@acme.test"),
    }


@pytest.fixture
def everyone(acme, joe, held_license):
    """Bearers of every kind, by name, for questions about each pair of them.

    The admin owns a license of the product, and the Operator shares one: holding a license must give the product no
    power over them. Joe is the product's customer; `both` holds a license of another product too.
    """
    other = make_product(acme.account, "Other")
    other_policy = make_policy(other)
    people = {
        "admin": acme.admin,
        "admin2": acme.user("admin", email="second@acme.test"),
        "console-admin": staff(acme, email="console-admin@acme.test"),
        "developer": acme.user("developer"),
        "developer2": acme.user("developer", email="second-developer@acme.test"),
        "sales-agent": acme.user("sales-agent"),
        "support-agent": acme.user("support-agent"),
        "read-only": acme.user("read-only"),
        **{group: staff(acme, group, role="user") for group in GROUPS},
        "customer": joe,
        "both": acme.user("user", email="both@acme.test"),
        "stranger": acme.user("user", email="stranger@acme.test"),
        "other-customer": acme.user("user", email="other@acme.test"),
    }
    make_license(acme.unpooled, "license-of-admin", owner=people["admin"])
    make_license(acme.unpooled, "license-of-both", owner=people["both"])
    for name in ("Operator", "support-agent"):
        LicenseUser.objects.create(account=acme.account, license=held_license, user=people[name])
    other_license = make_license(other_policy, "other-license", owner=people["other-customer"])
    LicenseUser.objects.create(account=acme.account, license=other_license, user=people["both"])
    return people | {
        "product": acme.product,
        "other-product": other,
        "license": held_license,
        "other-license": other_license,
    }
