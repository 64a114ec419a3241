from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html

from accounts.admin.actions import ReferenceForm, RowAction, audit_context_of
from accounts.admin.base import AccountScopedFilter, ConsoleAdmin, ReadOnlyAdmin, format_time
from accounts.admin.form_once import SecretResponse, form_id, replay_if_sent, run_form_once
from accounts.audit import AuditContext
from accounts.models import User
from keygen_site.db.uuids import parse_uuid
from licensing.models import License, Policy
from licensing.models.license_queries import LicenseQuerySet
from licensing.services import issue_license


class Suspend(RowAction):
    name, label, past_tense, permission = "suspend", "Suspend", "Suspended", "licensing.suspend_license"

    def applies_to(self, license: License) -> bool:
        return not license.suspended

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return ["It is not valid, and its key no credential, until it is reinstated."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.suspend()


class Reinstate(RowAction):
    name, label, past_tense, permission = "reinstate", "Reinstate", "Reinstated", "licensing.suspend_license"

    def applies_to(self, license: License) -> bool:
        return license.suspended

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return ["The suspension ends."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.reinstate()


class Renew(RowAction):
    name, label, past_tense, permission = "renew", "Renew", "Renewed", "licensing.renew_license"

    def applies_to(self, license: License) -> bool:
        return bool(license.policy.duration and license.expiry)

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return ["The expiry is put off by the duration of the policy."]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.renew()


class Revoke(RowAction):
    name, label, past_tense, permission, danger = "revoke", "Revoke", "Revoked", "licensing.revoke_license", True

    def consequences(self, licenses: Sequence[License]) -> list[str]:
        return [
            "The license is deleted, with its tokens. This cannot be undone.",
            "A key from a pool does not go back: it stays popped, and its life stays in the ledger.",
        ]

    def apply(self, license: License, audit: AuditContext, values: dict[str, Any]) -> None:
        license.delete()

    def next_page(self, admin: ConsoleAdmin, rows: Sequence[License]) -> str:
        return reverse("admin:licensing_license_changelist")


class StatusFilter(admin.SimpleListFilter):
    title, parameter_name = "status", "status"
    STATUSES = ("ACTIVE", "INACTIVE", "EXPIRING", "EXPIRED", "SUSPENDED", "BANNED")

    def lookups(self, request: HttpRequest, model_admin: admin.ModelAdmin) -> list[tuple[str, str]]:
        return [(status, status.capitalize()) for status in self.STATUSES]

    def queryset(self, request: HttpRequest, licenses: Any) -> LicenseQuerySet:
        status = self.value()
        return licenses.with_status(status) if status else licenses


class IssueForm(ReferenceForm):
    """The form to issue a license."""

    policy = forms.ModelChoiceField(Policy.objects.none(), help_text="Where it has a pool, the next key is taken.")
    name = forms.CharField(max_length=1024, required=False)
    owner = forms.EmailField(required=False, help_text="The e-mail of a user of the account.")

    field_order = ["policy", "name", "owner", "reference"]

    def __init__(self, *args: Any, policies: QuerySet[Policy], **options: Any) -> None:
        super().__init__(*args, **options)
        field: Any = self.fields["policy"]
        field.queryset = policies.select_related("account", "product")
        field.label_from_instance = lambda policy: f"{policy.product} · {policy}"

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("owner") and values.get("policy"):
            owner = User.objects.filter(account=values["policy"].account, email=values["owner"].lower()).first()
            if owner is None:
                self.add_error("owner", "Nobody in the account has this e-mail.")
            values["owner"] = owner
        return values


@admin.register(License)
class LicenseAdmin(ReadOnlyAdmin):
    """The licenses of an account. They change by acts only, and their keys stay masked."""

    hint = "There is no license yet. Issue one: the button is above, and on the page of a policy."
    confirmed_actions = [Suspend(), Reinstate(), Renew(), Revoke()]
    list_display = ["label", "of_policy", "owner", "state", "expires", "since"]
    list_select_related = ["policy", "owner"]
    list_filter = [StatusFilter, ("policy", AccountScopedFilter), ("product", AccountScopedFilter)]
    search_fields = ["name"]
    search_help_text = "The whole key, an id, the owner's e-mail, or part of the name"
    fieldsets = [
        (None, {"fields": ["label", "masked", "life", "state", "policy", "product", "owner", "expires", "since"]}),
        ("Use", {"fields": ["uses", "last_validated", "last_check_in", "last_check_out"]}),
        ("More", {"fields": ["id", "protected", "version", "metadata"], "classes": ["collapse"]}),
    ]
    readonly_fields = ["label", "masked", "life", "state", "expires", "since", "id"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("licensing.add_license")

    def get_ordering(self, request: HttpRequest) -> list[Any] | tuple[Any, ...]:
        # No index orders the licenses of all accounts by creation. Ids do, except those that clients chose.
        sees_all = request.user.is_superuser and "account__id__exact" not in request.GET
        return ["-id"] if sees_all else super().get_ordering(request)

    def get_search_results(self, request: HttpRequest, licenses: Any, text: str) -> tuple[LicenseQuerySet, bool]:
        text = text.strip()
        if not text:
            return licenses, False
        # Separate queries, each with its own index: one query with OR could use none.
        if uuid := parse_uuid(text):
            return licenses.filter(pk=uuid), False
        for found in (licenses.with_key(text), licenses.filter(owner__email=text.lower())):
            if found.exists():
                return found, False
        return licenses.filter(name__icontains=text), False

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Issue a license, by the service instead of a model form."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        if answer := replay_if_sent(request):
            return answer
        policies = self.restrict_to_account(Policy.objects.all(), request, "account")
        form = IssueForm(
            request.POST if request.method == "POST" else None,
            policies=policies,
            initial={"policy": parse_uuid(request.GET.get("policy", ""))},
        )
        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, lambda: self._issue(request, form.cleaned_data))
            except ValidationError as error:
                for problem in error.messages:
                    form.add_error(None, problem)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "Issue a license",
            "form": form,
            "button": "Issue",
            "consequences": ["The key is shown on the next page."],
            "back": reverse("admin:licensing_license_changelist"),
            "once": form_id(request),
        }
        return TemplateResponse(request, "admin/act.html", context)

    def _issue(self, request: HttpRequest, values: dict[str, Any]) -> SecretResponse:
        audit = audit_context_of(request, values["reference"])
        license = issue_license(
            policy=values["policy"], audit=audit, name=values["name"] or None, owner=values["owner"] or None
        )
        self.log_addition(request, license, "Issued")
        return SecretResponse(
            title="A license was issued",
            text=license.revealed or license.key,
            section=str(self.opts.verbose_name_plural),
            back=self.change_url(license),
            again=not license.revealed,
        )

    @admin.display(description="license", ordering="name")
    def label(self, license: License) -> str:
        return license.name or f"…{str(license.pk)[-12:]}"

    @admin.display(description="policy", ordering="policy")
    def of_policy(self, license: License) -> Policy:
        return license.policy

    @admin.display(description="state")
    def state(self, license: License) -> str:
        return format_html('<span class="state state-{0}">{0}</span>', license.status.lower())

    @admin.display(description="expires", ordering="expiry")
    def expires(self, license: License) -> str:
        return format_time(license.expiry) if license.expiry else "never"

    @admin.display(description="issued", ordering="created")
    def since(self, license: License) -> str:
        return format_time(license.created)

    @admin.display(description="key")
    def masked(self, license: License) -> str:
        if license.policy.encrypted:
            return "kept as a digest only"
        return license.masked

    @admin.display(description="life of the key")
    def life(self, license: License) -> str:
        if not license.policy.use_pool:
            return "–"
        url = f"{reverse('admin:pools_key_changelist')}?q={license.pk}"
        return format_html('<a href="{}">What happened to its key</a>', url)
