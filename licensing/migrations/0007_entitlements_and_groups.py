import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import uuid_utils.compat
from django.db import migrations, models

import keygen_site.db.fields
import keygen_site.db.metadata


class Migration(migrations.Migration):
    dependencies = [("accounts", "0010_groups"), ("licensing", "0006_low_stock_days")]

    operations = [
        migrations.CreateModel(
            name="Entitlement",
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
                ("code", keygen_site.db.fields.ShortTextField(max_length=255)),
                (
                    "metadata",
                    models.JSONField(blank=True, default=dict, validators=[keygen_site.db.metadata.validate_metadata]),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="entitlements",
                        to="accounts.account",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [models.Index(fields=["account", "id"], name="licensing_entitlement_listed")],
                "constraints": [
                    models.UniqueConstraint(
                        models.F("account"),
                        django.db.models.functions.text.Lower("code"),
                        name="licensing_entitlement_code_unique",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="PolicyEntitlement",
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
                    "entitlement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="policy_entitlements",
                        to="licensing.entitlement",
                    ),
                ),
                (
                    "policy",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="policy_entitlements",
                        to="licensing.policy",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["policy", "entitlement"], name="licensing_policyentitlement_unique"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="LicenseEntitlement",
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
                    "entitlement",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="license_entitlements",
                        to="licensing.entitlement",
                    ),
                ),
                (
                    "license",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="license_entitlements",
                        to="licensing.license",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=["license", "entitlement"], name="licensing_licenseentitlement_unique"
                    ),
                ],
            },
        ),
        migrations.AddField(
            model_name="license",
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
