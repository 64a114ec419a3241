from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0007_pending_import_options"),
    ]

    operations = [
        migrations.AddField(
            model_name="keyimport",
            name="operator_id",
            field=models.UUIDField(blank=True, null=True),
        ),
    ]
