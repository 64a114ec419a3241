"""Health checks and metrics: whether the server is alive, whether it is ready, and its numbers."""

import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
from django.db import DatabaseError, OperationalError, connection
from django.db.migrations.recorder import MigrationRecorder

from keygen_site.observability import health, metrics
from pools.metrics import PoolCollector
from tests.cast import add_keys, numbered
from tests.conftest import API

ROOT = Path(__file__).parent.parent
TOKEN = "a-token-for-metrics"


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(health, "_migrated", False)
    monkeypatch.setattr(metrics, "_collectors", [PoolCollector()])


@pytest.fixture
def numbers(settings):
    """Reads /metrics: the line that begins with a name and labels, as a number."""
    settings.METRICS_TOKEN = TOKEN

    def number_of(name):
        text = API(TOKEN).get("/metrics").content.decode()
        found = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == name]
        return float(found[0]) if found else 0.0

    return number_of


def test_server_lives_without_a_database():
    with mock.patch("keygen_site.observability.health.connection.cursor", side_effect=DatabaseError):
        response = API().get("/healthz")

    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_server_is_ready(db):
    response = API().get("/readyz")

    assert (response.status_code, response.json()) == (200, {"database": "ok", "migrations": "ok"})


def test_server_is_not_ready_without_a_database():
    with mock.patch("keygen_site.observability.health.connection.cursor", side_effect=DatabaseError):
        response = API().get("/readyz")

    assert (response.status_code, response.json()) == (503, {"database": "failed", "migrations": "failed"})


@pytest.mark.postgresql
def test_server_is_not_ready_with_a_replica(db):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL transaction_read_only = on")

    assert API().get("/readyz").json() == {"database": "failed", "migrations": "failed"}
    assert API().get("/v1/health").status_code == 503
    assert API().get("/healthz").status_code == 200


def test_server_is_not_ready_before_the_last_migration(db):
    last = MigrationRecorder.Migration.objects.filter(app="pools").latest("id")
    MigrationRecorder(connection).record_unapplied("pools", last.name)

    response = API().get("/readyz")

    assert (response.status_code, response.json()) == (503, {"database": "ok", "migrations": "failed"})


def test_server_is_ready_when_newer_code_has_migrated_already(db):
    MigrationRecorder(connection).record_applied("pools", "9999_of_the_next_release")

    assert API().get("/readyz").status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_answer_no_writes(db, path):
    assert API().post(path).status_code == 404


def test_numbers_are_nowhere_without_a_token():
    assert API().get("/metrics").status_code == 404
    assert API("").get("/metrics", Authorization="Bearer ").status_code == 404


@pytest.mark.parametrize("credential", ["", "Bearer ", "Bearer another", f"Basic {TOKEN}", TOKEN])
def test_metrics_require_the_token(settings, credential):
    settings.METRICS_TOKEN = TOKEN

    response = API().get("/metrics", Authorization=credential)

    assert (response.status_code, response.content) == (401, b"")
    assert response["WWW-Authenticate"].startswith("Bearer")


def test_numbers_are_in_the_format_of_prometheus(db, numbers, settings):
    response = API(TOKEN).get("/metrics")

    assert response.status_code == 200
    assert response["Content-Type"].startswith("text/plain; version=")


def test_requests_are_counted_by_route_and_status(acme, api, numbers):
    labels = 'method="GET",route="/v1/accounts/{account}/keys/{id}"'
    before = numbers(f'keygen_requests_total{{{labels},status="404"}}')
    timed = numbers(f"keygen_request_seconds_count{{{labels}}}")

    api(acme.admin).get("keys/C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3")

    assert numbers(f'keygen_requests_total{{{labels},status="404"}}') == before + 1
    assert numbers(f"keygen_request_seconds_count{{{labels}}}") == timed + 1


def test_requests_that_lead_nowhere_are_counted_together(db, numbers):
    name = 'keygen_requests_total{method="GET",route="(none)",status="404"}'
    before = numbers(name)

    API().get("/v1/nowhere-1")
    API().get("/v1/nowhere-2")

    assert numbers(name) == before + 2


def test_methods_that_are_none_are_counted_together(db, numbers):
    name = 'keygen_requests_total{method="(other)",route="(none)",status="400"}'
    before = numbers(name)

    API().request("FROBNICATE", "/v1/ping")
    API().request("XYZZY", "/v1/ping")

    assert numbers(name) == before + 2


