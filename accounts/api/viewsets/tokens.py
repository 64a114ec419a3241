from django.apps import apps
from django.db import transaction
from rest_framework import status
from rest_framework.response import Response

from accounts.api import operations
from accounts.api.base import APIViewSet
from accounts.api.filters import TokenFilterSet
from accounts.api.serializers.tokens import BEARER_TYPES, SIGN_IN, TokenSerializer, read_token
from accounts.models import Token, User
from accounts.permissions import Change, Forbidden, require_change, require_token
from accounts.roles import ADMINISTRATORS
from keygen_site.jsonapi.errors import NotFound
from keygen_site.jsonapi.viewsets import DestroyMixin, ListMixin, RetrieveMixin


class TokenViewSet(RetrieveMixin, DestroyMixin, ListMixin, APIViewSet):
    """The tokens of an account, and signing in to get one (contract: platform 5.3, 5.5)."""

    queryset = Token.objects.with_roles()
    serializer_class = TokenSerializer
    filterset_class = TokenFilterSet
    operations = operations.TOKENS
    permissions = {
        "list": "token.read",
        "retrieve": "token.read",
        "create": "token.generate",
        "regenerate": "token.regenerate",
        "regenerate_current": "token.regenerate",
        "destroy": "token.revoke",
    }
    open_when_inactive = frozenset({"create", "retrieve", "destroy"})
    secret_answers = frozenset({"create"})
    sign_in_actions = frozenset({"create"})

    def create(self, request, *args, **kwargs):
        fields, linkage = read_token(request.data, SIGN_IN)
        self.authorize()
        bearer = self._bearer_of(linkage)
        token, text = Token.generate(bearer, **fields)
        shown = TokenSerializer.with_text(token, text)
        location = request.build_absolute_uri(TokenSerializer.path_of(token))
        return Response(shown, status=status.HTTP_201_CREATED, headers={"Location": location})

    def authorize(self):
        user = self.request.auth
        if isinstance(user, User) and user.banned:
            raise Forbidden("user is banned")
        super().authorize()

    def _bearer_of(self, linkage):
        """Whom a new token is for: the one who asks, or one whose tokens they may make."""
        asking = self.request.user
        if linkage is None or linkage["id"] == asking.id:
            if asking.role == "product":
                raise Forbidden
            return asking.model.objects.get(pk=asking.id)
        model = apps.get_model(BEARER_TYPES[linkage["type"]])
        bearer = model.objects.visible_to(asking).filter(pk=linkage["id"]).first()
        if bearer is None:
            raise Forbidden
        require_token(asking, bearer)
        if asking.is_staff and not isinstance(bearer, User):
            raise Forbidden  # theirs are made at the address of the product or license
        return bearer

    def regenerate(self, request, *args, **kwargs):
        with transaction.atomic():
            token = self.find(self.get_queryset().select_for_update(of=("self",)), self.kwargs["pk"])
            self.authorize()
            if not self._may_replace(token):
                raise Forbidden
            self._require_rank(token, Change.TOKENS)
            text = token.regenerate()
        return Response(TokenSerializer.with_text(token, text))

    def regenerate_current(self, request, *args, **kwargs):
        """The same for the token in use, which a license key is not."""
        if request.user.token_id is None:
            raise NotFound("The requested token was not found")
        self.kwargs["pk"] = str(request.user.token_id)
        return self.regenerate(request, *args, **kwargs)

    def perform_destroy(self, token):
        asking = self.request.user
        if asking.is_staff and asking.role not in ADMINISTRATORS and token.bearer_id != asking.id:
            raise Forbidden
        self._require_rank(token, Change.REVOKE)
        token.delete()

    def _require_rank(self, token: Token, change: Change) -> None:
        """Ask rank about the bearer of a token, although only visible tokens get here."""
        if token.bearer_id != self.actor.id:
            require_change(self.actor, token.bearer, change)

    def _may_replace(self, token):
        """Whether the one who asks may have the text of a token: staff not that of others on the staff."""
        asking = self.request.user
        if token.bearer_id == asking.id or asking.role == "product":
            return True
        return asking.role in ADMINISTRATORS and token.role in ("product", "license", "user")


class BearerTokenViewSet(RetrieveMixin, ListMixin, APIViewSet):
    """The tokens of one user, product or license (contract: platform 5.5): base of the three viewsets.

    A subclass says `find_parent()`, which sets `bearer`, and completes `permissions` by what `create` needs:

        class ProductTokenViewSet(BearerTokenViewSet):
            permissions = BearerTokenViewSet.permissions | {"create": "product.tokens.generate"}

            def find_parent(self):
                self.bearer = find_product(Product.objects.visible_to(self.request.user), self.kwargs["product"])

        router.register(r"products/(?P<product>[^/]+)/tokens", ProductTokenViewSet, basename="product-tokens")

    That of licenses has `operations` of its own, for such tokens have more attributes.
    """

    queryset = Token.objects.with_roles()
    serializer_class = TokenSerializer
    operations = operations.BEARER_TOKENS
    permissions = {"list": "token.read", "retrieve": "token.read"}
    secret_answers = frozenset({"create"})

    def get_queryset(self):
        return super().get_queryset().of(self.bearer)

    def create(self, request, *args, **kwargs):
        fields, _ = read_token(request.data, self.operations["create"].takes)
        self.authorize()
        require_token(self.actor, self.bearer)
        token, text = Token.generate(self.bearer, **fields)
        return Response(TokenSerializer.with_text(token, text))
