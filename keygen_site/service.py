"""Addresses that are about this server, not about an account (contract: platform 1.3)."""

from django.db import DatabaseError, connection
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe


@require_safe
def ping(request, account=None):
    """That somebody answers at all; the account is not looked at."""
    return HttpResponse(" ", content_type="text/plain; charset=utf-8")


@require_safe
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
