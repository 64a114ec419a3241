"""Tokens: what speaks for people, products and licenses."""

import secrets
from datetime import timedelta

from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey
from django.contrib.contenttypes.models import ContentType
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from accounts.bearers import Bearer
from accounts.models.accounts import Account
from accounts.models.users import User
from keygen_site.db.compiled_queries import CompiledQuery, sample_bytes
from keygen_site.db.fields import AtLeast, AtMost, ShortTextField, digest
from keygen_site.models import Resource

LIFETIME = timedelta(weeks=2)  # of users' tokens, and of any that expires and is regenerated


class TokenQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The tokens that a bearer may see: its own; a product also those of its users and licenses (platform 5.5)."""
        tokens = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return tokens
        own = Q(bearer_type=type_of(bearer.model), bearer_id=bearer.id)
        if bearer.role != "product":
            return tokens.filter(own)
        # By name: licenses are above accounts.
        licenses = apps.get_model("licensing", "License")
        users = User.objects.customers_of(bearer)
        of_users = Q(bearer_type=type_of(User), bearer_id__in=users.values("pk"))
        of_licenses = Q(
            bearer_type=type_of(licenses), bearer_id__in=licenses.objects.filter(product=bearer.id).values("pk")
        )
        return tokens.filter(own | of_users | of_licenses)

    def of(self, bearer):
        """The tokens that speak for a user, product or license."""
        return self.filter(bearer_type=type_of(bearer), bearer_id=bearer.pk)

    def with_roles(self):
        """Tokens that know their bearer's role, `bearer_role`, without asking for each."""
        user = User.objects.filter(pk=OuterRef("bearer_id"))
        return self.annotate(bearer_role=Subquery(user.values("role")))

    def authenticating(self, token_digest):
        """The tokens of this digest, at most one, each with what decides about its bearer.

        The account comes along, and for a user `bearer_role` and `bearer_banned`: one statement says
        who is asking.
        """
        user = User.objects.filter(pk=OuterRef("bearer_id"))
        return (
            self.filter(digest=token_digest)
            .select_related("account")
            .with_roles()
            .annotate(bearer_banned=Subquery(user.values("banned")))
        )


def _count(**options):
    return models.IntegerField(validators=[AtLeast(0), AtMost(2**31 - 1)], **options)


class Token(Resource):
    """What a bearer authenticates with. Only the digest of its text is kept; the text is shown once."""

    # What a token begins with says whose it is, so that one that leaked can be recognised (contract: platform 5.2).
    PREFIXES = {
        "admin": "admin",
        "developer": "dev",
        "sales-agent": "sales",
        "support-agent": "spprt",
        "read-only": "read",
        "product": "prod",
        "license": "activ",
        "user": "user",
    }
    # Those whose kind is not called as the bearer's role is.
    KINDS = {"sales-agent": "sales-token", "support-agent": "support-token", "license": "activation-token"}

    account = models.ForeignKey(Account, models.CASCADE, related_name="tokens")
    bearer_type = models.ForeignKey(ContentType, models.PROTECT, related_name="+")
    bearer_id = models.UUIDField()
    bearer = GenericForeignKey("bearer_type", "bearer_id")
    digest = models.BinaryField(max_length=32, unique=True)
    name = ShortTextField(max_length=255, null=True, blank=True)
    expiry = models.DateTimeField(null=True, blank=True)
    # Of a license's token: kept and shown, without effect until there are machines.
    max_activations = _count(null=True, blank=True)
    activations = _count(default=0)
    max_deactivations = _count(null=True, blank=True)
    deactivations = _count(default=0)

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["bearer_type", "bearer_id"], name="accounts_token_bearer"),
            models.Index(fields=["account", "id"], name="accounts_token_listed"),
        ]

    class JSONAPIMeta:
        resource_name = "tokens"

    def __str__(self):
        return self.name or str(self.pk)

    @classmethod
    def generate(cls, bearer, **fields):
        """Make a token for a user, product or license: `(token, text)`; the text can never be had again.

        A user's token expires after `LIFETIME`, unless `fields` name another `expiry`; None is never.
        """
        role = role_of(bearer)
        if role == "user":
            fields.setdefault("expiry", timezone.now() + LIFETIME)
        token = cls(account_id=bearer.account_id, bearer=bearer, **fields)
        text = token._renew_text(role)
        token.validate_and_save()
        return token, text

    def regenerate(self):
        """Give the token another text, and return it; the old one is dead at once.

        One that expires now does so after `LIFETIME`, sooner or later than before (contract: platform 5.5).
        """
        text = self._renew_text(self.role)
        if self.expiry is not None:
            self.expiry = timezone.now() + LIFETIME
        self.save(update_fields=["digest", "expiry", "updated"])
        return text

    def _renew_text(self, role):
        size = 16 if role == "license" else 32  # bytes
        text = f"{self.PREFIXES[role]}-{secrets.token_hex(size)}v3"
        self.digest = digest(text)
        return text

    @property
    def bearer_model(self):
        """The model of whom the token speaks for, without asking the database."""
        return ContentType.objects.get_for_id(self.bearer_type_id).model_class()

    @property
    def role(self):
        """The role of whom the token speaks for; one statement, if it is a user and `with_roles()` was not said."""
        if self.bearer_model is not User:
            return self.bearer_model._meta.model_name
        # A bearer that is gone can do nothing; its token is shown as that of a user.
        return getattr(self, "bearer_role", None) or getattr(self.bearer, "role", User.Role.USER)

    @property
    def kind(self):
        """What the wire calls a token of this role, e.g. `product-token`."""
        return self.KINDS.get(self.role, f"{self.role}-token")

    @property
    def is_expired(self):
        return self.expiry is not None and self.expiry <= timezone.now()

    def as_bearer(self):
        """Whom the token speaks for. Only for a token read by `authenticating()`."""
        return Bearer(
            account_id=self.account_id, id=self.bearer_id, model=self.bearer_model, role=self.role, token_id=self.pk
        )


def role_of(bearer):
    """The role of a user, product or license: of the latter two, what they are."""
    return bearer.role if isinstance(bearer, User) else bearer._meta.model_name


def type_of(model):
    return ContentType.objects.get_for_model(model)  # from its cache


_TOKEN = CompiledQuery(Token.objects.authenticating, sample_bytes())


def find_token(text):
    """The token that a text is, with its account and what decides about its bearer, or None."""
    return _TOKEN.first(digest(text))
