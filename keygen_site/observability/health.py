"""Liveness, readiness, metrics and CSP-report endpoints (contract: platform 1.3)."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import resolve
from django.utils.crypto import constant_time_compare
from django.views.decorators.csrf import csrf_exempt
from prometheus_client import CONTENT_TYPE_LATEST

from keygen_site.jsonapi.errors import BadRequest, MimeTypeInvalid
from keygen_site.jsonapi.exceptions import endpoint_not_found, error_response
from keygen_site.jsonapi.negotiation import is_accept
from keygen_site.jsonapi.versions import parse_version, set_version
from keygen_site.observability import metrics


def require_read(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
    """Decorator: methods other than GET and HEAD are 404, as everywhere in the API (contract: platform 4.2)."""

    @wraps(view)
    def handler(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs) if request.method in ("GET", "HEAD") else endpoint_not_found(request)

    return csrf_exempt(handler)


@require_read
def ping(request: HttpRequest, account: str | None = None, format: str | None = None) -> HttpResponseBase:
    """200 while the server responds. The account is ignored."""
    try:
        _check_accept(request)
        parse_version(request)
    except BadRequest as error:
        return error_response(request, error)
    response = HttpResponse(" ", content_type="text/plain; charset=utf-8")
    set_version(request, response)
    return response


@require_read
def health(request: HttpRequest) -> HttpResponseBase:
    """204 while the server can work, for which it needs the database; else 503."""
    try:
        _check_accept(request)
    except BadRequest as error:
        return error_response(request, error)
    response = HttpResponse(status=204 if is_database_writable() else 503)
    del response["Content-Type"]
    set_version(request, response)
    return response


def _check_accept(request: HttpRequest) -> None:
    """Refuse an Accept header that is none. Any media type is acceptable (contract: platform 2.1)."""
    if not is_accept(request.META.get("HTTP_ACCEPT", "")):
        raise MimeTypeInvalid


def is_database_writable() -> bool:
    """Whether the database responds and can be written to: a replica cannot."""
    writable = "SHOW transaction_read_only" if connection.vendor == "postgresql" else "SELECT 'off'"
    try:
        with connection.cursor() as cursor:
            cursor.execute(writable)
            return cursor.fetchone()[0] == "off"
    except DatabaseError:
        return False


@require_read
def alive(request: HttpRequest) -> HttpResponseBase:
    """200 while the process lives, even without a database: a restart would not bring the database back."""
    return JsonResponse({"status": "ok"})


@require_read
def ready(request: HttpRequest) -> HttpResponseBase:
    """200 while the database responds and all migrations are applied; else 503."""
    is_writable = is_database_writable()
    checks = {"database": is_writable, "migrations": is_writable and is_migrated()}
    results = {name: "ok" if passed else "failed" for name, passed in checks.items()}
    return JsonResponse(results, status=200 if all(checks.values()) else 503)


_migrated = False  # stays true: newer code only adds migrations


def is_migrated() -> bool:
    """Whether all migrations of this code are applied."""
    global _migrated
    if not _migrated:
        executor = MigrationExecutor(connection)
        _migrated = not executor.migration_plan(executor.loader.graph.leaf_nodes())
    return _migrated


@require_read
def metrics_view(request: HttpRequest) -> HttpResponseBase:
    """Metrics for Prometheus, with the token of the setting METRICS_TOKEN; 404 if that is empty."""
    if not settings.METRICS_TOKEN:
        return endpoint_not_found(request)
    if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {settings.METRICS_TOKEN}"):
        return HttpResponse(status=401, headers={"WWW-Authenticate": 'Bearer realm="metrics"'})
    return HttpResponse(metrics.render_metrics(), content_type=CONTENT_TYPE_LATEST)


@csrf_exempt
def csp_reports(request: HttpRequest) -> HttpResponse:
    """204: browsers report violations of the API's content security policy here. The reports are discarded."""
    return HttpResponse(status=204)


class ProbeMiddleware:
    """Responds to probes and to Prometheus for any `Host`: load balancers send an IP address."""

    PATHS = frozenset({"/healthz", "/readyz", "/metrics", "/v1/health"})

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if request.path_info not in self.PATHS:
            return self.get_response(request)
        request.resolver_match = resolve(request.path_info)  # for the access log
        response: HttpResponseBase = request.resolver_match.func(request)
        return response
