from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("licensing", "0002_key_digest")]

    operations = [
        AddIndexOnline(
            "license",
            models.Index(
                condition=models.Q(("expiry__isnull", False)),
                fields=["account", "expiry"],
                name="licensing_license_expiry",
            ),
        ),
    ]
