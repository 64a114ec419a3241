import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_invitations")]

    operations = [
        migrations.CreateModel(
            name="Activity",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("event", models.CharField(max_length=32)),
                ("noun", models.CharField(max_length=32)),
                ("object_id", models.UUIDField(null=True)),
                ("name", models.CharField(blank=True, max_length=255)),
                ("policy_id", models.UUIDField(null=True)),
                ("details", models.JSONField(null=True)),
                ("bearer_type", models.CharField(blank=True, max_length=16)),
                ("bearer_id", models.UUIDField(null=True)),
                ("bearer_name", models.CharField(blank=True, max_length=255)),
                ("token_id", models.UUIDField(null=True)),
                ("token_name", models.CharField(blank=True, max_length=255)),
                ("operator", models.CharField(blank=True, max_length=255)),
                ("operator_id", models.UUIDField(null=True)),
                ("reference", models.CharField(blank=True, max_length=255)),
                ("request_id", models.CharField(blank=True, max_length=36)),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="activities",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "activities",
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["account", "id"], name="accounts_activity_account"),
                    models.Index(fields=["account", "noun", "id"], name="accounts_activity_noun"),
                    models.Index(fields=["object_id", "id"], name="accounts_activity_object"),
                    models.Index(
                        condition=models.Q(("policy_id__isnull", False)),
                        fields=["policy_id", "id"],
                        name="accounts_activity_policy",
                    ),
                    models.Index(
                        condition=models.Q(("operator_id__isnull", False)),
                        fields=["account", "operator_id", "id"],
                        name="accounts_activity_operator",
                    ),
                    models.Index(
                        condition=models.Q(("bearer_id__isnull", False)),
                        fields=["account", "bearer_id", "id"],
                        name="accounts_activity_bearer",
                    ),
                    models.Index(
                        condition=models.Q(("token_id__isnull", False)),
                        fields=["account", "token_id", "id"],
                        name="accounts_activity_token",
                    ),
                    models.Index(
                        condition=models.Q(("reference", ""), _negated=True),
                        fields=["account", "reference"],
                        name="accounts_activity_ref",
                    ),
                ],
            },
        ),
    ]
