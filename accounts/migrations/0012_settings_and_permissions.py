import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [("accounts", "0011_group_of_users_index")]

    operations = [
        migrations.AddField(
            model_name="account",
            name="setting_values",
            field=models.JSONField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="user",
            name="permissions",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="token",
            name="permissions",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.CreateModel(
            name="Setting",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("key", models.TextField()),
                ("value", models.JSONField()),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="settings",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "verbose_name": "account setting",
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "key"), name="accounts_setting_key_unique_in_account")
                ],
            },
        ),
    ]
