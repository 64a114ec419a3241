from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("pools", "0014_import_files")]

    operations = [
        AddIndexOnline(
            "keyevent",
            models.Index(
                condition=models.Q(("operator_id__isnull", False)),
                fields=["account", "operator_id", "id"],
                name="pools_keyevent_operator",
            ),
        ),
    ]
