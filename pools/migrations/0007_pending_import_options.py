from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0006_disclosure_constraints"),
    ]

    operations = [
        migrations.AddField(
            model_name="pendingimport",
            name="options",
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="accept_warnings",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AlterField(
            model_name="pendingimport",
            name="format",
            field=models.CharField(blank=True, max_length=8),
        ),
        migrations.AlterField(
            model_name="pendingimport",
            name="problem",
            field=models.CharField(blank=True, max_length=2000),
        ),
    ]
