from dataclasses import dataclass
from functools import cache

import orjson
import pytest
from django.test import Client
from django.test.client import ClientHandler
from django.test.signals import setting_changed
from django.test.utils import override_settings

from accounts.audit import AuditContext
from pools.popping import forget_hints
from pools.services.low_stock import forget_stock_checks
from tests.cast import make_company, token_of

JSON_API = "application/vnd.api+json"


@cache
def handler():
    """The whole stack of middlewares, which takes several times as long to build as a request to answer."""
    return ClientHandler(enforce_csrf_checks=False)


@setting_changed.connect
def build_anew(**_):
    handler.cache_clear()


@dataclass
class API:
    """Sends requests as a bearer would. A path that does not begin with a slash is one of the account's."""

    token: str | None = None
    account: str = "acme"

    def request(self, method, path, data=None, content_type=JSON_API, **headers):
        if self.token:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        url = path if path.startswith("/") else f"/v1/accounts/{self.account}/{path}"
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        client = Client()
        client.handler = handler()
        return client.generic(method, url, _encoded(data), content_type=content_type, headers=names)

    def get(self, path, **headers):
        return self.request("GET", path, **headers)

    def post(self, path, data=None, **headers):
        return self.request("POST", path, data, **headers)

    def patch(self, path, data=None, **headers):
        return self.request("PATCH", path, data, **headers)

    def put(self, path, data=None, **headers):
        return self.request("PUT", path, data, **headers)

    def delete(self, path, data=None, **headers):
        return self.request("DELETE", path, data, **headers)


def _encoded(data):
    if data is None:
        return b""
    if isinstance(data, bytes):
        return data
    return orjson.dumps(data)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords():
    """Argon2 is slow on purpose. `tests/accounts/test_passwords.py` has the product's own hashers."""
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]):
        yield


@pytest.fixture
def api():
    """`api(bearer)` speaks for a user, product or license, `api()` for nobody."""

    def speak(bearer=None, account="acme"):
        token = bearer if bearer is None or isinstance(bearer, str) else token_of(bearer)
        return API(token, account)

    return speak


@pytest.fixture
def audit():
    """Who pops, where no request does."""
    return AuditContext(operator="tests")


@pytest.fixture(autouse=True)
def fresh_hints():
    """What one test popped must not be remembered in the next one."""
    forget_hints()
    forget_stock_checks()


@pytest.fixture
def acme(db):
    return make_company("acme")


@pytest.fixture
def rival(db):
    return make_company("rival")


@pytest.fixture
def pooled_policy(acme):
    return acme.policy


@pytest.fixture
def acme_admin(acme):
    return acme.admin


@pytest.fixture
def acme_reader(acme):
    return acme.user("read-only")


@pytest.fixture
def acme_product(acme):
    return acme.product
