"""The page of a policy with its pool: counts, chart, imports, and the actions on the pool."""

from typing import Any, cast
from uuid import UUID

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.admin.actions import ReferenceForm, audit_context_of
from accounts.admin.form_once import SecretResponse, form_id, replay_if_sent, run_form_once
from accounts.admin.operators import operator_name, with_operators
from keygen_site.db.uuids import parse_uuid
from keygen_site.jsonapi.errors import DomainError
from licensing.admin.policies import PolicyAdmin
from licensing.models import Policy
from pools.key_files import serialize_keys
from pools.models import KeyImport
from pools.services.exports import EXPORT_STATES, StatesLost, check_format, export_keys
from pools.services.keys import MAX_KEYS_PER_POP, pop_keys_for_operator
from pools.services.statistics import summarize_pools

MAX_COUNTED_KEYS_OF_PAGE = 1_000_000  # a page has one pool, and counts further than a list of pools


class PopForm(ReferenceForm):
    """The number of keys to pop, and the reference."""

    count = forms.IntegerField(min_value=1, max_value=MAX_KEYS_PER_POP, initial=1)

    field_order = ["count", "reference"]


class ExportForm(forms.Form):
    state = forms.ChoiceField(choices=[(state, state.capitalize()) for state in EXPORT_STATES])
    format = forms.ChoiceField(
        choices=[("csv", "CSV, with timestamps, references and customers"), ("ndjson", "NDJSON"), ("text", "Keys only")]
    )
    key_import = forms.ModelChoiceField(KeyImport.objects.none(), required=False, label="Import", empty_label="All")
    since = forms.DateTimeField(
        required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}), help_text="UTC"
    )
    until = forms.DateTimeField(
        required=False, widget=forms.DateTimeInput(attrs={"type": "datetime-local"}), help_text="UTC"
    )
    for_spreadsheet = forms.BooleanField(
        required=False,
        initial=True,
        label="For a spreadsheet",
        help_text="CSV only. A spreadsheet opens it without changing a key or running a formula. It can be imported "
        "again, also after the spreadsheet has saved it. Without it a program reads the plain texts.",
    )

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        try:
            check_format(values.get("state", ""), values.get("format", ""))
        except StatesLost as error:
            self.add_error("format", f"{error.detail}.")
        return values


admin.site.unregister(Policy)


@admin.register(Policy)
class PooledPolicyAdmin(PolicyAdmin):
    """A policy, with its pool first."""

    change_form_template = "admin/pools/policy/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        name = "licensing_policy"
        return [
            path("<uuid:pk>/pop/", wrap(self.pop_view), name=f"{name}_pop"),
            path("<uuid:pk>/export/", wrap(self.export_view), name=f"{name}_export"),
            *super().get_urls(),
        ]

    def find_policy(self, request: HttpRequest, pk: UUID, permission: str) -> Policy:
        """The policy with a pool of a URL, if the operator has a permission and may see it."""
        if not request.user.has_perm(permission):
            raise PermissionDenied
        policy = self.get_queryset(request).filter(pk=pk, use_pool=True).select_related("account", "product").first()
        if policy is None:
            raise Http404
        return policy

    def context_of(self, request: HttpRequest, policy: Policy, **context: Any) -> dict[str, Any]:
        return {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "policy": policy,
            "back": self.change_url(policy),
            "list_url": reverse("admin:licensing_policy_changelist"),
            **context,
        }

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        policies = self.get_queryset(request).filter(pk=uuid) if uuid else Policy.objects.none()
        pools = summarize_pools(policies, max_counted=MAX_COUNTED_KEYS_OF_PAGE)
        may = request.user.has_perm
        context: dict[str, Any] = {"pool": pools[0] if pools else None}
        if pools:
            context |= {
                "imports": [
                    (each, operator_name(each))
                    for each in with_operators(KeyImport.objects.filter(policy=uuid, loading=None))[:8]
                ],
                "may_import": may("pools.add_keyimport"),
                "may_pop": may("pools.pop_key"),
                "may_export": may("pools.export_key"),
                "may_issue": may("licensing.add_license"),
            }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    def pop_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        policy = self.find_policy(request, pk, "pools.pop_key")
        if response := replay_if_sent(request):
            return response
        form = PopForm(request.POST if request.method == "POST" else None)
        problem = ""
        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, lambda: self._pop(request, policy, form.cleaned_data))
            except DomainError as error:
                problem = error.detail.capitalize()
        context = self.context_of(
            request,
            policy,
            title=f"Pop from {policy}",
            form=form,
            problem=problem,
            button="Pop",
            once=form_id(request),
            consequences=[
                "The next keys leave the pool and are shown to you, in clear. Nobody else gets them.",
                "You will have seen them, so they cannot be returned to the pool.",
                "Your name and the reference go into the ledger.",
            ],
        )
        return TemplateResponse(request, "admin/act.html", context, status=422 if problem else 200)

    def _pop(self, request: HttpRequest, policy: Policy, values: dict[str, Any]) -> SecretResponse:
        audit = audit_context_of(request, values["reference"])
        keys = pop_keys_for_operator(policy=policy, count=values["count"], audit=audit)
        self.log_change(request, policy, f"Popped {len(keys):,}")
        return SecretResponse(
            title="1 key was popped" if len(keys) == 1 else f"{len(keys)} keys were popped",
            text="\n".join(key.key for key in keys),
            section=str(self.opts.verbose_name_plural),
            back=self.change_url(policy),
            again=True,
        )

    def export_view(self, request: HttpRequest, pk: UUID) -> HttpResponseBase:
        policy = self.find_policy(request, pk, "pools.export_key")
        form = ExportForm(request.POST if request.method == "POST" else None)
        cast(forms.ModelChoiceField, form.fields["key_import"]).queryset = KeyImport.objects.filter(
            policy=policy, loading=None
        )
        if request.method == "POST" and form.is_valid():
            values = form.cleaned_data
            format = values.pop("format")
            for_spreadsheet = values.pop("for_spreadsheet") and format == "csv"
            keys = export_keys(policy=policy, audit=audit_context_of(request), **values)
            self.log_change(request, policy, f"Exported: {values['state']}")
            suffix = {"text": "txt"}.get(format, format)
            return StreamingHttpResponse(
                serialize_keys(keys, format, for_spreadsheet=for_spreadsheet),
                content_type="application/octet-stream",
                headers={"Content-Disposition": f'attachment; filename="keys-{policy.pk}.{suffix}"'},
            )
        context = self.context_of(
            request,
            policy,
            title=f"Export keys of {policy}",
            form=form,
            button="Export",
            every_time=True,
            consequences=[
                "The file has the keys in clear. Whoever has it, has the keys.",
                "The keys stay where they are. That you exported them goes into the ledger.",
                "An exported key cannot be returned to its pool, and its text stays blocked when it is deleted.",
            ],
        )
        return TemplateResponse(request, "admin/act.html", context)
