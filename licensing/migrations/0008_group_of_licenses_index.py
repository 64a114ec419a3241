from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL builds an index concurrently only outside of transactions

    dependencies = [("licensing", "0007_entitlements_and_groups")]

    operations = [
        AddIndexOnline(
            "license",
            models.Index(
                condition=models.Q(("group__isnull", False)),
                fields=["group", "created", "id"],
                name="licensing_license_group",
            ),
        ),
    ]
