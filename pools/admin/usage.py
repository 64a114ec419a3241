"""How a shop uses a pool: programs with the real addresses, and a token made in place."""

from uuid import UUID

from django import forms
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import Resolver404, URLPattern, path, resolve

from accounts.admin.actions import actor_of, operator_of
from accounts.admin.form_once import SecretResponse, find_secret, form_id, run_form_once
from accounts.admin.token_pages import create_token
from accounts.permissions import may_make_token
from keygen_site.db.uuids import parse_uuid
from pools.admin.pool_base import PoolPages
from pools.models import Pool

PLACEHOLDER = "YOUR-TOKEN"

CURL = """\
curl -X DELETE {url} \\
  -H "Authorization: Bearer {token}" \\
  -H "Idempotency-Key: order-4711" \\
  -H "Keygen-Reference: Order 4711"
"""
PYTHON = """\
import requests

response = requests.delete(
    "{url}",
    headers={{
        "Authorization": "Bearer {token}",
        "Idempotency-Key": "order-4711",
        "Keygen-Reference": "Order 4711",
    }},
    timeout=10,
)
response.raise_for_status()
key = response.json()["data"]["attributes"]["key"]
"""
PHP = """\
<?php
$curl = curl_init("{url}");
curl_setopt_array($curl, [
    CURLOPT_CUSTOMREQUEST => "DELETE",
    CURLOPT_RETURNTRANSFER => true,
    CURLOPT_FAILONERROR => true,
    CURLOPT_HTTPHEADER => [
        "Authorization: Bearer {token}",
        "Idempotency-Key: order-4711",
        "Keygen-Reference: Order 4711",
    ],
]);
$answer = json_decode(curl_exec($curl), true);
$key = $answer["data"]["attributes"]["key"];
"""


class NewTokenForm(forms.Form):
    name = forms.CharField(max_length=255, required=False, label="Name of the token")


def programs_of(request: HttpRequest, pool: Pool, token: str) -> list[tuple[str, str, str]]:
    """The programs that hand out a key of a pool: the id of each on the page, its language and its text."""
    url = request.build_absolute_uri(f"/v1/accounts/{pool.account.slug}/policies/{pool.pk}/pool")
    texts = {"curl": CURL, "Python": PYTHON, "PHP": PHP}
    return [
        (f"program-{name.lower()}", name, text.format(url=url, token=token or PLACEHOLDER))
        for name, text in texts.items()
    ]


class UsagePages(PoolPages):
    """The tab "Use it" of a pool."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.usage_view)
        return [path("<uuid:pk>/usage/", view, name=f"{self._name}_usage"), *super().get_urls()]

    def usage_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Show the programs. A POST makes a token, which they contain for some minutes."""
        pool = self.find_pool(request, pk, "licensing.view_policy")
        may_make = self._may_make_token(request, pool)
        form = NewTokenForm(request.POST if request.method == "POST" else None)
        if request.method == "POST":
            if not may_make:
                raise PermissionDenied
            if form.is_valid():
                made = run_form_once(request, lambda: self._make_token(request, pool, form.cleaned_data["name"]))
                return HttpResponseRedirect(self._url_of_token(pool, made))
        stored, token = None, ""
        if shown := parse_uuid(request.GET.get("token", "")):
            stored, token = find_secret(request, shown)
            if stored and stored.headers.get("pool") != str(pool.pk):
                stored, token = None, ""
        context = self.page_context(
            request,
            pool,
            "usage",
            programs=programs_of(request, pool, token),
            token=token,
            was_shown=stored is not None and not token,
            may_make=may_make,
            form=form,
            once=form_id(request),
        )
        return TemplateResponse(request, "admin/pools/pool/usage.html", context)

    def _may_make_token(self, request: HttpRequest, pool: Pool) -> bool:
        operator = operator_of(request)
        if not operator.has_perm("accounts.add_token"):
            return False
        return operator.is_superuser or may_make_token(actor_of(request), pool.product)

    def _make_token(self, request: HttpRequest, pool: Pool, name: str) -> HttpResponse:
        section, back = str(self.opts.verbose_name_plural), self.page_url("usage", pool)
        response = create_token(request, pool.product, {"name": name}, section=section, back=back)
        if isinstance(response, SecretResponse):
            response.page["pool"] = str(pool.pk)
        return response

    def _url_of_token(self, pool: Pool, made: HttpResponse) -> str:
        """The URL of this tab with the token that a form has made, or of the page that the form leads to."""
        url = made["Location"]
        try:
            match = resolve(url)
        except Resolver404:
            return url
        if match.url_name != "shown":
            return url
        return f"{self.page_url('usage', pool)}?token={match.kwargs['once']}"
