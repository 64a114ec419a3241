from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0014_token_keys"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="has_moved_tokens",
            field=models.BooleanField(db_default=False, default=False, editable=False),
        ),
    ]
