"""A system check of the database triggers. Run by `manage.py check --database default` and `manage.py migrate`."""

from typing import Any

from django.core.checks import CheckMessage, Error, Tags, register
from django.db import connections
from django.db.migrations.recorder import MigrationRecorder

from pools.triggers import missing_triggers

TRIGGER_MIGRATION = ("pools", "0003_used_text_triggers")


@register(Tags.database)
def check_triggers(app_configs: Any, databases: Any = None, **options: Any) -> list[CheckMessage]:
    """Report the triggers that a migrated database lacks: without them a deleted key could be handed out again."""
    found: list[CheckMessage] = []
    for alias in databases or []:
        connection = connections[alias]
        if TRIGGER_MIGRATION not in MigrationRecorder(connection).applied_migrations():
            continue
        if missing := missing_triggers(connection):
            message = f"The database lacks triggers that keep the texts of used keys: {', '.join(missing)}."
            hint = (
                'Create them: manage.py shell -c "from django.db import connections; from pools.triggers import '
                f"create_triggers; create_triggers(connections['{alias}'])\""
            )
            found.append(Error(message, hint=hint, id="pools.E001"))
    return found
