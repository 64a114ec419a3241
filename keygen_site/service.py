"""Addresses that are about this server, not about an account (contract: platform 1.3)."""

from functools import wraps

from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt

from keygen_site.api import endpoint_not_found


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
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError:
        return HttpResponse(status=503)
    return HttpResponse(status=204)


@csrf_exempt
def csp_reports(request):
    """Where the API's content security policy has browsers report to; there is nothing to read in them."""
    return HttpResponse(status=204)
