from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("licensing", "0005_license_reference")]

    operations = [
        migrations.AddField(
            model_name="policy",
            name="low_stock_days",
            field=models.PositiveSmallIntegerField(blank=True, null=True),
        ),
    ]
