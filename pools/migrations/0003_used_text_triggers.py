from django.db import migrations

from pools.triggers import create_triggers, drop_triggers


def create(apps, schema_editor):
    create_triggers(schema_editor.connection)


def drop(apps, schema_editor):
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("licensing", "0001_initial"),
        ("pools", "0002_console_groups"),
    ]

    operations = [migrations.RunPython(create, drop)]
