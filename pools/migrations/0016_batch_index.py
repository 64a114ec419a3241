from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("pools", "0015_operator_index")]

    operations = [
        AddIndexOnline(
            "key",
            models.Index(
                condition=models.Q(("popped__isnull", False)),
                fields=["key_import", "popped"],
                name="pools_key_batch",
            ),
        ),
    ]
