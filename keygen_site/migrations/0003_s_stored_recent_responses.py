from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("keygen_site", "0002_void_responses"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="idempotentresponse",
            index=models.Index(fields=["account_id", "bearer_id", "created"], name="keygen_site_answer_recent"),
        ),
    ]
