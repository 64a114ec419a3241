"""The URLs: the API with and without the account in its path, and the console."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

from accounts.api.urls import account_urlpatterns, prefixed_urlpatterns
from keygen_site.jsonapi.openapi import views
from keygen_site.jsonapi.routers import SUFFIX
from keygen_site.observability import health

# Patterns are tried in order: the most frequent come first.
api: list[URLPattern | URLResolver] = [
    path("", include("pools.api.urls")),
    path("", include("licensing.api.urls")),
    path("", include("accounts.api.urls")),
    re_path(rf"^ping{SUFFIX}/?$", health.ping),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/accounts/<str:account>/", include([*api, *prefixed_urlpatterns])),
    re_path(r"^v1/health/?$", health.health),
    path("openapi.json", views.openapi, name="openapi"),
    path("docs", views.docs, name="docs"),
    path("-/csp-reports", health.csp_reports),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", health.metrics_view),
    path("v1/", include(account_urlpatterns)),
    path("v1/", include(api)),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "keygen_site.jsonapi.exceptions.bad_request"
handler404 = "keygen_site.jsonapi.exceptions.endpoint_not_found"
handler500 = "keygen_site.jsonapi.exceptions.internal_error"
