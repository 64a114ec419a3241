"""The addresses: the API with and without the account's name in front, and the console."""

from django.contrib import admin
from django.urls import include, path, re_path
from django.views.generic import RedirectView

from keygen_site import service
from keygen_site.openapi import views

# Patterns are tried one after the other: what is asked for most often comes first.
api = [
    path("", include("pools.urls")),
    path("", include("licensing.urls")),
    path("", include("accounts.urls")),
    re_path(r"^ping/?$", service.ping),
]

urlpatterns = [
    path("v1/accounts/<str:account>/", include(api)),
    re_path(r"^v1/health/?$", service.health),
    path("openapi.json", views.openapi, name="openapi"),
    path("docs", views.docs, name="docs"),
    path("-/csp-reports", service.csp_reports),
    path("healthz", service.alive),
    path("readyz", service.ready),
    path("metrics", service.metrics_view),
    path("v1/", include("accounts.account_urls")),
    path("v1/", include(api)),
    path("admin/", admin.site.urls),
    path("", RedirectView.as_view(pattern_name="admin:index")),
]

handler400 = "keygen_site.api.bad_request"
handler404 = "keygen_site.api.endpoint_not_found"
handler500 = "keygen_site.api.internal_error"
