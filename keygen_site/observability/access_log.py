"""What is seen of every request from outside: a line in the log, and numbers at /metrics.

Both name the route and never the path, for a path may have a key in it.
"""

import logging
import time
from contextvars import copy_context

from prometheus_client import Counter, Histogram

from keygen_site.observability.request_context import METHODS, route_of

logger = logging.getLogger("keygen_site.access")

REQUESTS = Counter("keygen_requests", "Requests that were answered.", ["method", "route", "status"])
SECONDS = Histogram(
    "keygen_request_seconds",
    "Time to the answer of a request.",
    ["method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)


class AccessLogMiddleware:
    """Counts and logs each request when its answer is complete, one that is sent while it is read at its end."""

    def __init__(self, get_response):
        self.get_response = get_response

    def __call__(self, request):
        began = time.monotonic()
        response = self.get_response(request)
        if response.streaming:
            context = copy_context()  # of the request, which is over for the middleware before its answer is
            response._resource_closers.append(lambda: context.run(observe, request, response, began))
        else:
            observe(request, response, began)
        return response


def observe(request, response, began):
    """Count and log a request that was answered."""
    seconds = time.monotonic() - began
    method = request.method if request.method in METHODS else "(other)"
    route, status = route_of(request), response.status_code
    REQUESTS.labels(method, route, status).inc()
    SECONDS.labels(method, route).observe(seconds)
    account = getattr(request, "account", None)
    facts = {
        "method": method,
        "route": route,
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "account": account and str(account.pk),
        "request": request.id,
    }
    logger.info(
        "%s %s %s in %s ms, account %s",
        *(facts[name] for name in ("method", "route", "status", "milliseconds", "account")),
        extra={"facts": facts},
    )
