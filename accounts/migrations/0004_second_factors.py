import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import accounts.models.second_factors
import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_sessions_and_masks")]

    operations = [
        migrations.CreateModel(
            name="SecondFactor",
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
                    "throttling_failure_timestamp",
                    models.DateTimeField(
                        blank=True,
                        default=None,
                        help_text="A timestamp of the last failed verification attempt. Null if last attempt succeeded.",
                        null=True,
                    ),
                ),
                (
                    "throttling_failure_count",
                    models.PositiveIntegerField(default=0, help_text="Number of successive failed attempts."),
                ),
                ("secret", models.TextField(default=accounts.models.second_factors.generate_secret, editable=False)),
                ("enabled", models.BooleanField(default=False)),
                ("last_step", models.BigIntegerField(default=-1, editable=False)),
                (
                    "user",
                    models.OneToOneField(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="second_factor",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={"ordering": ["-id"]},
        ),
        migrations.CreateModel(
            name="RecoveryCode",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(max_length=32)),
                ("used", models.DateTimeField(null=True)),
                (
                    "factor",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="recovery_codes",
                        to="accounts.secondfactor",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("factor", "digest"), name="accounts_recoverycode_unique")
                ],
            },
        ),
        # Retired signing keys are kept with the one in use.
        migrations.AddField(
            model_name="account",
            name="signing_key_version",
            field=models.IntegerField(db_default=0, default=0, editable=False),
        ),
        migrations.AddField(
            model_name="signingkey",
            name="retired",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddField(
            model_name="signingkey",
            name="retired_public",
            field=models.TextField(db_default="", default="", editable=False),
        ),
        migrations.RemoveConstraint(model_name="signingkey", name="accounts_signingkey_one_of_a_kind"),
        migrations.AddConstraint(
            model_name="signingkey",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired", None)),
                fields=("account", "kind"),
                name="accounts_signingkey_one_in_use",
            ),
        ),
    ]
