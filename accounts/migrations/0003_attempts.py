from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_signing_key")]

    operations = [
        migrations.CreateModel(
            name="Attempts",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("digest", models.BinaryField(max_length=32, unique=True)),
                ("number", models.IntegerField()),
                ("until", models.DateTimeField(db_index=True)),
            ],
        ),
    ]
