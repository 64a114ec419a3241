from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("licensing", "0006_low_stock_days"), ("pools", "0011_refusals")]

    operations = [
        migrations.CreateModel(
            name="Pool",
            fields=[],
            options={"ordering": ["-id"], "proxy": True, "default_permissions": (), "indexes": [], "constraints": []},
            bases=("licensing.policy",),
        ),
    ]