def test_pools_say_how_many_keys_wait(acme, numbers, audit):
    add_keys(acme.policy, *numbered(3))
    acme.policy.pool.pop(audit)

    assert numbers(f'keygen_pool_available{{account="acme",name="Pooled",policy="{acme.policy.pk}"}}') == 2


def test_other_numbers_are_told_without_a_database(numbers, monkeypatch):
    monkeypatch.setattr("pools.metrics.count_available", broken)
    monkeypatch.setattr(metrics, "_collectors", [PoolCollector()])
    name = 'keygen_requests_total{method="GET",route="/healthz",status="200"}'
    before = numbers(name)

    API().get("/healthz")

    assert numbers(name) == before + 1


def broken():
    raise OperationalError


def test_pools_are_not_counted_at_each_scrape(acme, numbers, audit):
    name = f'keygen_pool_available{{account="acme",name="Pooled",policy="{acme.policy.pk}"}}'
    add_keys(acme.policy, *numbered(3))

    assert numbers(name) == 3
    acme.policy.pool.pop(audit)
    assert numbers(name) == 3


def test_a_pool_is_counted_up_to_a_bound(acme, numbers, monkeypatch):
    monkeypatch.setattr("pools.metrics.MAX_COUNTED_KEYS", 2)
    add_keys(acme.policy, *numbered(3))

    assert numbers(f'keygen_pool_available{{account="acme",name="Pooled",policy="{acme.policy.pk}"}}') == 2


@pytest.mark.django_db(transaction=True)
def test_pools_say_how_many_keys_were_popped(acme, api, numbers):
    name = f'keygen_pool_popped_total{{policy="{acme.policy.pk}"}}'
    add_keys(acme.policy, *numbered(2))

    for _ in range(3):
        api(acme.admin).delete(f"policies/{acme.policy.pk}/pool")

    assert numbers(name) == 2


def test_slow_results_are_cached_longer(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("keygen_site.observability.metrics.time.monotonic", lambda: now[0])

    def ask():
        now[0] += 2  # seconds
        return now[0]

    remembered = metrics.CachedResult(ask, min_seconds=5, max_share=0.02)

    assert remembered.get() == 1002
    now[0] = 1101
    assert remembered.get() == 1002
    now[0] = 1102
    assert remembered.get() == 1104


def test_processes_add_their_numbers_up(tmp_path):
    program = """
import django
django.setup()
from keygen_site.observability import access_log, metrics
access_log.REQUESTS.labels("GET", "/v1/ping", 200).inc()
metrics._collectors.clear()
print(metrics.render_metrics().decode())
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "keygen_site.settings"}

    def told(**more):
        command = [sys.executable, "-c", program]
        outcome = subprocess.run(command, env=environment | more, cwd=ROOT, check=True, capture_output=True, text=True)
        name = 'keygen_requests_total{method="GET",route="/v1/ping",status="200"}'
        return [line.removeprefix(name) for line in outcome.stdout.splitlines() if line.startswith(name)]

    assert [told(), told()] == [[" 1.0"], [" 1.0"]]
    folder = str(tmp_path / "not-there-yet")
    assert [told(PROMETHEUS_MULTIPROC_DIR=folder) for _ in range(3)] == [[" 1.0"], [" 2.0"], [" 3.0"]]


def test_only_who_looks_after_the_server_is_answered_without_tls():
    program = """
import django
django.setup()
from django.test import Client
for path in ("/healthz", "/readyz", "/metrics", "/v1/health", "/v1/ping", "/docs"):
    for scheme in ("http", "https"):
        answer = Client(headers={"X-Forwarded-Proto": scheme, "Host": "localhost"}).get(path)
        print(path, scheme, answer.status_code, answer.get("Strict-Transport-Security", "-").split(";")[0])
"""
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "keygen_site.settings", "BEHIND_TLS_PROXY": "true"}
    environment |= {"DATABASE_URL": "sqlite:///:memory:"}
    command = [sys.executable, "-c", program]
    outcome = subprocess.run(command, env=environment, cwd=ROOT, check=True, capture_output=True, text=True)

    assert outcome.stdout.splitlines() == [
        *("/healthz http 200 -", "/healthz https 200 max-age=63072000"),
        *("/readyz http 503 -", "/readyz https 503 max-age=63072000"),
        *("/metrics http 404 -", "/metrics https 404 max-age=63072000"),
        *("/v1/health http 204 -", "/v1/health https 204 max-age=63072000"),
        *("/v1/ping http 308 -", "/v1/ping https 200 max-age=63072000"),
        *("/docs http 308 -", "/docs https 200 max-age=63072000"),
    ]
