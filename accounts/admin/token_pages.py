"""Making tokens: the text is shown for a few minutes to the operator who made it."""

from django import forms

from accounts.admin.actions import ConfirmedAction, actor_of
from accounts.admin.form_once import Shown
from accounts.models import Token
from accounts.permissions import Change, may_make_token
from keygen_site.jsonapi.errors import DomainError


class TokenForm(forms.Form):
    name = forms.CharField(max_length=255, required=False, help_text="Where it is used, so that it can be told apart.")
    expiry = forms.DateTimeField(
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="UTC. Without it a user's token lasts two weeks, any other until it is revoked.",
    )


class TokenRefused(DomainError):
    status = 403
    detail = "may not be spoken for by a token of your making"


class MakeToken(ConfirmedAction):
    """A token that speaks for a user or a product."""

    name, label, done = "token", "Make a token", "A token was made"
    permission = "accounts.add_token"
    change = Change.TOKENS
    for_many = False
    form_class = TokenForm

    def consequences(self, rows):
        return [
            f"Whoever has the token speaks for {rows[0]}.",
            "It is shown on the next page for a few minutes, and never again: only its digest is kept.",
        ]

    def do(self, admin, request, rows, values):
        bearer = rows[0]
        if not request.user.is_superuser and not may_make_token(actor_of(request), bearer):
            raise TokenRefused(f"{bearer} {TokenRefused.detail}")
        fields = {name: value for name, value in values.items() if value}
        _, text = Token.generate(bearer, **fields)
        return Shown(
            title=f"A token for {bearer}",
            text=text,
            section=str(admin.opts.verbose_name_plural),
            back=admin._page_of(bearer),
        )
