from django.db import migrations, models

from keygen_site.concurrently import AddIndexConcurrently


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("accounts", "0005_user_rules")]

    operations = [
        AddIndexConcurrently("user", models.Index(fields=["account", "id"], name="accounts_user_listed")),
        AddIndexConcurrently("token", models.Index(fields=["account", "id"], name="accounts_token_listed")),
    ]
