from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_international_emails"),
    ]

    operations = [
        migrations.AddField(
            model_name="account",
            name="mask_keys",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="In the API, show the keys of pools masked to roles that may not pop them: sales agents, support agents and read-only users.",
                verbose_name="mask keys",
            ),
        ),
        migrations.AddField(
            model_name="user",
            name="sessions_ended",
            field=models.DateTimeField(editable=False, null=True),
        ),
    ]
