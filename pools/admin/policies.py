"""The console's policies without a pool. Those with one are pools, with pages of their own."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from keygen_site.db.uuids import parse_uuid
from licensing.admin.policies import PolicyAdmin
from licensing.models import Policy
from pools.models import Pool

admin.site.unregister(Policy)


@admin.register(Policy)
class UnpooledPolicyAdmin(PolicyAdmin):
    """Policies without a pool. The address of a policy with one leads to the terms on the pool's page."""

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).filter(use_pool=False)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        uuid = parse_uuid(object_id)
        if uuid and self.restrict_to_account(Pool.objects.filter(pk=uuid), request, "account").exists():
            return HttpResponseRedirect(reverse("admin:pools_pool_terms", args=[uuid]))
        return super().change_view(request, object_id, form_url, extra_context)
