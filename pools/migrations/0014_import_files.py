from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("pools", "0013_reference_indexes")]

    operations = [
        migrations.AddField(
            model_name="pendingimport", name="files", field=models.JSONField(db_default=[], default=list)
        ),
    ]
