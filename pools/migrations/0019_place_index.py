from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("pools", "0018_moved_accounts")]

    operations = [
        AddIndexOnline(
            "key",
            models.Index(
                condition=models.Q(("place__isnull", False), ("popped", None), ("withdrawn", None)),
                fields=["policy", "place"],
                name="pools_key_place",
            ),
        ),
    ]
