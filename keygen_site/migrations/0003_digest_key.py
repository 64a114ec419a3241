from django.db import migrations, models

from keygen_site.db.key_digests import make_digest_key, write_digest_key


def create(apps, schema_editor):
    """Make the digest key. From then on it never changes."""
    write_digest_key(schema_editor.connection, make_digest_key())


class Migration(migrations.Migration):
    dependencies = [
        ("keygen_site", "0002_void_responses"),
    ]

    operations = [
        migrations.CreateModel(
            name="DigestKey",
            fields=[
                ("key_id", models.CharField(max_length=32, primary_key=True, serialize=False)),
                ("value", models.TextField()),
            ],
        ),
        migrations.RunPython(create, migrations.RunPython.noop),
    ]
