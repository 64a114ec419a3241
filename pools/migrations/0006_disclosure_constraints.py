from django.db import migrations, models

from pools.triggers import create_triggers, drop_triggers


def create(apps, schema_editor):
    create_triggers(schema_editor.connection)


def drop(apps, schema_editor):
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("licensing", "0001_initial"),
        ("pools", "0005_disclosures"),
    ]

    operations = [
        # SQLite drops the triggers of a table that it rebuilds.
        migrations.RunPython(drop, create),
        migrations.AddConstraint(
            model_name="key",
            constraint=models.CheckConstraint(
                condition=models.Q(("popped", None), models.Q(("disclosed", None), _negated=True), _connector="OR"),
                name="pools_key_popped_is_disclosed",
            ),
        ),
        migrations.AddConstraint(
            model_name="key",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("disclosed", None), ("disclosed_to", None), ("disclosure", None)),
                    models.Q(
                        ("disclosed__isnull", False), ("disclosed_to__isnull", False), ("disclosure__isnull", False)
                    ),
                    _connector="OR",
                ),
                name="pools_key_disclosure_complete",
            ),
        ),
        migrations.RunPython(create, drop),
    ]
