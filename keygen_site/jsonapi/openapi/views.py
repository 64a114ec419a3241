"""Where the description is served: for machines as JSON, for people as a page that needs nothing from elsewhere."""

from functools import cache

import orjson
from django.conf import settings
from django.http import HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.http import require_safe

from keygen_site.jsonapi.openapi.generator import build
from keygen_site.jsonapi.openapi.page import chapters

# The page has no script, and its style is a file of its own.
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@require_safe
def openapi(request):
    """The description as OpenAPI 3.1. Anybody may have it, from any site: it holds no secret."""
    response = HttpResponse(_written(bool(settings.ACCOUNT)), content_type="application/json")
    response["Access-Control-Allow-AuditContext"] = "*"
    response["Cache-Control"] = "public, max-age=300"
    return response


@require_safe
def docs(request):
    """The same to be read."""
    return HttpResponse(_page(bool(settings.ACCOUNT)), headers={"Content-Security-Policy": POLICY})


@cache
def _built(single_account):
    return build(single_account)


@cache
def _written(single_account):
    return orjson.dumps(_built(single_account))


@cache
def _page(single_account):
    document = _built(single_account)
    return render_to_string("reference.html", {"info": document["info"], "chapters": chapters(document)}).encode()
