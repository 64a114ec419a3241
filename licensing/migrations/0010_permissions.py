from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("licensing", "0009_machines")]

    operations = [
        migrations.AddField(
            model_name="license",
            name="permissions",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
        migrations.AddField(
            model_name="product",
            name="permissions",
            field=models.JSONField(blank=True, editable=False, null=True),
        ),
    ]
