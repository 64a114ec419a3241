"""The baseline of all measurements: bare Django views on the same server, with the same database.

`wsgi_application` is the site, `urlpatterns` its URLs. Two middlewares stay, because any site has some.
"""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "keygen_site.settings"

from django.conf import settings  # noqa: E402 needs the name of the settings
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from keygen_site.wsgi_bridge import ThreadedWSGI  # noqa: E402

settings.ROOT_URLCONF = __name__
settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]


def bare(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"data": {"id": "1", "type": "things"}})


def select(request: HttpRequest) -> JsonResponse:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return JsonResponse({"data": cursor.fetchone()[0]})


def health(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=204)


urlpatterns = [path("bare", bare), path("select", select), path("v1/health", health)]
wsgi_application = get_wsgi_application()
application = ThreadedWSGI(wsgi_application, settings.THREADS)
