import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_api_sessions"),
    ]

    operations = [
        migrations.CreateModel(
            name="TokenKeys",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("secret_key", models.TextField(editable=False)),
                ("private_key", models.TextField(editable=False)),
                (
                    "account",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="token_keys",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "verbose_name": "keys of moved tokens",
                "verbose_name_plural": "keys of moved tokens",
            },
        ),
    ]
