"""Round trips of a request to PostgreSQL, and requests after the server has closed their connection."""

import psycopg
import pytest
from django.db import (
    DataError,
    IntegrityError,
    InternalError,
    OperationalError,
    ProgrammingError,
    connection,
    transaction,
)

from accounts.audit import AuditContext
from benchmarks.testbed.round_trips import round_trips
from keygen_site.db.postgresql.base import send_with_commit
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from tests.cast import add_keys, make_policy, numbered
from tests.licensing.machines import activation, make_floating, make_machine
from tests.processes import url_of_database

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def ask(acme, api):
    """Functions that send a request of each kind; the argument is a text that no other request has."""
    add_keys(acme.policy, *numbered(20))
    license = issue_license(policy=acme.policy, audit=AuditContext())
    key = acme.policy.pool.latest("id")
    client = api(acme.admin)
    pool = f"policies/{acme.policy.pk}/pool"
    issue = {
        "data": {
            "type": "licenses",
            "relationships": {"policy": {"data": {"type": "policies", "id": str(acme.policy.pk)}}},
        }
    }
    activated = make_floating(acme.product, max_machines=100, max_cores=100, strict=True)
    machine, *others = (make_machine(activated, f"M-{number}") for number in range(9))
    validation = {"meta": {"key": activated.key, "scope": {"fingerprint": machine.fingerprint}}}
    return {
        "GET key": lambda text: client.get(f"keys/{key.pk}"),
        "GET policy": lambda text: client.get(f"policies/{acme.policy.pk}"),
        "GET license": lambda text: client.get(f"licenses/{license.pk}"),
        "list": lambda text: client.get("keys?limit=10"),
        "validate-key": lambda text: client.post("licenses/actions/validate-key", {"meta": {"key": license.key}}),
        "pop": lambda text: client.delete(pool),
        "idempotent pop": lambda text: client.delete(pool, Idempotency_Key=text),
        "issue": lambda text: client.post("licenses", issue),
        "validate with fingerprint": lambda text: client.post("licenses/actions/validate-key", validation),
        "activate": lambda text: client.post("machines", activation(activated, text)),
        "ping": lambda text: client.post(f"machines/{machine.pk}/actions/ping"),
        "deactivate": lambda text: client.delete(f"machines/{others.pop().pk}"),
    }


@pytest.mark.parametrize(
    ("name", "most"),
    [
        *(("GET key", 2), ("GET policy", 2), ("GET license", 2), ("list", 2), ("validate-key", 2), ("pop", 2)),
        *(("idempotent pop", 4), ("issue", 4), ("validate with fingerprint", 3), ("ping", 3), ("activate", 7)),
        ("deactivate", 7),
    ],
)
def test_a_request_waits_no_more_often(ask, monkeypatch, name, most):
    monkeypatch.setattr("keygen_site.jsonapi.idempotency.PRUNE_INTERVAL", 10**9)
    for text in ("first", "second", "third"):
        ask[name](text)  # fills the caches of the process

    with round_trips() as count:
        response = ask[name]("counted")

    assert response.status_code < 300
    assert count[0] <= most


def kill_session():
    """End the session of this thread's connection, as a restart of the server does, and let a request begin."""
    connection.ensure_connection()
    session = connection.connection.info.backend_pid
    with other_session() as other:
        other.execute("SELECT pg_terminate_backend(%s, 10000)", [session])
    connection.health_check_done = False
    return session


def other_session():
    return psycopg.connect(url_of_database(), autocommit=True)


@pytest.mark.parametrize("name", ["GET key", "list", "validate-key", "pop", "idempotent pop", "issue"])
def test_a_request_after_a_restart_of_the_database_gets_its_answer(ask, name):
    before = kill_session()

    assert ask[name]("once").status_code < 300
    assert connection.connection.info.backend_pid != before


def test_a_connection_that_breaks_during_a_request_is_not_replaced(ask, acme):
    ask["pop"]("first")
    keys = acme.policy.pool.available().count()
    kill_session()
    connection.health_check_done = True  # the request has begun

    with pytest.raises(OperationalError):
        acme.policy.pool.pop(AuditContext())
    connection.close()

    assert acme.policy.pool.available().count() == keys


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_first_statement_that_changes_something_is_executed_once(acme, in_transaction):
    add_keys(acme.policy, *numbered(3))
    kill_session()

    if in_transaction:
        with transaction.atomic():
            acme.policy.pool.pop(AuditContext())
    else:
        acme.policy.pool.pop(AuditContext())

    assert acme.policy.pool.available().count() == 2


