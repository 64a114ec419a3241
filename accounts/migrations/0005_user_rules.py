import django.core.validators
from django.db import migrations, models

import accounts.models.users
import keygen_site.metadata


class Migration(migrations.Migration):
    dependencies = [("accounts", "0004_token_activations")]

    operations = [
        migrations.AlterField(
            model_name="user",
            name="email",
            field=accounts.models.users.AddressField(
                max_length=255, validators=[django.core.validators.EmailValidator("is invalid")]
            ),
        ),
        migrations.AlterField(
            model_name="user",
            name="metadata",
            field=models.JSONField(blank=True, default=dict, validators=[keygen_site.metadata.validate_metadata]),
        ),
    ]
