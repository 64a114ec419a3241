"""Encryption at rest in tests: keys of the setting, and the secrets that a stolen database reveals."""

import base64
import json
import os
from contextlib import contextmanager

from django.apps import apps
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connection, connections
from django.test import override_settings

from keygen_site.db.key_digests import key_digester
from keygen_site.encryption import EncryptedField
from keygen_site.models import DigestKey


def new_key(name):
    """Return an item of KEY_ENCRYPTION_KEYS with a random key."""
    return f"{name}:{base64.b64encode(os.urandom(32)).decode()}"


def configured():
    """The items of KEY_ENCRYPTION_KEYS with which the tests run."""
    return [item for item in settings.KEY_ENCRYPTION_KEYS.split(",") if item]


@contextmanager
def encryption(*items):
    """Set KEY_ENCRYPTION_KEYS, as if the process started with it, followed by the keys that the database needs."""
    known = [item for item in configured() if item not in items]
    with override_settings(KEY_ENCRYPTION_KEYS=",".join([*items, *known])):
        key_digester()
        yield


def forget_digest_key():
    """Make this process read the digest key again, as if it had just started."""
    vars(connections[DEFAULT_DB_ALIAS]).pop("key_digester", None)


@contextmanager
def restored_digest_key():
    """Put back the rows with the digest key, which a test with real transactions would leave changed."""
    before = list(DigestKey.objects.values())
    try:
        yield
    finally:
        DigestKey.objects.all().delete()
        DigestKey.objects.bulk_create(DigestKey(**row) for row in before)
        connection.close()


def dump():
    """Return all values of all tables as one text of bytes, each value as the database has it."""
    found = []
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            for row in cursor.fetchall():
                found += [value if isinstance(value, bytes) else str(value).encode() for value in row]
    return b"\n".join(found)


def spellings(secret):
    """Return the forms in which a database could have a secret."""
    raw = secret.encode()
    yield raw
    yield json.dumps(secret)[1:-1].encode()
    yield raw.hex().encode()
    yield raw.hex().upper().encode()
    yield raw[::-1]
    for skipped in range(3):  # base64 depends on the position; its ends depend on the neighbours
        part = raw[skipped:]
        part = part[: len(part) // 3 * 3]
        yield base64.b64encode(part)
        yield base64.urlsafe_b64encode(part)


def revealed(secrets):
    """Return the secrets that the database has in some readable form."""
    stolen = dump()
    return {secret for secret in secrets if any(spelling in stolen for spelling in spellings(secret))}


def stored_values():
    """Return the stored form of all encrypted values, by column, as text."""
    found = {}
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedField):
                with connection.cursor() as cursor:
                    cursor.execute(f'SELECT "{field.column}" FROM "{model._meta.db_table}"')
                    values = [value for (value,) in cursor.fetchall() if value and value != "{}"]
                found[str(field)] = [bytes(v) if isinstance(v, bytes | memoryview) else str(v).encode() for v in values]
    return found
