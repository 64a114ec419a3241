"""The action that creates a token and shows its text for a few minutes."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django import forms
from django.http import HttpRequest, HttpResponse

from accounts.admin.actions import ConfirmedAction, actor_of, operator_of
from accounts.admin.form_once import SecretResponse
from accounts.models import Token
from accounts.permissions import Change, may_make_token
from keygen_site.jsonapi.errors import DomainError

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin


class TokenForm(forms.Form):
    name = forms.CharField(max_length=255, required=False, help_text="Where it is used, so that it can be told apart.")
    expiry = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="UTC. Without it a user's token lasts two weeks, any other until it is revoked.",
    )


class TokenRefused(DomainError):
    """The operator's rank does not permit a token of this bearer."""

    status = 403
    detail = "may not be spoken for by a token of your making"


class MakeToken(ConfirmedAction):
    """Creates a token of a user or a product."""

    name, label, past_tense = "token", "Make a token", "A token was made"
    permission = "accounts.add_token"
    change = Change.TOKENS
    for_many = False
    form_class = TokenForm

    def consequences(self, rows: Sequence[Any]) -> list[str]:
        return [
            f"Whoever has the token speaks for {rows[0]}.",
            "It is shown on the next page for a few minutes, and never again: only its digest is kept.",
        ]

    def run(
        self, admin: "ConsoleAdmin", request: HttpRequest, rows: Sequence[Any], values: dict[str, Any]
    ) -> HttpResponse:
        bearer = rows[0]
        if not operator_of(request).is_superuser and not may_make_token(actor_of(request), bearer):
            raise TokenRefused(f"{bearer} {TokenRefused.detail}")
        fields = {name: value for name, value in values.items() if value}
        _, text = Token.generate(bearer, **fields)
        return SecretResponse(
            title=f"A token for {bearer}",
            text=text,
            section=str(admin.opts.verbose_name_plural),
            back=admin.change_url(bearer),
        )
