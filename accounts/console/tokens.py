"""Making tokens: the text is shown once, on the page that answers."""

from django import forms
from django.template.response import TemplateResponse

from accounts.console.acts import Act
from accounts.console.origins import actor_of
from accounts.models import Token
from accounts.permissions import Change
from accounts.viewsets.tokens import may_make_token
from keygen_site.errors import DomainError


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


class MakeToken(Act):
    """A token that speaks for a user or a product."""

    name, label, done = "token", "Make a token", "A token was made"
    permission = "accounts.add_token"
    change = Change.TOKENS
    for_many = False
    form_class = TokenForm

    def consequences(self, rows):
        return [
            f"Whoever has the token speaks for {rows[0]}.",
            "It is shown on the next page, once: only its digest is kept.",
        ]

    def do(self, admin, request, rows, values):
        bearer = rows[0]
        if not request.user.is_superuser and not may_make_token(actor_of(request), bearer):
            raise TokenRefused(f"{bearer} {TokenRefused.detail}")
        fields = {name: value for name, value in values.items() if value}
        token, text = Token.generate(bearer, **fields)
        return token_page(admin, request, token, text, bearer)


def token_page(admin, request, token, text, bearer):
    """The page that shows a token, once."""
    context = {
        **admin.admin_site.each_context(request),
        "opts": admin.opts,
        "title": f"A token for {bearer}",
        "token": token,
        "text": text,
        "back": admin._page_of(bearer) if isinstance(bearer, admin.model) else None,
    }
    return TemplateResponse(request, "admin/token.html", context)
