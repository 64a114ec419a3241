"""What earlier versions wrote into the ledger only: which keys were shown, and the texts of used keys that are gone.

An export that an earlier version made is not looked at: the ledger does not say which keys it had.
"""

from itertools import islice

from django.db import migrations
from django.db.models import Exists, Max, OuterRef, Q

USED = ("popped", "issued", "withdrawn", "revealed")
BATCH = 5_000


def use_ledger(apps, schema_editor):
    Key, KeyEvent, UsedText = (apps.get_model("pools", name) for name in ("Key", "KeyEvent", "UsedText"))
    # Pops in the console have the operator's e-mail; those of a command have its name, those of the API have none.
    shown = KeyEvent.objects.filter(Q(event="revealed") | Q(event="popped", operator__contains="@"))
    for key, moment in shown.order_by("id").values_list("key", "created").iterator():
        Key.objects.filter(pk=key, disclosed=None).update(disclosed=moment)
    there = Key.objects.filter(account=OuterRef("account"), digest=OuterRef("key_digest"))
    gone = KeyEvent.objects.filter(~Exists(there), event__in=USED, key_digest__isnull=False)
    texts = gone.order_by().values("account", "key_digest").annotate(moment=Max("created"))
    rows = (
        UsedText(account_id=row["account"], digest=row["key_digest"], kind="key", created=row["moment"])
        for row in list(texts)
    )
    while batch := list(islice(rows, BATCH)):
        UsedText.objects.bulk_create(
            batch, update_conflicts=True, unique_fields=["account_id", "digest"], update_fields=["kind"]
        )


class Migration(migrations.Migration):
    dependencies = [
        ("pools", "0009_remember_used_texts"),
    ]

    operations = [migrations.RunPython(use_ledger, migrations.RunPython.noop)]
