"""Keys that were popped, or marked as disclosed, before disclosures had a kind: it is read from the ledger."""

from django.db import migrations
from django.db.models import Case, Exists, OuterRef, Q, Value, When
from django.db.models.functions import Coalesce


def fill(apps, schema_editor):
    Key, KeyEvent = apps.get_model("pools", "Key"), apps.get_model("pools", "KeyEvent")
    events = KeyEvent.objects.filter(account=OuterRef("account"), key_digest=OuterRef("digest"))
    kind = Case(
        When(Exists(events.filter(event="issued")), then=Value("issued")),
        When(Exists(events.filter(event="revealed")), then=Value("revealed")),
        When(disclosed__isnull=False, then=Value("exported")),
        default=Value("popped"),
    )
    seen = Key.objects.filter(Q(popped__isnull=False) | Q(disclosed__isnull=False), disclosure=None)
    seen.update(disclosure=kind, disclosed=Coalesce("disclosed", "popped"), disclosed_to="")
    KeyEvent.objects.filter(event="deleted").update(event="removed")


class Migration(migrations.Migration):
    dependencies = [("pools", "0004_key_life")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
