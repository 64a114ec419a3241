import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models

import accounts.models.users
import keygen_site.db.fields


class Migration(migrations.Migration):
    dependencies = [("accounts", "0007_customers"), ("auth", "0012_alter_user_first_name_max_length")]

    operations = [
        migrations.CreateModel(
            name="Invitation",
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
                    "email",
                    accounts.models.users.EmailField(
                        max_length=255,
                        validators=[
                            django.core.validators.RegexValidator(
                                "\\A[^\\s@,;<>()\\x00-\\x1f\\x7f]+@([^\\s@,;<>()\\x00-\\x1f\\x7f.]+\\.)+[^\\s@,;<>()\\x00-\\x1f\\x7f.]+\\Z",
                                "is invalid",
                            )
                        ],
                    ),
                ),
                (
                    "role",
                    models.CharField(
                        choices=[
                            ("user", "User"),
                            ("admin", "Admin"),
                            ("developer", "Developer"),
                            ("sales-agent", "Sales Agent"),
                            ("support-agent", "Support Agent"),
                            ("read-only", "Read Only"),
                        ],
                        max_length=16,
                    ),
                ),
                ("sent", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="invitations",
                        to="accounts.account",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name="+", to="auth.group"),
                ),
                (
                    "inviter",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-id"],
                "default_permissions": (),
                "indexes": [models.Index(fields=["account", "id"], name="accounts_invitation_listed")],
                "constraints": [
                    models.UniqueConstraint(fields=("account", "email"), name="accounts_invitation_unique")
                ],
            },
        ),
        migrations.AddField(
            model_name="token",
            name="last_used",
            field=models.DateTimeField(editable=False, null=True),
        ),
        migrations.AddIndex(
            model_name="user",
            index=models.Index(
                condition=models.Q(
                    ("role__in", ["admin", "developer", "sales-agent", "support-agent", "read-only"]),
                    ("is_staff", True),
                    _connector="OR",
                ),
                fields=["account", "id"],
                name="accounts_user_team",
            ),
        ),
    ]
