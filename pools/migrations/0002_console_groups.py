from django.db import migrations

# Whoever uses the console is in one of these, or a superuser. What is looked at in one app may be looked at in all.
LOOK = {
    "accounts": ["view_user"],
    "licensing": ["view_license", "view_policy", "view_product"],
    "pools": ["view_key", "view_keyevent", "view_keyimport"],
}
GROUPS = {
    "Operator": {
        "accounts": [*LOOK["accounts"], "add_token", "add_user", "change_user", "delete_token", "view_token"],
        "licensing": [
            *LOOK["licensing"],
            "add_license",
            "add_policy",
            "add_product",
            "change_policy",
            "change_product",
            "renew_license",
            "revoke_license",
            "suspend_license",
        ],
        "pools": [
            *LOOK["pools"],
            "add_keyimport",
            "export_key",
            "pop_key",
            "return_key",
            "reveal_key",
            "withdraw_key",
        ],
    },
    "Support": {**LOOK, "licensing": [*LOOK["licensing"], "renew_license", "suspend_license"]},
    "Auditor": LOOK,
}


def make_groups(apps, schema_editor):
    """Make the groups, or give them their permissions again. Permissions are made after all migrations: here, before."""
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    Group = apps.get_model("auth", "Group")
    for name, permissions in GROUPS.items():
        group, _ = Group.objects.get_or_create(name=name)
        for app, codenames in permissions.items():
            for codename in codenames:
                content_type, _ = ContentType.objects.get_or_create(app_label=app, model=codename.split("_")[1])
                permission, _ = Permission.objects.get_or_create(
                    content_type=content_type, codename=codename, defaults={"name": f"Can {codename.replace('_', ' ')}"}
                )
                group.permissions.add(permission)


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
        ("licensing", "0001_initial"),
        ("pools", "0001_initial"),
    ]

    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
