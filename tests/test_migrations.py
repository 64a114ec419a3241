"""Upgrades: no migration may block a server under load, or break the release that still runs."""

import re

import pytest
from django.contrib.postgres.operations import NotInTransactionMixin
from django.db import migrations, models
from django.db.migrations.loader import MigrationLoader

from keygen_site.db.migration_operations import AddIndexOnline, RemoveIndexOnline

APPS = ("accounts", "keygen_site", "licensing", "pools")
# Tables that may have millions of rows.
LARGE = {"key", "keyevent", "license", "idempotentresponse", "token"}
# There was no release before these, so they may stop a server. With the first release these numbers are settled.
BEFORE_FIRST_RELEASE = {"accounts": 9, "keygen_site": 4, "licensing": 6, "pools": 15}
NAME = re.compile(r"(\d{4})_[a-z][a-z0-9_]+")


def all_migrations():
    found = MigrationLoader(None).disk_migrations
    return sorted((key, migration) for key, migration in found.items() if key[0] in APPS)


def dangers(migration):
    """Descriptions of the harm of a migration to a running server. Empty if it is safe.

    Old and new code run side by side while servers are replaced one after the other, so tables and columns that the
    old code uses have to stay, and rows that it writes must be valid. Those that the *last* release no longer used
    may go: the migration then says so, `old_code_has_gone = True`.
    """
    operations = list(database_operations(migration.operations))
    made = {operation.name_lower for operation in operations if isinstance(operation, migrations.CreateModel)}
    for operation in operations:
        model = getattr(operation, "model_name_lower", "")
        if model not in made:
            yield from dangers_of(operation, model in LARGE, migration)


def database_operations(operations):
    for operation in operations:
        if isinstance(operation, migrations.SeparateDatabaseAndState):
            yield from database_operations(operation.database_operations)
        else:
            yield operation


def dangers_of(operation, large, migration):
    kind = type(operation).__name__
    match operation:
        case AddIndexOnline() | RemoveIndexOnline() | NotInTransactionMixin():
            if migration.atomic:
                yield f"{kind} needs atomic = False"
        case migrations.AddIndex() | migrations.RemoveIndex() if large:
            yield f"{kind} keeps everybody from writing: use {kind}Online"
        case migrations.AddConstraint() if large:
            yield "AddConstraint reads all rows and blocks writes: add it NOT VALID, validate it in another one"
        case migrations.AddField():
            field = operation.field
            if not field.null and field.db_default is models.NOT_PROVIDED and not field.many_to_many:
                yield f"{operation.name}: old code writes rows without it: null=True or db_default"
            if large and (field.unique or field.db_index):
                yield f"{operation.name}: its index keeps everybody from writing: make it concurrently"
        case migrations.AlterField() if large:
            yield f"{operation.name}: may rewrite the whole table"
        case (
            migrations.RemoveField()
            | migrations.DeleteModel()
            | migrations.RenameField()
            | migrations.RenameModel()
            | migrations.AlterModelTable()
        ):
            if not getattr(migration, "old_code_has_gone", False):
                yield f"{kind}: old code needs it"
        case migrations.RunSQL() if re.search(r"\b(LOCK|TRUNCATE|VACUUM FULL|CLUSTER)\b", str(operation.sql), re.I):
            yield "RunSQL locks a table"


@pytest.mark.parametrize("app", APPS)
def test_migrations_are_one_line(app):
    names = [name for (of, name), _ in all_migrations() if of == app]
    parents = {
        name: [parent for of, parent in migration.dependencies if of == app]
        for (of, name), migration in all_migrations()
        if of == app
    }

    assert [int(NAME.fullmatch(name)[1]) for name in names] == list(range(1, len(names) + 1))
    assert parents == {name: names[number - 1 : number] if number else [] for number, name in enumerate(names)}


@pytest.mark.parametrize("key", [key for key, _ in all_migrations()], ids="-".join)
def test_migrations_say_in_their_name_what_they_do(key):
    assert NAME.fullmatch(key[1])
    assert not re.search(r"auto|merge|squash|alter_|_and_more", key[1])


def test_migrations_are_safe():
    found = {
        key: list(dangers(migration))
        for key, migration in all_migrations()
        if int(key[1][:4]) > BEFORE_FIRST_RELEASE[key[0]]
    }

    assert {key: said for key, said in found.items() if said} == {}


INDEX = models.Index(fields=["policy"], name="pools_key_example")
UNSAFE = {
    "index": migrations.AddIndex("key", INDEX),
    "no index": migrations.RemoveIndex("key", "pools_key_example"),
    "index in a transaction": AddIndexOnline("key", INDEX),
    "constraint": migrations.AddConstraint("key", models.CheckConstraint(condition=models.Q(), name="example")),
    "field that old code does not write": migrations.AddField("policy", "colour", models.TextField(default="")),
    "field with an index": migrations.AddField("key", "colour", models.TextField(null=True, db_index=True)),
    "unique field": migrations.AddField("keyevent", "colour", models.TextField(null=True, unique=True)),
    "other field": migrations.AlterField("license", "key", models.CharField(max_length=3)),
    "no field": migrations.RemoveField("policy", "name"),
    "other name": migrations.RenameField("policy", "name", "title"),
    "other model": migrations.RenameModel("Policy", "Terms"),
    "no model": migrations.DeleteModel("Policy"),
    "lock": migrations.RunSQL("LOCK TABLE pools_key"),
    "index in another operation": migrations.SeparateDatabaseAndState([migrations.AddIndex("key", INDEX)]),
}
SAFE = {
    "field that may be missing": migrations.AddField("key", "colour", models.TextField(null=True)),
    "field with a default in the database": migrations.AddField("key", "uses", models.IntegerField(db_default=0)),
    "index on a small table": migrations.AddIndex("product", models.Index(fields=["name"], name="example")),
    "wider field of a small table": migrations.AlterField("product", "name", models.CharField(max_length=9000)),
    "options": migrations.AlterModelOptions("key", {"ordering": ["id"]}),
}


def migration_of(*operations, **attributes):
    members = {"operations": list(operations), **attributes}
    return type("Migration", (migrations.Migration,), members)("0099_example", "pools")


@pytest.mark.parametrize("operation", UNSAFE.values(), ids=UNSAFE)
def test_unsafe_migrations_are_detected(operation):
    assert len(list(dangers(migration_of(operation)))) == 1


@pytest.mark.parametrize("operation", SAFE.values(), ids=SAFE)
def test_safe_migrations_are_accepted(operation):
    assert list(dangers(migration_of(operation))) == []


def test_migrations_may_make_indexes_concurrently():
    assert list(dangers(migration_of(AddIndexOnline("key", INDEX), atomic=False))) == []


def test_migrations_may_take_away_what_no_release_uses_any_more():
    assert list(dangers(migration_of(UNSAFE["no field"], old_code_has_gone=True))) == []


def test_migrations_may_do_anything_to_a_table_that_they_make():
    table = migrations.CreateModel("Key", [("id", models.BigAutoField(primary_key=True))])

    assert list(dangers(migration_of(table, UNSAFE["index"], UNSAFE["constraint"]))) == []
