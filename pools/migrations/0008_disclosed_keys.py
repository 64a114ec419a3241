from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0007_used_texts"),
    ]

    operations = [
        migrations.AddField(
            model_name="key",
            name="disclosed",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
