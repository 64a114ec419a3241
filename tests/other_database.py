"""A second database."""

from contextlib import contextmanager
from uuid import uuid4

from django.contrib.contenttypes.models import ContentType
from django.db import connection


@contextmanager
def empty_database(folder):
    """Replace the test database by an empty one, without tables, within the context. Yields its name."""
    before = connection.settings_dict["NAME"]
    name = f"empty_{uuid4().hex}"
    if connection.vendor == "postgresql":
        with connection._nodb_cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
    else:
        name = str(folder / f"{name}.sqlite3")
    connection.close()
    connection.settings_dict["NAME"] = name
    ContentType.objects.clear_cache()  # their ids are others in each database
    try:
        yield name
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before
        ContentType.objects.clear_cache()
        if connection.vendor == "postgresql":
            with connection._nodb_cursor() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")
