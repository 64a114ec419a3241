import django.db.models.deletion
from django.db import migrations, models

from pools.triggers import create_triggers, drop_triggers


def create(apps, schema_editor):
    create_triggers(schema_editor.connection)


def drop(apps, schema_editor):
    drop_triggers(schema_editor.connection)


class Migration(migrations.Migration):
    dependencies = [
        ("licensing", "0001_initial"),
        ("pools", "0003_used_text_triggers"),
    ]

    operations = [
        # SQLite drops the triggers of a table that it rebuilds.
        migrations.RunPython(drop, create),
        migrations.RemoveConstraint(
            model_name="key",
            name="pools_key_popped_or_withdrawn",
        ),
        migrations.RemoveIndex(
            model_name="keyevent",
            name="pools_keyevent_rare",
        ),
        migrations.AddField(
            model_name="key",
            name="disclosed_to",
            field=models.CharField(editable=False, max_length=255, null=True),
        ),
        migrations.AddField(
            model_name="key",
            name="disclosure",
            field=models.CharField(
                choices=[
                    ("popped", "Popped"),
                    ("issued", "Issued"),
                    ("revealed", "Revealed"),
                    ("exported", "Exported"),
                    ("used", "Used"),
                ],
                editable=False,
                max_length=8,
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="keyevent",
            name="details",
            field=models.JSONField(null=True),
        ),
        migrations.AddField(
            model_name="keyevent",
            name="key_import",
            field=models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.DO_NOTHING,
                related_name="+",
                to="pools.keyimport",
            ),
        ),
        migrations.AddField(
            model_name="keyevent",
            name="operator_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="keyevent",
            name="token_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AddField(
            model_name="keyevent",
            name="token_name",
            field=models.CharField(blank=True, db_default="", default="", max_length=255),
        ),
        migrations.AddField(
            model_name="keyimport",
            name="moved_from",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="+",
                to="pools.keyimport",
            ),
        ),
        migrations.AddField(
            model_name="pendingimport",
            name="operator_id",
            field=models.UUIDField(null=True),
        ),
        migrations.AlterField(
            model_name="keyevent",
            name="event",
            field=models.CharField(
                choices=[
                    ("added", "Added"),
                    ("changed", "Changed"),
                    ("removed", "Removed"),
                    ("popped", "Popped"),
                    ("issued", "Issued"),
                    ("returned", "Returned"),
                    ("withdrawn", "Withdrawn"),
                    ("replaced", "Replaced"),
                    ("moved", "Moved"),
                    ("revealed", "Revealed"),
                    ("exported", "Exported"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddIndex(
            model_name="keyevent",
            index=models.Index(
                condition=models.Q(("bearer_id__isnull", False)),
                fields=["account", "bearer_id", "id"],
                name="pools_keyevent_bearer",
            ),
        ),
        migrations.AddIndex(
            model_name="keyevent",
            index=models.Index(
                condition=models.Q(("token_id__isnull", False)),
                fields=["account", "token_id", "id"],
                name="pools_keyevent_token",
            ),
        ),
        migrations.AddIndex(
            model_name="keyevent",
            index=models.Index(
                condition=models.Q(("key_import__isnull", False)), fields=["key_import"], name="pools_keyevent_import"
            ),
        ),
        migrations.AddIndex(
            model_name="keyevent",
            index=models.Index(
                condition=models.Q(
                    (
                        "event__in",
                        [
                            "added",
                            "changed",
                            "removed",
                            "returned",
                            "withdrawn",
                            "replaced",
                            "moved",
                            "revealed",
                            "exported",
                        ],
                    )
                ),
                fields=["account", "event", "id"],
                name="pools_keyevent_rare",
            ),
        ),
        migrations.AddConstraint(
            model_name="keyimport",
            constraint=models.UniqueConstraint(fields=("policy", "moved_from"), name="pools_keyimport_moved_once"),
        ),
        migrations.RunPython(create, drop),
    ]
