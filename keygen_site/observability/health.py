"""Addresses that are about this server, not about an account (contract: platform 1.3)."""

from functools import wraps

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpResponse, JsonResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST

from keygen_site.jsonapi.exceptions import endpoint_not_found
from keygen_site.observability import metrics


def for_reading(view):
    """Decorator: any other method than GET and HEAD leads nowhere, as it does all over the API."""

    @wraps(view)
    def answer(request, *args, **kwargs):
        return view(request, *args, **kwargs) if request.method in ("GET", "HEAD") else endpoint_not_found(request)

    return csrf_exempt(answer)


@for_reading
def ping(request, account=None):
    """That somebody answers at all; the account is not looked at."""
    return HttpResponse(" ", content_type="text/plain; charset=utf-8")


@for_reading
def health(request):
    """204 while the server can do its work, which needs the database; else 503."""
    return HttpResponse(status=204 if database_answers() else 503)


def database_answers():
    """Whether the database answers, and can be written to: a replica cannot."""
    writable = "SHOW transaction_read_only" if connection.vendor == "postgresql" else "SELECT 'off'"
    try:
        with connection.cursor() as cursor:
            cursor.execute(writable)
            return cursor.fetchone()[0] == "off"
    except DatabaseError:
        return False


@for_reading
def alive(request):
    """200 while the process lives, whatever it needs: restarting it would not bring its database back."""
    return JsonResponse({"status": "ok"})


@for_reading
def ready(request):
    """200 while the server can work: its database answers, and is as the code needs it; else 503."""
    answers = database_answers()
    checks = {"database": answers, "migrations": answers and is_migrated()}
    said = {name: "ok" if passed else "failed" for name, passed in checks.items()}
    return JsonResponse(said, status=200 if all(checks.values()) else 503)


_migrated = False  # once the database is as this code needs it, it stays so: newer code only adds to it


def is_migrated():
    """Whether all migrations of this code are applied."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


@for_reading
def metrics_view(request):
    """Numbers for Prometheus, for whoever has the token of the setting METRICS_TOKEN; without one there are none."""
    if not settings.METRICS_TOKEN:
        return endpoint_not_found(request)
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    return HttpResponse(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)


@csrf_exempt
def csp_reports(request):
    """Where the API's content security policy has browsers report to; there is nothing to read in them."""
    return HttpResponse(status=204)
