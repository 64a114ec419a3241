"""Handing out keys of a pool to an operator, who sees them on the next page."""

from typing import Any
from uuid import UUID

from django import forms
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from accounts.admin.actions import ReferenceForm, audit_context_of
from accounts.admin.form_once import SecretResponse, form_id, replay_if_sent, run_form_once
from keygen_site.jsonapi.errors import DomainError
from licensing.models import PoolEmpty
from pools.admin.pool_base import PoolPages
from pools.models import Key, Pool
from pools.services.keys import MAX_KEYS_PER_POP, pop_keys_for_operator
from pools.services.statistics import MAX_COUNTED_KEYS


class HandOutForm(ReferenceForm):
    """The number of keys, and the reference."""

    count = forms.IntegerField(
        label="Number of keys",
        min_value=1,
        max_value=MAX_KEYS_PER_POP,
        initial=1,
        error_messages={
            "required": "Enter how many keys you need.",
            "invalid": "Enter a whole number.",
            "min_value": "At least 1 key.",
            "max_value": f"At most {MAX_KEYS_PER_POP} keys at a time.",
        },
    )

    field_order = ["count", "reference"]

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.fields["reference"].help_text = "Order number, ticket or name. You can search for it later."


class HandOutPages(PoolPages):
    """The page that hands out keys, and the page of the keys that were handed out."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.pop_view)
        return [path("<uuid:pk>/pop/", view, name=f"{self._name}_pop"), *super().get_urls()]

    def pop_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """Ask for the number of keys and a reference; a POST hands them out, once."""
        pool = self.find_pool(request, pk, "pools.pop_key")
        if response := replay_if_sent(request):
            return response
        form = HandOutForm(request.POST if request.method == "POST" else None)
        problem: str | None = None
        left = self._count_left(pool)
        if request.method == "POST" and form.is_valid():
            try:
                return run_form_once(request, lambda: self._hand_out(request, pool, form.cleaned_data))
            except PoolEmpty:
                left = self._count_left(pool)
                problem = f"Only {left:,} left: nothing was handed out." if left else ""
            except DomainError as error:
                problem = error.detail.capitalize()
        refused = request.method == "POST" and problem is not None
        context = self.form_context(
            request,
            pool,
            title="Hand out keys",
            form=form,
            problem=problem,
            left=left,
            more=left == MAX_COUNTED_KEYS,
            once=form_id(request),
            may_import=request.user.has_perm("pools.add_keyimport"),
        )
        return TemplateResponse(request, "admin/pools/pool/pop.html", context, status=422 if refused else 200)

    def _count_left(self, pool: Pool) -> int:
        return Key.objects.for_policy(pool.pk).available().order_by().values("pk")[:MAX_COUNTED_KEYS].count()

    def _hand_out(self, request: HttpRequest, pool: Pool, values: dict[str, Any]) -> SecretResponse:
        reference = values["reference"]
        keys = pop_keys_for_operator(policy=pool, count=values["count"], audit=audit_context_of(request, reference))
        number = "1 key" if len(keys) == 1 else f"{len(keys)} keys"
        left = self._count_left(pool)
        remain = "1 remains" if left == 1 else f"{left:,} remain"
        response = SecretResponse(
            title=f"{number} for “{reference}”" if reference else f"{number} handed out",
            text="\n".join(key.key for key in keys),
            section=str(self.opts.verbose_name_plural),
            back=self.change_url(pool),
            again=True,
            filename="keys.txt",
        )
        response.page |= {
            "template": "admin/pools/pool/popped.html",
            "note": f"{number} left the pool, {f'more than {remain}' if left == MAX_COUNTED_KEYS else remain}.",
            "links": [(key.masked, reverse("admin:pools_key_change", args=[key.pk])) for key in keys],
            "pool_name": str(pool),
            "more_url": self.page_url("pop", pool),
        }
        return response
