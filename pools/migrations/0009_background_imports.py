from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0008_key_digests"),
    ]

    operations = [
        migrations.AddField(
            model_name="pendingimport",
            name="bearer_type",
            field=models.CharField(blank=True, db_default="", default="", max_length=16),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="bearer_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="request",
            field=models.JSONField(db_default={}, default=dict),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="queued",
            field=models.DateTimeField(null=True),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="claims",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="interruptions",
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="error",
            field=models.JSONField(null=True),
        ),
    ]
