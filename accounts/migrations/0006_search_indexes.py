from django.db import migrations, models

from keygen_site.db.migration_operations import AddIndexOnline
from keygen_site.db.text_search import BinaryOrder, folded_column


def index_of_name(name: str) -> models.Index:
    condition = models.Q((f"{name}__isnull", False))
    return models.Index(models.F("account"), folded_column(name), condition=condition, name=f"accounts_user_{name}")


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("accounts", "0005_bulk_actions")]

    operations = [
        AddIndexOnline(
            "user", models.Index(models.F("account"), BinaryOrder(models.F("email")), name="accounts_user_email")
        ),
        AddIndexOnline("user", index_of_name("first_name")),
        AddIndexOnline("user", index_of_name("last_name")),
    ]
