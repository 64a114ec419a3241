import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_token_keys"),
        ("licensing", "0010_permissions"),
        ("pools", "0017_machine_permissions"),
    ]

    operations = [
        migrations.CreateModel(
            name="Move",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("source", models.CharField(blank=True, editable=False, max_length=255, verbose_name="file")),
                ("operator", models.CharField(blank=True, editable=False, max_length=255, verbose_name="moved by")),
                ("sha256", models.CharField(editable=False, max_length=64)),
                ("content_digest", models.BinaryField(max_length=32)),
                ("summary", models.JSONField(default=list, editable=False)),
                ("findings", models.JSONField(default=list, editable=False)),
                ("findings_count", models.PositiveBigIntegerField(default=0, editable=False)),
                ("state", models.JSONField(default=dict, editable=False)),
            ],
            options={
                "ordering": ["-id"],
            },
        ),
        migrations.AddField(
            model_name="key",
            name="place",
            field=models.BigIntegerField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="move",
            name="account",
            field=models.OneToOneField(
                editable=False, on_delete=django.db.models.deletion.CASCADE, related_name="move", to="accounts.account"
            ),
        ),
    ]
