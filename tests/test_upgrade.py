"""Upgrades: the database of an early version goes through all migrations with all that is in it."""

from contextlib import suppress
from datetime import UTC, datetime
from threading import Timer

import pytest
from django.db import OperationalError, connection, models
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from django.db.migrations.state import ProjectState
from django.db.utils import NotSupportedError

from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digester
from keygen_site.db.migration_operations import AddIndexOnline, RemoveIndexOnline
from licensing.models import Policy
from pools.models import Key, UsedText
from tests.cast import numbered
from tests.conftest import API
from tests.other_database import empty_database
from tests.races import Holder, cancelled_when_waiting

APPS = ("accounts", "keygen_site", "licensing", "pools")
FIRST = [(app, "0001_initial") for app in APPS]
TOKEN = "admin-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefv3"
THEN = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


@pytest.fixture
def another_database(django_db_setup, django_db_blocker, tmp_path):
    with django_db_blocker.unblock(), empty_database(tmp_path):
        yield


def migrate(*targets):
    """Apply migrations; the models as they are then."""
    MigrationExecutor(connection).migrate(targets)
    return MigrationExecutor(connection).loader.project_state(list(targets)).apps


def steps():
    """The migrations that are still to be applied, in order."""
    executor = MigrationExecutor(connection)
    return [(m.app_label, m.name) for m, _ in executor.migration_plan(executor.loader.graph.leaf_nodes())]


def fill(apps):
    """An account with an admin, a pool of which two keys are gone, one for a license, and a stored answer."""

    def make(label, **fields):
        return apps.get_model(label).objects.create(created=THEN, **fields)

    account = make("accounts.Account", slug="acme", name="Acme")
    admin = make("accounts.User", account=account, email="admin@acme.test", role="admin", metadata={"shoe": 42})
    user_type, _ = apps.get_model("contenttypes.ContentType").objects.get_or_create(app_label="accounts", model="user")
    make("accounts.Token", account=account, bearer_type=user_type, bearer_id=admin.pk, digest=digest(TOKEN))
    product = make("licensing.Product", account=account, name="Rocket")
    policy = make("licensing.Policy", account=account, product=product, name="Pooled", use_pool=True, protected=False)
    load = make("pools.KeyImport", account=account, policy=policy, name="PO 4711", added=5)
    keys = [make("pools.Key", account=account, policy=policy, key_import=load, key=text) for text in numbered(5)]
    of = {"account": account, "product": product, "policy": policy}
    license = make("licensing.License", key=keys[1].key, protected=False, **of)
    for key, event in zip(keys, ("popped", "issued"), strict=False):
        key.popped = THEN
        key.save()
        held = {"license": license} if event == "issued" else {}
        make("pools.KeyEvent", event=event, key=key, key_digest=key.digest, reference="Order 1", **of, **held)
    answer = {"account_id": account.pk, "bearer_id": admin.pk, "name": "once", "fingerprint": digest("x")}
    make("keygen_site.IdempotentResponse", status=200, body=b'{"data":null}', **answer)


def contents(apps):
    """All rows of our own tables: `{model: {id: {field: value}}}`."""
    found = {}
    for model in apps.get_models():
        if model._meta.app_label in APPS:
            names = [field.attname for field in model._meta.concrete_fields]
            rows = (dict(zip(names, map(plain, row), strict=True)) for row in model.objects.values_list(*names))
            found[model._meta.label] = {row[model._meta.pk.attname]: row for row in rows}
    return found


# The digests that were plain ones in early versions, and became keyed ones.
KEYED = {"pools.Key": "digest", "licensing.License": "digest", "pools.KeyEvent": "key_digest"}


def plain(value):
    return bytes(value) if isinstance(value, memoryview) else value