def test_a_database_that_stays_away_is_said_to_be(ask, monkeypatch):
    kill_session()
    with monkeypatch.context() as patched:
        patched.setitem(connection.settings_dict, "PORT", "1")
        response = ask["GET key"]("once")

    assert (response.status_code, response.json()["errors"][0]["code"]) == (503, "UNAVAILABLE")
    assert ask["GET key"]("once").status_code == 200


def test_a_cursor_that_was_opened_before_does_not_take_a_transaction_apart(acme):
    """Its connection was not used since the request began, and is checked when the transaction begins."""
    kill_session()
    with connection.cursor():
        pass

    with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
        list(Key.objects.select_for_update())
        assert connection.connection.info.transaction_status.name == "INTRANS"
        add_keys(acme.policy, "KEY-0001")
        raise ZeroDivisionError

    assert not Key.objects.exists()


@pytest.mark.parametrize("first", ["executemany", "copy"])
def test_any_first_statement_finds_out_that_the_connection_is_gone(acme, first):
    kill_session()

    with connection.cursor() as cursor:
        if first == "executemany":
            cursor.executemany("SELECT %s", [(1,), (2,)])
        else:
            with cursor.copy("COPY (SELECT 1) TO STDOUT") as copy:
                assert b"".join(copy)


def test_a_transaction_that_has_not_ended_is_not_left_open(acme):
    """As if COMMIT had never been sent: the next statements do not silently become part of the transaction."""
    with connection.cursor() as cursor:
        connection.set_autocommit(False)
        cursor.execute("SELECT 1", [])
        with pytest.raises(ProgrammingError, match="INTRANS"):
            connection.set_autocommit(True)
        connection.rollback()
        connection.set_autocommit(True)


def test_a_transaction_that_has_failed_is_not_committed(acme):
    with pytest.raises(InternalError), transaction.atomic():  # noqa: PT012
        add_keys(acme.policy, "KEY-0001")
        with pytest.raises(DataError), connection.cursor() as cursor:
            cursor.execute("SELECT 1 / %s", [0])

    assert not Key.objects.exists()


class TestSendWithCommit:
    def test_it_waits_where_there_is_no_transaction(self, acme):
        with send_with_commit():
            self.license(acme, "KEY-0002").save(force_insert=True)

        assert connection.pipeline is None
        assert License.objects.count() == 1

    def test_a_savepoint_goes_back_although_its_last_statement_fails(self, acme):
        self.license(acme, "TAKEN-0001").save()

        with transaction.atomic():
            add_keys(acme.policy, "KEY-0001")
            with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
                with send_with_commit():
                    self.license(acme, "TAKEN-0001").save(force_insert=True)
                raise ZeroDivisionError

        assert Key.objects.count() == 1

    def license(self, acme, key):
        policy = make_policy(acme.product, "Other")
        return License(account=acme.account, product=acme.product, policy=policy, key=key)

    def test_an_error_is_raised_at_the_end_and_undoes_all(self, acme):
        self.license(acme, "TAKEN-0001").save()
        add_keys(acme.policy, "KEY-0001")

        with pytest.raises(IntegrityError), transaction.atomic():  # noqa: PT012
            acme.policy.pool.pop(AuditContext())
            with send_with_commit():
                self.license(acme, "TAKEN-0001").save(force_insert=True)

        assert acme.policy.pool.available().count() == 1
        assert not KeyEvent.objects.filter(event="popped").exists()

    def test_a_further_statement_sees_it(self, acme):
        with transaction.atomic():
            add_keys(acme.policy, "KEY-0001")
            with send_with_commit():
                self.license(acme, "KEY-0002").save(force_insert=True)
            assert License.objects.filter(name=None).count() == 1
            assert Key.objects.count() == 1

        assert License.objects.count() == 1

    def test_a_transaction_that_is_given_up_leaves_nothing(self, acme):
        with pytest.raises(ZeroDivisionError), transaction.atomic():  # noqa: PT012
            add_keys(acme.policy, "KEY-0001")
            with send_with_commit():
                self.license(acme, "KEY-0002").save(force_insert=True)
            raise ZeroDivisionError

        assert not License.objects.exists()
        assert not Key.objects.exists()

    def test_a_savepoint_is_kept_apart(self, acme):
        self.license(acme, "TAKEN-0001").save()

        with transaction.atomic():
            add_keys(acme.policy, "KEY-0001")
            with pytest.raises(IntegrityError), transaction.atomic(), send_with_commit():
                self.license(acme, "TAKEN-0001").save(force_insert=True)

        assert Key.objects.count() == 1
