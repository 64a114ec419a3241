from django.db import migrations

import keygen_site.db.key_fields


class Migration(migrations.Migration):
    """The digest of a license becomes a keyed one. `pools` converts the rows: its triggers watch the digests."""

    dependencies = [
        ("keygen_site", "0003_digest_key"),
        ("licensing", "0001_initial"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name="license",
                    name="digest",
                    field=keygen_site.db.key_fields.KeyDigestField(editable=False, max_length=32, of="key"),
                ),
            ],
        ),
    ]
