from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL builds an index concurrently only outside of transactions

    dependencies = [("accounts", "0010_groups")]

    operations = [
        AddIndexOnline(
            "user",
            models.Index(
                condition=models.Q(("group__isnull", False)), fields=["group", "id"], name="accounts_user_group"
            ),
        ),
    ]
