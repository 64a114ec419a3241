"""Tokens: credentials that speak for users, products and licenses."""

import secrets
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from accounts import bearers
from accounts.bearers import Bearer, own_permissions
from accounts.models.accounts import Account
from accounts.models.users import User
from accounts.permission_names import ALL
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes
from keygen_site.db.fields import AtLeast, AtMost, ShortTextField, digest
from keygen_site.jsonapi.errors import REFERENCE, DomainError
from keygen_site.models import Resource

# The lifetime of a user's token, and of any token that expires and is regenerated.
TOKEN_LIFETIME = timedelta(weeks=2)
# The tokens of a user of role `user`, who may make them without an expiry. More than a program that signs in at each
# start uses; those that have expired make room for others.
MAX_TOKENS_PER_USER = 5_000
USE_RECORDED_EVERY = timedelta(hours=1)


class TooManyTokens(DomainError):
    """The user has too many tokens."""

    code = "TOKEN_LIMIT_EXCEEDED"
    about = REFERENCE
    detail = (
        f"token count has exceeded maximum allowed for user ({MAX_TOKENS_PER_USER}): delete tokens that are not used, "
        "or change or reset the password, which deletes all"
    )
    source = {"pointer": "/data/relationships/bearer"}


class TokenQuerySet(models.QuerySet["Token"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The tokens that a bearer may see: its own; a product also those of its users and licenses (platform 5.5)."""
        tokens = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return tokens
        terms = Q(bearer_type=content_type_of(bearer.model), bearer_id=bearer.id)
        if bearer.role != "product":
            return tokens.filter(terms)
        customers = User.objects.customers_of(bearer)
        terms |= Q(bearer_type=content_type_of(User), bearer_id__in=customers.values("pk"))
        for each in bearers.types().values():
            if each.of_product:
                rows = each.of_product(bearer.id)
                terms |= Q(bearer_type=content_type_of(each.model), bearer_id__in=rows.values("pk"))
        return tokens.filter(terms)

    def for_bearer(self, bearer: models.Model) -> Self:
        """The tokens that speak for a user, product or license."""
        return self.filter(bearer_type=content_type_of(bearer), bearer_id=bearer.pk)

    def make_room(self) -> None:
        """Let a user have another token.

        Raises:
            TooManyTokens: all of MAX_TOKENS_PER_USER tokens can be used.
        """
        if self.count() < MAX_TOKENS_PER_USER:
            return
        self.filter(expiry__lte=timezone.now()).delete()
        if self.count() >= MAX_TOKENS_PER_USER:
            raise TooManyTokens

    def record_use(self) -> None:
        """Store that these tokens are used now, except where that was stored within USE_RECORDED_EVERY."""
        now = timezone.now()
        self.filter(Q(last_used=None) | Q(last_used__lte=now - USE_RECORDED_EVERY)).update(last_used=now)

    def with_roles(self) -> Self:
        """Annotate each token with the role of its bearer, if that is a user: `bearer_role`."""
        user = User.objects.filter(pk=OuterRef("bearer_id"))
        return self.annotate(bearer_role=Subquery(user.values("role")))

    def for_authentication(self, **terms: Any) -> Self:
        """The token that the terms name, if any, with its account and, of a user, `bearer_role` and `bearer_banned`.

        `bearer_permissions` are those of a user or product. So one statement is enough to authenticate these.
        """
        user = User.objects.filter(pk=OuterRef("bearer_id"))
        return (
            self.filter(**terms)
            .select_related("account")
            .with_roles()
            .annotate(
                bearer_banned=Subquery(user.values("banned")),
                bearer_permissions=Coalesce(*bearers.stored_permissions(OuterRef("bearer_id"))),
            )
        )


def _count_field(**options: Any) -> Any:
    return models.IntegerField(validators=[AtLeast(0), AtMost(2**31 - 1)], **options)


class Token(Resource):
    """A credential of a bearer. Only the digest of its text is stored; the text is shown once."""

    # The beginning of a token, by the role of its bearer, so that a leaked one is recognised (contract: platform 5.2).
    PREFIXES: ClassVar = {
        "admin": "admin",
        "developer": "dev",
        "sales-agent": "sales",
        "support-agent": "spprt",
        "read-only": "read",
        "product": "prod",
        "license": "activ",
        "user": "user",
    }
    # The kinds that are not named after the role of the bearer.
    KINDS: ClassVar = {"sales-agent": "sales-token", "support-agent": "support-token", "license": "activation-token"}

    account = models.ForeignKey(Account, models.CASCADE, related_name="tokens")
    bearer_type = models.ForeignKey(ContentType, models.PROTECT, related_name="+")
    bearer_id = models.UUIDField()
    bearer = GenericForeignKey("bearer_type", "bearer_id")
    digest = models.BinaryField(max_length=32, unique=True)
    # The digest that keygen-api had, of a token that moved in from there: 32 bytes, or 64 of a `v2` token. An export of
    # the account has it, so that the token can move out again.
    keygen_digest = models.BinaryField(max_length=64, null=True, editable=False)
    name = ShortTextField(max_length=255, null=True, blank=True)
    expiry = models.DateTimeField(null=True, blank=True)
    # The names of permissions, to which the token is limited; null or with `*`: all that its bearer has.
    permissions = models.JSONField(null=True, blank=True, editable=False)
    # The last request with the token, at most USE_RECORDED_EVERY earlier than the true one.
    last_used = models.DateTimeField(null=True, editable=False)
    # Of a license's token: how many activations and deactivations of machines it has made, and may make.
    max_activations = _count_field(null=True, blank=True)
    activations = _count_field(default=0)
    max_deactivations = _count_field(null=True, blank=True)
    deactivations = _count_field(default=0)

    objects = TokenQuerySet.as_manager()

    if TYPE_CHECKING:
        bearer_type_id: int
        # Annotations of `for_authentication()`.
        bearer_role: str | None
        bearer_banned: datetime | None
        bearer_permissions: list[str] | None

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["bearer_type", "bearer_id"], name="accounts_token_bearer"),
            models.Index(fields=["account", "id"], name="accounts_token_listed"),
        ]

    class JSONAPIMeta:
        resource_name = "tokens"

    def __str__(self) -> str:
        return self.name or str(self.pk)

    @classmethod
    def generate(cls, bearer: Any, **fields: Any) -> tuple[Self, str]:
        """Make a token for a user, product or license, and return it with its text, which is not stored.

        The token of a user of role `user` expires after `TOKEN_LIFETIME`, unless `fields` have an `expiry`; None is
        never.

        Raises:
            TooManyTokens: a user of role `user` has MAX_TOKENS_PER_USER tokens that have not expired.
        """
        role = role_of(bearer)
        if role == "user":
            cls.objects.for_bearer(bearer).make_room()
            fields.setdefault("expiry", timezone.now() + TOKEN_LIFETIME)
        token = cls(account_id=bearer.account_id, bearer=bearer, **fields)
        text = token._renew_text(role)
        token.validate_and_save()
        return token, text

    def regenerate(self) -> str:
        """Give the token a new text, and return it. The old text stops working, and sessions of the token end.

        A token that expires does so after another `TOKEN_LIFETIME`, sooner or later than before (contract: platform
        5.5).
        """
        text = self._renew_text(self.role)
        if self.expiry is not None:
            self.expiry = timezone.now() + TOKEN_LIFETIME
        self.keygen_digest = None
        self.sessions.all().delete()
        self.save(update_fields=["digest", "keygen_digest", "expiry", "updated"])
        return text

    def _renew_text(self, role: str) -> str:
        size = 16 if role == "license" else 32  # bytes
        text = f"{self.PREFIXES[role]}-{secrets.token_hex(size)}v3"
        self.digest = digest(text)
        return text

    @property
    def is_use_recorded(self) -> bool:
        """Whether the last use that is stored is recent enough."""
        return self.last_used is not None and self.last_used > timezone.now() - USE_RECORDED_EVERY

    @property
    def bearer_model(self) -> type[models.Model]:
        """The model of the bearer, without a query."""
        return cast("type[models.Model]", ContentType.objects.get_for_id(self.bearer_type_id).model_class())

    @property
    def role(self) -> str:
        """The role of the bearer. Costs a query for a user's token unless `with_roles()` annotated it."""
        if self.bearer_model is not User:
            return cast(str, self.bearer_model._meta.model_name)
        # A deleted bearer can do nothing; its token is shown as that of a user.
        return cast(str, getattr(self, "bearer_role", None) or getattr(self.bearer, "role", User.Role.USER))

    @property
    def kind(self) -> str:
        """The API's name of a token of this role, e.g. `product-token`."""
        return self.KINDS.get(self.role, f"{self.role}-token")

    @property
    def is_expired(self) -> bool:
        return self.expiry is not None and self.expiry <= timezone.now()

    def as_bearer(self) -> Bearer:
        """The bearer. Only for a token read by `for_authentication()`."""
        is_limited = self.permissions is not None and ALL not in self.permissions
        return Bearer(
            account_id=self.account_id,
            id=self.bearer_id,
            model=self.bearer_model,
            role=self.role,
            own_permissions=own_permissions(self.bearer_permissions),
            token_permissions=own_permissions(self.permissions) if is_limited else None,
            token_id=self.pk,
        )


def role_of(bearer: models.Model) -> str:
    """The role of a user, product or license; of a product or license, the name of its model."""
    return bearer.role if isinstance(bearer, User) else cast(str, bearer._meta.model_name)


def content_type_of(model: models.Model | type[models.Model]) -> ContentType:
    return ContentType.objects.get_for_model(model)  # from its cache


_TOKEN: CompiledQuery[Token] = CompiledQuery(
    lambda token_digest: Token.objects.for_authentication(digest=token_digest), sample_bytes()
)


def find_token(text: str) -> Token | None:
    """Look up a token by its text, with its account and, of a user, the role and the ban. None if unknown."""
    return find_token_with_digest(digest(text))


def find_token_with_digest(token_digest: bytes) -> Token | None:
    """Look up a token as `find_token()` does, by the digest of its text."""
    return _TOKEN.first(token_digest)
