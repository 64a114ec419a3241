"""The floor that everything is measured against: bare Django views on the same server, with the same database.

`wsgi_application` is the site, `urlpatterns` its addresses; two of our middlewares stay, as any site has some.
"""

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "keygen_site.settings"

from django.conf import settings  # noqa: E402 the settings have to be named first
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

from keygen_site.wsgi_bridge import ThreadedWSGI  # noqa: E402

settings.ROOT_URLCONF = __name__
settings.MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]


def bare(request):
    return JsonResponse({"data": {"id": "1", "type": "things"}})


def select(request):
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return JsonResponse({"data": cursor.fetchone()[0]})


def health(request):
    return HttpResponse(status=204)


urlpatterns = [path("bare", bare), path("select", select), path("v1/health", health)]
wsgi_application = get_wsgi_application()
application = ThreadedWSGI(wsgi_application, settings.THREADS)