def test_upgrade_keeps_all_that_is_there_at_every_step(another_database, audit):
    apps = migrate(*FIRST)
    fill(apps)
    early = contents(apps)
    assert sum(len(rows) for rows in early.values()) == 15
    todo = steps()
    assert todo

    for step in todo:
        migrate(step)
        late = contents(MigrationExecutor(connection).loader.project_state(applied()).apps)
        for label, rows in early.items():
            assert late[label].keys() >= rows.keys(), f"{label} after {step}"
            for id, row in rows.items():
                kept = {name: late[label][id][name] for name in row if name in late[label][id]}
                if label == "pools.Key" and row["popped"]:
                    row["disclosed"] = row["disclosed"] or kept["disclosed"]  # filled in by 0005_disclosures
                column = KEYED.get(label)
                if column and kept[column] != row[column]:
                    row[column] = key_digester().from_sha256(row[column])
                assert kept == {name: row[name] for name in kept}, f"{label} after {step}"

    assert steps() == []
    assert not UsedText.objects.exists()  # the triggers did not see the change of the digests
    assert Key.objects.filter(key="KEY-0004", ending=key_digester().ending("0004")).exists()
    policy = Policy.objects.get()
    keys = Key.objects.order_by("id").values_list("disclosure", "disclosed")
    assert list(keys[:3]) == [("popped", THEN), ("issued", THEN), (None, None)]
    assert policy.pool.pop(audit).key == "KEY-0003"
    answer = API(TOKEN).get("keys")
    assert [key["attributes"]["key"] for key in answer.json()["data"]] == ["KEY-0005", "KEY-0004"]
    assert len(API(TOKEN).get("key-events?reference=Order%201").json()["data"]) == 2


def applied():
    return [key for key in MigrationRecorder(connection).applied_migrations() if key[0] in APPS]


def test_upgrade_can_be_taken_again_from_where_it_stopped(another_database):
    migrate(*FIRST)
    first, *_ = steps()
    migrate(first)

    migrate(*MigrationExecutor(connection).loader.graph.leaf_nodes())

    assert steps() == []


INDEX = models.Index(fields=["policy", "created"], name="pools_key_of_the_test")


def apply(operation, backwards=False):
    """Run one operation of a migration on the tests' database, outside of a transaction."""
    before = ProjectState.from_apps(Key._meta.apps)
    after = before.clone()
    if isinstance(operation, RemoveIndexOnline):
        before.add_index("pools", "key", INDEX)
        after.add_index("pools", "key", INDEX)
    operation.state_forwards("pools", after)
    with connection.schema_editor(atomic=False) as editor:
        if backwards:
            operation.database_backwards("pools", editor, after, before)
        else:
            operation.database_forwards("pools", editor, before, after)


def indexes():
    with connection.cursor() as cursor:
        return set(connection.introspection.get_constraints(cursor, "pools_key"))


@pytest.fixture
def no_index(transactional_db):
    yield
    if INDEX.name in indexes():
        apply(AddIndexOnline("key", INDEX), backwards=True)


@pytest.mark.usefixtures("no_index")
class TestIndex:
    def test_index_is_made_and_dropped_again(self):
        add, remove = AddIndexOnline("key", INDEX), RemoveIndexOnline("key", INDEX.name)

        apply(add)
        assert INDEX.name in indexes()
        apply(remove)
        assert INDEX.name not in indexes()
        apply(remove, backwards=True)
        assert INDEX.name in indexes()
        apply(add, backwards=True)
        assert INDEX.name not in indexes()

    @pytest.mark.postgresql
    def test_index_is_made_once(self):
        apply(AddIndexOnline("key", INDEX))
        apply(AddIndexOnline("key", INDEX))

        assert INDEX.name in indexes()

    @pytest.mark.postgresql
    def test_index_is_rebuilt_after_an_interruption(self, acme):
        def write():
            Key.objects.create(account=acme.account, policy=acme.policy, key="SOME-KEY")

        with Holder(write), cancelled_when_waiting(), suppress(OperationalError):
            apply(AddIndexOnline("key", INDEX))
        with connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX.name])
            assert cursor.fetchone() == (False,)

        apply(AddIndexOnline("key", INDEX))

        with connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", [INDEX.name])
            assert cursor.fetchone() == (True,)

    @pytest.mark.postgresql
    def test_index_waits_longer_than_others_may(self, acme, monkeypatch):
        """It waits for transactions that are older than it. They block no other request."""
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '100ms'")

        with Holder(lambda: Key.objects.create(account=acme.account, policy=acme.policy, key="SOME-KEY")) as older:
            Timer(0.5, older.let_go).start()
            apply(AddIndexOnline("key", INDEX))

        with connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            assert cursor.fetchone() == ("100ms",)
            cursor.execute("RESET lock_timeout")
        assert INDEX.name in indexes()

    @pytest.mark.postgresql
    def test_index_needs_to_be_outside_of_a_transaction(self):
        state = ProjectState.from_apps(Key._meta.apps)
        after = state.clone()
        operation = AddIndexOnline("key", INDEX)
        operation.state_forwards("pools", after)

        with connection.schema_editor(atomic=True) as editor, pytest.raises(NotSupportedError, match="atomic = False"):
            operation.database_forwards("pools", editor, state, after)
