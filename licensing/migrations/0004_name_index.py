from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline
from keygen_site.db.text_search import folded_column


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("licensing", "0003_expiry_index")]

    operations = [
        AddIndexOnline(
            "license",
            models.Index(
                models.F("account"),
                folded_column("name"),
                condition=models.Q(("name__isnull", False)),
                name="licensing_license_name",
            ),
        ),
    ]
