import os
from dataclasses import dataclass
from functools import cache
from itertools import count
from unittest.mock import Mock

import orjson
import pytest
from django.contrib.auth.models import Group, Permission
from django.contrib.contenttypes.models import ContentType
from django.core import mail
from django.db import connection, transaction
from django.test import Client, TransactionTestCase
from django.test.client import ClientHandler
from django.test.signals import setting_changed
from django.test.utils import override_settings
from hypothesis import settings

from accounts.audit import AuditContext
from accounts.signing import algorithms
from keygen_site.models import DigestKey
from pools.import_locks import try_slots
from pools.models import UsedText
from pools.popping import forget_hints
from pools.services.low_stock import forget_stock_checks
from pools.services.refusals import forget_refusals
from tests.cast import make_company, token_of
from tests.processes import url_of_database

JSON_API = "application/vnd.api+json"

# Hypothesis: few examples in a developer's runs, fewer in CI, all with HYPOTHESIS_PROFILE=long. Tests state theirs by
# `tests.fuzzing.examples`.
settings.register_profile("long", max_examples=100, deadline=None, derandomize=True, database=None)
settings.register_profile("short", settings.get_profile("long"), max_examples=15)
settings.register_profile("ci", settings.get_profile("long"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if os.environ.get("CI") == "true" else "short"))


@cache
def handler():
    """Return the handler with all middleware. Building it takes several times as long as a request."""
    return ClientHandler(enforce_csrf_checks=False)


@setting_changed.connect
def rebuild_handler(**_):
    handler.cache_clear()


@dataclass
class API:
    """Client of the API for one bearer. A path without a leading slash is relative to the account."""

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


@pytest.fixture(scope="session", autouse=True)
def few_rsa_keys():
    """Give accounts the same eight RSA keys in turn: generating one takes longer than most tests."""
    generate, number = algorithms.generate_private_key, count()
    keys = cache(lambda turn: generate("rsa2048"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            algorithms,
            "generate_private_key",
            lambda kind: keys(next(number) % 8) if kind == "rsa2048" else generate(kind),
        )
        yield


@pytest.fixture(scope="session", autouse=True)
def optional_second_factors():
    """Let superusers use the console without a second factor. `tests/security/` has the tests of it."""
    with override_settings(REQUIRE_SECOND_FACTOR="none"):
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_emptying():
    """After a test with real transactions, empty only the tables that have rows.

    Django would truncate them all, and make all content types and permissions again: several times as slow. Rows
    from migrations stay.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", lambda test_case: empty_tables())
        yield


@cache
def tables_to_empty():
    kept = {model._meta.db_table for model in (ContentType, Permission, Group, Group.permissions.through, DigestKey)}
    found = set(connection.introspection.django_table_names(only_existing=True, include_views=False))
    # Last, for deleting keys and licenses adds used texts.
    return [*sorted(found - kept - {UsedText._meta.db_table}), UsedText._meta.db_table]


def empty_tables():
    tables = tables_to_empty()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(f"SELECT '{table}' WHERE EXISTS (SELECT 1 FROM {table})" for table in tables))
        filled = {table for (table,) in cursor.fetchall()} | {tables[-1]}
        for table in tables:
            if table in filled:
                cursor.execute(f"DELETE FROM {table}")


@pytest.fixture
def api():
    """`api(bearer)` is a client for a user, product or license; `api()` sends no credential."""

    def client_of(bearer=None, account="acme"):
        token = bearer if bearer is None or isinstance(bearer, str) else token_of(bearer)
        return API(token, account)

    return client_of


@pytest.fixture
def mailbox(settings, monkeypatch):
    """The messages sent. They are sent within the request, not in a background thread."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    monkeypatch.setattr("accounts.background.run_in_background", lambda function, *args: function(*args))
    mail.outbox = []
    return mail.outbox


@pytest.fixture
def no_mail(settings):
    """A server on which mail is not set up."""
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"


@pytest.fixture
def audit():
    """The audit context of calls that do not come from a request."""
    return AuditContext(operator="tests")


@pytest.fixture(autouse=True)
def fresh_hints():
    """Clear the process-wide hints about pools, so that tests do not influence each other."""
    forget_hints()
    forget_stock_checks()


@pytest.fixture(autouse=True)
def no_refusal_timer(monkeypatch):
    """Write the counts of refused requests only where a test calls `flush_refusals`, not later from a thread."""
    monkeypatch.setattr("pools.services.refusals.Timer", Mock())
    forget_refusals()


@pytest.fixture(autouse=True)
def no_import_workers(monkeypatch):
    """Start no processes that import in the background. Tests call `run_waiting_imports` themselves."""
    monkeypatch.setattr("pools.services.import_workers.try_slots", lambda name, count: None)


@pytest.fixture(autouse=True)
def no_recorded_token_use(monkeypatch):
    """Do not record in a thread when tokens are used. `tests/accounts/test_token_use.py` has the tests of it."""
    monkeypatch.setattr("accounts.token_use.note_use", lambda token: None)


@pytest.fixture
def import_workers(no_import_workers, monkeypatch):
    """Let processes import in the background, as the server does."""
    monkeypatch.setattr("pools.services.import_workers.try_slots", try_slots)
    monkeypatch.setenv("DATABASE_URL", url_of_database())


@pytest.fixture(scope="module")
def module_transaction(django_db_setup, django_db_blocker):
    """A transaction around those of the tests of a module, for rows that take long to make and are made once.

    Not for modules that have tests with real transactions.
    """
    outer = transaction.atomic()
    outer._from_testcase = True  # as the tests' own
    with django_db_blocker.unblock(), outer:
        yield
        transaction.set_rollback(True)


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
