from django.db import migrations, models

from accounts.models.email_domains import email_domain
from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL builds an index concurrently only outside of transactions

    dependencies = [("accounts", "0006_search_indexes")]

    operations = [
        migrations.CreateModel(
            name="Customer",
            fields=[],
            options={
                "verbose_name": "customer",
                "ordering": ["-id"],
                "proxy": True,
                "default_permissions": (),
                "indexes": [],
                "constraints": [],
            },
            bases=("accounts.user",),
        ),
        AddIndexOnline(
            "user", models.Index(models.F("account"), email_domain("email"), name="accounts_user_email_domain")
        ),
        AddIndexOnline(
            "user",
            models.Index(
                condition=models.Q(("banned__isnull", False)), fields=["account", "id"], name="accounts_user_banned"
            ),
        ),
    ]
