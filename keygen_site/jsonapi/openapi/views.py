"""Serves the description as JSON, and as a page that loads nothing from other sites."""

from functools import cache
from typing import Any

import orjson
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import require_safe

from keygen_site.jsonapi.openapi.generator import build
from keygen_site.jsonapi.openapi.page import page_context

# The script and the style of the page are in files.
DOCS_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


@csrf_exempt  # it has no form; the check would read the body of a POST
@require_safe
@gzip_page
def openapi(request: HttpRequest) -> HttpResponse:
    """The description as OpenAPI 3.1. It contains no secret, so any site may read it."""
    response = HttpResponse(_json(bool(settings.ACCOUNT)), content_type="application/json")
    response["Access-Control-Allow-Origin"] = "*"
    response["Cache-Control"] = "public, max-age=300"
    return response


@csrf_exempt  # it has no form; the check would read the body of a POST
@require_safe
@gzip_page  # to a twentieth of its size; it has no secret that compression could reveal
def docs(request: HttpRequest) -> HttpResponse:
    """The description as a page."""
    return HttpResponse(_page(bool(settings.ACCOUNT)), headers={"Content-Security-Policy": DOCS_POLICY})


@cache
def _description(single_account: bool) -> dict[str, Any]:
    return build(single_account)


@cache
def _json(single_account: bool) -> bytes:
    return orjson.dumps(_description(single_account))


@cache
def _page(single_account: bool) -> bytes:
    return render_to_string("reference.html", page_context(_description(single_account))).encode()
