"""Access log and request metrics, by route template, never by path: a path may contain a key."""

import logging
import time
from collections.abc import Callable
from contextvars import copy_context
from functools import partial

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from prometheus_client import Counter, Histogram

from keygen_site.observability.request_context import HTTP_METHODS, route_of

logger = logging.getLogger("keygen_site.access")

REQUESTS = Counter("keygen_requests", "Requests that were answered.", ["method", "route", "status"])
REQUEST_SECONDS = Histogram(
    "keygen_request_seconds",
    "Time to the response of a request.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class AccessLogMiddleware:
    """Counts and logs each request when its response is complete; a streamed response when the stream ends."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        began = time.monotonic()
        response = self.get_response(request)
        if response.streaming:
            context = copy_context()  # has the id of the request, which the middleware resets before the stream ends
            record = partial(context.run, record_request, request, response, began)
            response._resource_closers.append(record)  # type: ignore[attr-defined]
        else:
            record_request(request, response, began)
        return response


def record_request(request: HttpRequest, response: HttpResponseBase, began: float) -> None:
    """Count and log a request.

    Args:
        began: when it arrived, by `time.monotonic()`.
    """
    seconds = time.monotonic() - began
    method = request.method if request.method in HTTP_METHODS else "(other)"
    route, status = route_of(request), response.status_code
    REQUESTS.labels(method, route, status).inc()
    REQUEST_SECONDS.labels(method, route).observe(seconds)
    account = getattr(request, "account", None)
    facts = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "account": account and str(account.pk),
        "request": request.id,  # type: ignore[attr-defined]
    }
    logger.info(
        "%s %s %s in %s ms, account %s",
        *(facts[name] for name in ("method", "route", "status", "milliseconds")),
        facts["account"] or "-",
        extra={"facts": facts},
    )
