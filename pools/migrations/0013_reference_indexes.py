from django.db import migrations, models
from django.db.models.functions import Lower

from keygen_site.db.migration_operations import AddIndexOnline, RemoveIndexOnline
from keygen_site.db.text_search import Tail


class Migration(migrations.Migration):
    """The first index replaces `pools_keyevent_reference`: it serves the beginning of a reference too."""

    atomic = False

    dependencies = [("pools", "0012_pool")]

    operations = [
        AddIndexOnline(
            "keyevent",
            models.Index(
                condition=models.Q(("reference", ""), _negated=True),
                fields=["account", "reference"],
                name="pools_keyevent_beginning",
                opclasses=["uuid_ops", "varchar_pattern_ops"],
            ),
        ),
        RemoveIndexOnline("keyevent", "pools_keyevent_reference"),
        AddIndexOnline(
            "keyevent",
            models.Index(
                models.F("account"),
                Tail(Lower("reference")),
                condition=models.Q(("reference", ""), _negated=True),
                name="pools_keyevent_tail",
            ),
        ),
    ]
