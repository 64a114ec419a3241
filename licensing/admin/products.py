from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Field
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.html import format_html, format_html_join

from accounts.admin.account_choice import AccountChoice
from accounts.admin.base import ConsoleForm, format_time
from accounts.admin.token_pages import MakeToken
from keygen_site.db.uuids import parse_uuid
from licensing.models import Policy, Product

MAX_SHOWN_POLICIES = 100


class TagsField(forms.CharField):
    """A list of short texts, written with commas between them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"widget": forms.TextInput(attrs={"autocomplete": "off"}), **options})

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(value) if isinstance(value, list) else value

    def clean(self, value: Any) -> list[str] | None:
        tags = [" ".join(tag.split()) for tag in (super().clean(value) or "").split(",")]
        return list(dict.fromkeys(filter(None, tags))) or None

    def has_changed(self, initial: Any, data: Any) -> bool:
        # As texts: a tag that a client has given a comma must not become two.
        return super().has_changed(self.prepare_value(initial), data)


class ProductForm(ConsoleForm):
    platforms = TagsField(required=False, help_text="Separated by commas, for example Windows, macOS, Linux.")


@admin.register(Product)
class ProductAdmin(AccountChoice):
    """The products of an account."""

    form = ProductForm
    menu_name = "Products"
    hint = "No products yet. Add what you sell; its pools and keys come next."
    confirmed_actions = [MakeToken()]
    list_display = ["name", "code", "tags", "website", "since"]
    list_select_related = ["account"]
    search_fields = ["name", "code"]
    search_help_text = "Part of the name or code"
    fieldsets = [
        (None, {"fields": ["account", "name", "code", "url", "platforms"]}),
        ("More", {"fields": ["distribution_strategy", "metadata"], "classes": ["collapse"]}),
    ]
    change_form_template = "admin/licensing/product/change_form.html"

    LABELS = {"url": "Website", "distribution_strategy": "Visible in the API to"}
    HELP_TEXTS = {
        "code": "A short name for the API, for example sketchline. Optional.",
        "url": "For example https://example.com/sketchline. Optional.",
        "distribution_strategy": "Customers and licenses read a product in the API if they are among these.",
    }
    STRATEGIES = {"LICENSED": "customers with a license", "OPEN": "all customers", "CLOSED": "the team only"}

    def formfield_for_dbfield(self, db_field: Field, request: HttpRequest, **options: Any) -> forms.Field | None:
        formfield = super().formfield_for_dbfield(db_field, request, **options)
        if formfield:
            formfield.label = self.LABELS.get(db_field.name, formfield.label)
            formfield.help_text = self.HELP_TEXTS.get(db_field.name, formfield.help_text)
        return formfield

    def formfield_for_choice_field(self, db_field: Any, request: Any, **options: Any) -> Any:
        if db_field.name == "distribution_strategy":
            options["choices"] = [(value, f"{text} ({value})") for value, text in self.STRATEGIES.items()]
        return super().formfield_for_choice_field(db_field, request, **options)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context: dict[str, Any] = {}
        uuid = parse_uuid(object_id)
        if uuid and request.user.has_perm("licensing.view_policy"):
            policies = self.restrict_to_account(Policy.objects.filter(product=uuid), request, "account")
            rows = list(policies.only("name", "use_pool", "account", "product")[: MAX_SHOWN_POLICIES + 1])
            context = {
                "policies": rows[:MAX_SHOWN_POLICIES],
                "has_more": len(rows) > MAX_SHOWN_POLICIES,
                "list_url": f"{reverse('admin:licensing_policy_changelist')}?product__id__exact={uuid}",
                "may_add_pool": request.user.has_perm("licensing.add_policy"),
            }
        return super().change_view(request, object_id, form_url, context | (extra_context or {}))

    @admin.display(description="platforms")
    def tags(self, product: Product) -> str:
        tags = format_html_join(" ", '<bdi class="tag">{}</bdi>', ((tag,) for tag in product.platforms or ()))
        return format_html("<span>{}</span>", tags) if tags else ""

    @admin.display(description="website")
    def website(self, product: Product) -> str:
        if not product.url:
            return ""
        url = format_html('<a href="{0}" rel="noopener noreferrer"><bdi>{0}</bdi></a>', product.url)
        return url if product.url.startswith(("https://", "http://")) else product.url

    @admin.display(description="created", ordering="id")
    def since(self, product: Product) -> str:
        return format_time(product.created)
