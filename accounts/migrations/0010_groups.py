import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import keygen_site.db.fields
import keygen_site.db.metadata


class Migration(migrations.Migration):
    dependencies = [("accounts", "0009_activity")]

    operations = [
        migrations.CreateModel(
            name="Group",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("name", keygen_site.db.fields.ShortTextField(max_length=255)),
                (
                    "max_users",
                    models.IntegerField(
                        blank=True,
                        null=True,
                        validators=[keygen_site.db.fields.AtLeast(0), keygen_site.db.fields.AtMost(2147483647)],
                    ),
                ),
                (
                    "max_licenses",
                    models.IntegerField(
                        blank=True,
                        null=True,
                        validators=[keygen_site.db.fields.AtLeast(0), keygen_site.db.fields.AtMost(2147483647)],
                    ),
                ),
                (
                    "max_machines",
                    models.IntegerField(
                        blank=True,
                        null=True,
                        validators=[keygen_site.db.fields.AtLeast(0), keygen_site.db.fields.AtMost(2147483647)],
                    ),
                ),
                (
                    "metadata",
                    models.JSONField(blank=True, default=dict, validators=[keygen_site.db.metadata.validate_metadata]),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="groups",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["account", "id"], name="accounts_group_listed")],
            },
        ),
        migrations.CreateModel(
            name="GroupOwner",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
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
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="owners",
                        to="accounts.group",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="group_owners",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=["group", "user"], name="accounts_groupowner_unique"),
                ],
            },
        ),
        migrations.AddField(
            model_name="user",
            name="group",
            field=models.ForeignKey(
                blank=True,
                db_index=False,
                editable=False,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="%(class)ss",
                to="accounts.group",
            ),
        ),
    ]
