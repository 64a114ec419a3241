from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL builds an index concurrently only outside of transactions

    dependencies = [("licensing", "0010_permissions")]

    operations = [
        AddIndexOnline(
            "license",
            models.Index(
                condition=models.Q(("owner__isnull", True)),
                fields=["account", "created", "id"],
                name="licensing_license_unassigned",
            ),
        ),
    ]
