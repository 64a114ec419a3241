import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import keygen_site.db.fields
import keygen_site.db.metadata


class Migration(migrations.Migration):
    """Machines with their components and processes. New tables only, so it is safe on a server with data."""

    dependencies = [
        ("accounts", "0010_groups"),
        ("licensing", "0008_group_of_licenses_index"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Machine",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("fingerprint", models.TextField()),
                ("digest", keygen_site.db.fields.DigestField(max_length=32, of="fingerprint")),
                (
                    "cores",
                    models.IntegerField(
                        blank=True,
                        null=True,
                        validators=[keygen_site.db.fields.AtLeast(1), keygen_site.db.fields.AtMost(2147483647)],
                    ),
                ),
                (
                    "memory",
                    models.BigIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            keygen_site.db.fields.AtLeast(1),
                            keygen_site.db.fields.AtMost(9223372036854775807),
                        ],
                    ),
                ),
                (
                    "disk",
                    models.BigIntegerField(
                        blank=True,
                        null=True,
                        validators=[
                            keygen_site.db.fields.AtLeast(1),
                            keygen_site.db.fields.AtMost(9223372036854775807),
                        ],
                    ),
                ),
                ("ip", keygen_site.db.fields.ShortTextField(blank=True, max_length=255, null=True)),
                ("hostname", keygen_site.db.fields.ShortTextField(blank=True, max_length=255, null=True)),
                ("platform", keygen_site.db.fields.ShortTextField(blank=True, max_length=255, null=True)),
                ("name", keygen_site.db.fields.ShortTextField(blank=True, max_length=255, null=True)),
                ("last_heartbeat", models.DateTimeField(blank=True, editable=False, null=True)),
                ("heartbeat_reset", models.DateTimeField(editable=False, null=True)),
                ("last_check_out", models.DateTimeField(blank=True, editable=False, null=True)),
                (
                    "metadata",
                    models.JSONField(blank=True, default=dict, validators=[keygen_site.db.metadata.validate_metadata]),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="machines",
                        to="accounts.account",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.SET_NULL,
                        related_name="%(class)ss",
                        to="accounts.group",
                    ),
                ),
                (
                    "license",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="machines",
                        to="licensing.license",
                    ),
                ),
                (
                    "owner",
                    models.ForeignKey(
                        blank=True,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="owned_machines",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "product",
                    keygen_site.db.fields.CopiedForeignKey(
                        blank=True,
                        db_index=False,
                        editable=False,
                        of="license.product_id",
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="licensing.product",
                    ),
                ),
            ],
            options={
                "ordering": ["-created", "-id"],
                "indexes": [
                    models.Index(fields=["account", "created", "id"], name="licensing_machine_listed"),
                    models.Index(fields=["account", "digest"], name="licensing_machine_digest"),
                    models.Index(fields=["license", "created", "id"], name="licensing_machine_of_license"),
                    models.Index(fields=["product", "created", "id"], name="licensing_machine_of_product"),
                    models.Index(
                        condition=models.Q(("owner__isnull", False)),
                        fields=["owner", "created", "id"],
                        name="licensing_machine_of_owner",
                    ),
                    models.Index(
                        condition=models.Q(("group__isnull", False)),
                        fields=["group", "created", "id"],
                        name="licensing_machine_group",
                    ),
                    models.Index(
                        condition=models.Q(("last_heartbeat__isnull", False)),
                        fields=["last_heartbeat"],
                        name="licensing_machine_heartbeat",
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["license", "digest"], name="licensing_machine_unique_in_license"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Component",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("fingerprint", models.TextField()),
                ("digest", keygen_site.db.fields.DigestField(max_length=32, of="fingerprint")),
                ("name", keygen_site.db.fields.ShortTextField(max_length=255)),
                (
                    "metadata",
                    models.JSONField(blank=True, default=dict, validators=[keygen_site.db.metadata.validate_metadata]),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="components",
                        to="accounts.account",
                    ),
                ),
                (
                    "machine",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="components",
                        to="licensing.machine",
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "indexes": [
                    models.Index(fields=["account", "id"], name="licensing_component_listed"),
                    models.Index(fields=["account", "digest"], name="licensing_component_digest"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["machine", "digest"], name="licensing_component_unique_in_machine"),
                ],
            },
        ),
        migrations.CreateModel(
            name="Process",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("created", models.DateTimeField(default=django.utils.timezone.now, editable=False)),
                ("updated", keygen_site.db.fields.UpdatedField(editable=False)),
                ("pid", models.TextField()),
                ("digest", keygen_site.db.fields.DigestField(max_length=32, of="pid")),
                ("last_heartbeat", models.DateTimeField(editable=False)),
                (
                    "metadata",
                    models.JSONField(blank=True, default=dict, validators=[keygen_site.db.metadata.validate_metadata]),
                ),
                (
                    "account",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="processes",
                        to="accounts.account",
                    ),
                ),
                (
                    "machine",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="processes",
                        to="licensing.machine",
                    ),
                ),
            ],
            options={
                "verbose_name_plural": "processes",
                "ordering": ["-created", "-id"],
                "indexes": [
                    models.Index(fields=["account", "created", "id"], name="licensing_process_listed"),
                    models.Index(fields=["last_heartbeat"], name="licensing_process_heartbeat"),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=["machine", "digest"], name="licensing_process_unique_in_machine"),
                ],
            },
        ),
    ]
