import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [("accounts", "0012_settings_and_permissions")]

    operations = [
        migrations.CreateModel(
            name="APISession",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("ip_address", models.CharField(blank=True, max_length=64)),
                ("user_agent", models.CharField(blank=True, max_length=512)),
                ("last_used", models.DateTimeField(null=True)),
                ("expiry", models.DateTimeField()),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="accounts.account",
                    ),
                ),
                (
                    "parent",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="children",
                        to="accounts.apisession",
                    ),
                ),
                (
                    "token",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="sessions", to="accounts.token"
                    ),
                ),
            ],
            options={
                "verbose_name": "API session",
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["created"], name="accounts_apisession_created")],
            },
        ),
    ]
