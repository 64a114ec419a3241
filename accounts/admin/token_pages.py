"""The pages that create a token and show its text for a few minutes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse

from accounts.admin.actions import ConfirmedAction, actor_of, audit_context_of, operator_of
from accounts.admin.form_once import SecretResponse
from accounts.models import Account, Activity, Token
from accounts.models.activity import name_of
from accounts.permissions import Change, may_make_token
from keygen_site.jsonapi.errors import DomainError

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin


class TokenForm(forms.Form):
    name = forms.CharField(
        max_length=255,
        required=False,
        help_text="Where the token is used, for example “Shop EU”: so you can tell it apart.",
    )
    expiry = forms.DateTimeField(
        required=False,
        label="Expires",
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="In UTC. If empty, the token works until you revoke it; that of a customer, for two weeks.",
    )


class TokenRefused(DomainError):
    """The operator's rank does not permit a token of this bearer."""

    status = 403
    detail = "You may not create a token for this user."


def create_token(request: HttpRequest, bearer: Any, values: dict[str, Any], *, section: str, back: str) -> HttpResponse:
    """Create a token as the form of a page asks, and show its text.

    Args:
        bearer: the user or product that the token belongs to.
        section, back: of the page of the text, see `SecretResponse`.

    Raises:
        TokenRefused: the operator may not speak for the bearer.
    """
    if not operator_of(request).is_superuser and not may_make_token(actor_of(request), bearer):
        raise TokenRefused
    fields = {name: values[name] for name in ("name", "expiry") if values.get(name)}
    with transaction.atomic():
        token, text = Token.generate(bearer, **fields)
        details: Activity.Details = {"bearer": name_of(bearer)}
        Activity.objects.record(Activity.Event.CREATED, token, audit_context_of(request), details=details)
    account = Account.objects.get(pk=bearer.account_id)
    return SecretResponse(
        title=f"API token of {bearer}",
        text=text,
        section=section,
        back=back,
        example=f'curl -H "Authorization: Bearer {{secret}}" {settings.SITE_URL}/v1/accounts/{account.slug}/me',
    )


class MakeToken(ConfirmedAction):
    """Creates a token of a user or a product."""

    name, label, past_tense = "token", "Create token", "Created an API token"
    permission = "accounts.add_token"
    change = Change.TOKENS
    for_many = False
    form_class = TokenForm

    def title(self, rows: Sequence[Any]) -> str:
        return f"New API token for {rows[0]}"

    def consequences(self, rows: Sequence[Any]) -> list[str]:
        return [
            f"Anyone who has the token can do in the API what {rows[0]} may do.",
            "It is shown once, on the next page.",
        ]

    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        bearer = rows[0]
        back = admin.change_url(bearer)
        return create_token(request, bearer, values, section=str(admin.opts.verbose_name_plural), back=back)
