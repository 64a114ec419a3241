from django.db import migrations, models

import keygen_site.db.key_fields
from keygen_site.db.key_digests import ENDING_CHARACTERS, KeyDigester, key_digester
from pools.triggers import create_triggers, drop_triggers

# The columns with the SHA-256 of the text of a key.
DIGESTS = {
    "pools_key": "digest",
    "licensing_license": "digest",
    "pools_usedtext": "digest",
    "pools_keyevent": "key_digest",
}


def convert(apps, schema_editor):
    """Replace the SHA-256 of each key by the keyed digest, and set the endings, without firing the triggers."""
    connection = schema_editor.connection
    digester = key_digester()
    drop_triggers(connection)
    if connection.vendor == "postgresql":
        convert_postgresql(schema_editor, digester)
    else:
        convert_sqlite(schema_editor, digester)
    create_triggers(connection)


def convert_postgresql(schema_editor, digester: KeyDigester):
    def literal(key: bytes) -> str:
        return f"'\\x{key.hex()}'::bytea"

    def hmac(message: str) -> str:
        return f"sha256({literal(digester.outer)} || sha256({literal(digester.inner)} || {message}))"

    ending = f"sha256({literal(digester.ending_key)} || convert_to(right(key, {ENDING_CHARACTERS}), 'UTF8'))"
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(f"LOCK {', '.join(DIGESTS)} IN SHARE ROW EXCLUSIVE MODE")
        cursor.execute(f"""
            UPDATE pools_key SET digest = {hmac("digest")},
                ending = ('x' || encode(substring({ending} FROM 1 FOR 4), 'hex'))::bit(32)::integer
        """)
        for table, column in list(DIGESTS.items())[1:]:
            cursor.execute(f"UPDATE {table} SET {column} = {hmac(column)} WHERE {column} IS NOT NULL")


def convert_sqlite(schema_editor, digester: KeyDigester):
    schema_editor.connection.connection.create_function("keyed_digest", 1, digester.from_sha256)
    schema_editor.connection.connection.create_function("key_ending", 1, digester.ending)
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("UPDATE pools_key SET digest = keyed_digest(digest), ending = key_ending(key)")
        for table, column in list(DIGESTS.items())[1:]:
            cursor.execute(f"UPDATE {table} SET {column} = keyed_digest({column}) WHERE {column} IS NOT NULL")


def create(apps, schema_editor):
    create_triggers(schema_editor.connection)


def drop(apps, schema_editor):
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    """One transaction: at no time do digests of both kinds exist."""

    dependencies = [
        ("keygen_site", "0003_digest_key"),
        ("licensing", "0002_key_digest"),
        ("pools", "0007_pending_import_options"),
    ]

    operations = [
        # SQLite drops the triggers of a table that it rebuilds.
        migrations.RunPython(drop, migrations.RunPython.noop),
        migrations.RemoveIndex(model_name="key", name="pools_key_ending"),
        migrations.AddField(
            model_name="key",
            name="ending",
            field=keygen_site.db.key_fields.KeyEndingField(editable=False, null=True, of="key"),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="key",
                    name="digest",
                    field=keygen_site.db.key_fields.KeyDigestField(editable=False, max_length=32, of="key"),
                ),
            ],
        ),
        migrations.RunPython(convert),
        migrations.AddIndex(
            model_name="key",
            index=models.Index(
                condition=models.Q(("popped__isnull", False), ("withdrawn__isnull", False), _connector="OR"),
                fields=["account", "ending"],
                name="pools_key_ending",
            ),
        ),
        migrations.AlterField(model_name="pendingimport", name="column", field=models.TextField(blank=True)),
        migrations.AlterField(model_name="pendingimport", name="problem", field=models.TextField(blank=True)),
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
