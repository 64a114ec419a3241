from django.db import migrations

# What is looked at in one app may be looked at in all, as in 0002_console_groups.
LOOK = {"accounts": ["view_group"], "licensing": ["view_entitlement", "view_machine"]}
# Deactivating a machine deletes it; resetting its heartbeats changes it.
MACHINES = ["change_machine", "delete_machine"]
GROUPS = {
    "Operator": {
        "accounts": [*LOOK["accounts"], "add_group", "change_group", "delete_group"],
        "licensing": [
            *LOOK["licensing"],
            *MACHINES,
            "add_entitlement",
            "change_entitlement",
            "delete_entitlement",
        ],
    },
    "Support": {**LOOK, "licensing": [*LOOK["licensing"], *MACHINES]},
    "Auditor": LOOK,
}


def add_permissions(apps, schema_editor):
    """Add the permissions for machines, entitlements and groups. Permissions are made after all migrations: here, before.

    A role that a superuser has deleted stays deleted.
    """
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    Group = apps.get_model("auth", "Group")
    for name, permissions in GROUPS.items():
        group = Group.objects.filter(name=name).first()
        if group is None:
            continue
        for app, codenames in permissions.items():
            for codename in codenames:
                content_type, _ = ContentType.objects.get_or_create(app_label=app, model=codename.split("_")[1])
                permission, _ = Permission.objects.get_or_create(
                    content_type=content_type, codename=codename, defaults={"name": f"Can {codename.replace('_', ' ')}"}
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0013_api_sessions"),
        ("licensing", "0010_permissions"),
        ("pools", "0016_batch_index"),
    ]

    operations = [migrations.RunPython(add_permissions, migrations.RunPython.noop)]
