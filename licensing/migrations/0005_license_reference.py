from django.db import migrations, models

import keygen_site.db.fields
from keygen_site.db.migration_operations import AddIndexOnline
from keygen_site.db.text_search import folded_column


class Migration(migrations.Migration):
    atomic = False  # PostgreSQL builds an index concurrently only outside of transactions

    dependencies = [("licensing", "0004_name_index")]

    operations = [
        migrations.AddField(
            model_name="license",
            name="reference",
            field=keygen_site.db.fields.ShortTextField(blank=True, editable=False, max_length=255, null=True),
        ),
        AddIndexOnline(
            "license",
            models.Index(
                models.F("account"),
                folded_column("reference"),
                condition=models.Q(("reference__isnull", False)),
                name="licensing_license_reference",
            ),
        ),
        AddIndexOnline(
            "license",
            models.Index(
                condition=models.Q(("suspended", True)),
                fields=["account", "created", "id"],
                name="licensing_license_suspended",
            ),
        ),
    ]
