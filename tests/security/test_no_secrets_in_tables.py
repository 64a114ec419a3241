"""No table holds a password, a token or an encrypted license's key in clear, after every route that carries one."""

import hashlib

import pytest
from django.contrib.sessions.models import Session
from django.db import connection

from accounts.models import SigningKey
from tests.security.canaries import is_in, story  # noqa: F401 a fixture

# The columns that hold such a text on purpose. Other columns hold no secret at all.
ALLOWED = {
    "pool key": {("pools_key", "key"), ("licensing_license", "key"), ("keygen_site_idempotentresponse", "body")},
    "private key": {("accounts_signingkey", "private")},
}


def cells():
    """Every value of every table, as bytes, with its table and column; sessions decoded too."""
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names(cursor):
            cursor.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in cursor.description]
            for row in cursor.fetchall():
                for column, value in zip(columns, row, strict=True):
                    content = bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
                    yield (table, column), content
    for session in Session.objects.all():
        yield ("django_session", "decoded"), str(session.get_decoded()).encode()


@pytest.fixture
def secrets(story):  # noqa: F811
    found = story.tell()
    private = [key.private for key in SigningKey.objects.all()]
    # A line in the middle: the first and the last are the same in all.
    return found | {"private key": [line for each in private for line in each.splitlines()[1:2]]}


def test_no_table_holds_a_secret_in_clear(secrets):
    everything = list(cells())

    assert secrets.keys() == {
        "password",
        "token",
        "reset token",
        "encrypted key",
        "pool key",
        "private key",
    }
    found = {
        (kind, *place)
        for kind, texts in secrets.items()
        for text in texts
        for place, content in everything
        if place not in ALLOWED.get(kind, ()) and is_in(text, content)
    }
    assert found == set()


def test_no_table_holds_a_plain_hash_of_a_password(secrets):
    """Argon2 would be of no use: a plain hash can be guessed a million times faster."""
    everything = b"\n".join(content for _, content in cells())

    for password in secrets["password"]:
        for name in ("md5", "sha1", "sha256", "sha512"):
            hashed = hashlib.new(name, password.encode())
            assert hashed.digest() not in everything
            assert hashed.hexdigest().encode() not in everything
