from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0015_tokens_moved_here"),
    ]

    operations = [
        migrations.AddField(
            model_name="token",
            name="keygen_digest",
            field=models.BinaryField(max_length=64, null=True),
        ),
    ]
