from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.db import models
from django.db.models.functions import Now
from django.db.models.signals import post_init, pre_init
from django.db.models.sql.compiler import SQLInsertCompiler, SQLUpdateCompiler

from accounts.audit import AuditContext
from accounts.models import Activity
from keygen_site.db.direct_models import DirectModel
from keygen_site.models import IdempotentResponse
from licensing.models import License, Machine
from tests.cast import add_keys, make_license
from tests.licensing.machines import make_machine

DIRECT = [model for model in apps.get_models() if issubclass(model, DirectModel)]
TIME = datetime(2030, 1, 2, tzinfo=UTC)


@pytest.fixture
def no_compiler(monkeypatch):
    def refuse(*arguments, **options):
        raise AssertionError("Django's compiler was used")

    monkeypatch.setattr(SQLInsertCompiler, "as_sql", refuse)
    monkeypatch.setattr(SQLUpdateCompiler, "as_sql", refuse)


@pytest.fixture
def rows(acme):
    machine = make_machine(make_license(acme.unpooled, metadata={"a": [1]}))
    add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(AuditContext(operator="test"))
    return [machine, machine.license, acme.policy, acme.admin, acme.account]


@pytest.mark.parametrize("model", DIRECT, ids=lambda model: model.__name__)
def test_nothing_misses_the_initialization_of_a_row(model):
    assert model.__init__ is models.Model.__init__
    assert not pre_init.has_listeners(model)
    assert not post_init.has_listeners(model)


def test_rows_are_those_that_django_makes(rows, django_assert_num_queries):
    for model in DIRECT:
        for found in model._base_manager.all():
            fields = [field.attname for field in model._meta.concrete_fields]
            made = models.Model.from_db.__func__(model, "default", fields, [getattr(found, name) for name in fields])
            assert {**vars(found), "_state": 0} == {**vars(made), "_state": 0}
            assert (found._state.adding, found._state.db) == (False, "default")
    partly = Machine.objects.defer("fingerprint").get()
    assert partly.get_deferred_fields() == {"fingerprint"}
    with django_assert_num_queries(1):
        assert partly.fingerprint == rows[0].fingerprint


def test_rows_are_inserted_and_updated_without_the_compiler(acme, rows, no_compiler):
    license = rows[1]
    made = [
        License(account=acme.account, product=acme.product, policy=acme.unpooled, key="NEW", metadata={"b": None}),
        Machine(account=acme.account, license=license, fingerprint="new", cores=2),
        Activity(account_id=acme.account.pk, event="created", noun="machine", details={"fields": ["x"]}),
        IdempotentResponse(account_id=acme.account.pk, bearer_id=acme.admin.pk, name="key", fingerprint=b"f" * 32),
    ]
    for row in made:
        row.save(force_insert=True)
    assert made[1].update_columns(last_heartbeat=TIME, metadata={"c": 1})

    assert made[1].last_heartbeat == TIME
    for row in made:
        stored = type(row).objects.get(pk=row.pk)
        for field in row._meta.concrete_fields:
            value = getattr(stored, field.attname)
            assert (bytes(value) if isinstance(value, memoryview) else value) == getattr(row, field.attname)


def test_expressions_are_saved_too(acme, rows):
    machine = rows[0]
    machine.last_heartbeat = Now()
    machine.save()
    other = Machine(account=acme.account, license=machine.license, fingerprint="other", last_heartbeat=Now())
    other.save(force_insert=True)

    for row in (machine, other):
        row.refresh_from_db()
        assert row.last_heartbeat.year > 2000


def test_update_of_a_deleted_row_is_reported(rows):
    machine = rows[0]
    Machine.objects.filter(pk=machine.pk).delete()

    assert not machine.update_columns(last_heartbeat=TIME)
