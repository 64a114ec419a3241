from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("keygen_site", "0003_digest_key"),
    ]

    operations = [
        AddIndexOnline(
            model_name="idempotentresponse",
            index=models.Index(fields=["account_id", "bearer_id", "created"], name="keygen_site_answer_recent"),
        ),
    ]
