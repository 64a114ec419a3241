from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0009_background_imports"),
    ]

    operations = [
        migrations.AddField(
            model_name="keyimport",
            name="operator_id",
            field=models.UUIDField(blank=True, null=True),
        ),
    ]
