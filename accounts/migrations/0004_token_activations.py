from django.db import migrations, models

import keygen_site.models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_attempts")]

    operations = [
        migrations.AddField(
            model_name="token",
            name="activations",
            field=models.IntegerField(
                default=0, validators=[keygen_site.models.AtLeast(0), keygen_site.models.AtMost(2147483647)]
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="deactivations",
            field=models.IntegerField(
                default=0, validators=[keygen_site.models.AtLeast(0), keygen_site.models.AtMost(2147483647)]
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="max_activations",
            field=models.IntegerField(
                blank=True, null=True, validators=[keygen_site.models.AtLeast(0), keygen_site.models.AtMost(2147483647)]
            ),
        ),
        migrations.AddField(
            model_name="token",
            name="max_deactivations",
            field=models.IntegerField(
                blank=True, null=True, validators=[keygen_site.models.AtLeast(0), keygen_site.models.AtMost(2147483647)]
            ),
        ),
    ]
