import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0006_find_rare_events"),
    ]

    operations = [
        migrations.CreateModel(
            name="UsedText",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("account_id", models.UUIDField()),
                ("digest", models.BinaryField(max_length=32)),
                ("kind", models.CharField(choices=[("key", "Key"), ("license", "License")], max_length=8)),
                ("created", models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                "indexes": [
                    models.Index(
                        condition=models.Q(("kind", "license")),
                        fields=["account_id", "created"],
                        name="pools_usedtext_licenses",
                    )
                ],
                "constraints": [models.UniqueConstraint(fields=("account_id", "digest"), name="pools_usedtext_unique")],
            },
        ),
    ]
