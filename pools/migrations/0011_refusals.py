import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [("licensing", "0002_key_digest"), ("pools", "0010_operator_ids")]

    operations = [
        migrations.CreateModel(
            name="DailyRefusalCount",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("day", models.DateField()),
                ("refused", models.PositiveBigIntegerField(default=0)),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="licensing.policy",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="dailyrefusalcount",
            constraint=models.UniqueConstraint(fields=("policy", "day"), name="pools_refusals_unique"),
        ),
        migrations.CreateModel(
            name="MutedPool",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField()),
                ("operator", models.CharField(max_length=255)),
                ("operator_id", models.UUIDField(null=True)),
                (
                    "policy",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="muted", to="licensing.policy"
                    ),
                ),
            ],
            options={"abstract": False},
        ),
    ]
