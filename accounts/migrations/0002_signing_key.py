import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="SigningKey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.models.UpdatedField(editable=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[("ed25519", "ed25519"), ("rsa2048", "rsa2048"), ("ecdsa", "ecdsa")],
                        editable=False,
                        max_length=16,
                    ),
                ),
                ("private", models.TextField(editable=False)),
                (
                    "account",
                    models.ForeignKey(
                        editable=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="signing_keys",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "kind"), name="accounts_signingkey_one_of_a_kind")
                ],
            },
        ),
    ]
