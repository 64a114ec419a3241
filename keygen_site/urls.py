"""The URLs: the API with and without the account in its path, and the console."""

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.views.generic import RedirectView

import accounts.api.urls
import licensing.api.urls
import pools.api.urls
from keygen_site.jsonapi.openapi import views
from keygen_site.jsonapi.routers import SUFFIX, SegmentResolver
from keygen_site.observability import health

api: list[URLPattern | URLResolver] = [
    *pools.api.urls.urlpatterns,
    *licensing.api.urls.urlpatterns,
    *accounts.api.urls.urlpatterns,
    re_path(rf"^ping{SUFFIX}/?$", health.ping),
]

urlpatterns: list[URLPattern | URLResolver] = [
    path("v1/accounts/<str:account>/", include([SegmentResolver([*api, *accounts.api.urls.prefixed_urlpatterns])])),
    re_path(r"^v1/health/?$", health.health),
    path("openapi.json", views.openapi, name="openapi"),
    path("docs", views.docs, name="docs"),
    path("-/csp-reports", health.csp_reports),
    path("healthz", health.alive),
    path("readyz", health.ready),
    path("metrics", health.metrics_view),
    path("v1/", include(accounts.api.urls.account_urlpatterns)),
    path("v1/", include([SegmentResolver(api)])),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "keygen_site.jsonapi.exceptions.bad_request"
handler404 = "keygen_site.jsonapi.exceptions.endpoint_not_found"
handler500 = "keygen_site.jsonapi.exceptions.internal_error"
