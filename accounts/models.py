"""Accounts, the people in them, and the tokens that speak for people, products and licenses."""

import secrets

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.core.exceptions import ValidationError
from django.core.validators import EmailValidator, RegexValidator
from django.db import models
from django.db.models import OuterRef, Q, Subquery
from django.utils import timezone

from accounts.bearers import Bearer
from keygen_site.ids import as_uuid
from keygen_site.models import LineField, Resource, digest


class AccountQuerySet(models.QuerySet):
    def named(self, identifier):
        """Accounts whose id or slug is `identifier`; no slug looks like a UUID, so there is one at most."""
        uuid = as_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(slug=identifier))


class Account(Resource):
    """The tenant: everything else belongs to one."""

    class Status(models.TextChoices):
        """Only a subscribed account is served; the operator of the server says which (contract: platform 7.5)."""

        SUBSCRIBED = "SUBSCRIBED", "Active"
        PAUSED = "PAUSED", "Paused"
        CANCELED = "CANCELED", "Canceled"

    name = LineField(max_length=255)
    slug = LineField(
        max_length=255,
        unique=True,
        validators=[
            RegexValidator(
                r"\A[a-z0-9][a-z0-9-]*\Z",
                "can only contain lowercase letters, numbers and dashes (but cannot start with dash)",
            ),
        ],
    )
    api_version = models.CharField(max_length=8, default="1.8")
    protected = models.BooleanField(default=False)
    status = models.CharField(max_length=16, choices=Status, default=Status.SUBSCRIBED)

    objects = AccountQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=~Q(slug=""), name="accounts_account_slug_not_blank"),
        ]

    class JSONAPIMeta:
        resource_name = "accounts"

    def __str__(self):
        return self.name

    def clean(self):
        if self.slug in ("action", "actions"):
            raise ValidationError({"slug": ValidationError("is reserved", code="not_allowed")})
        if as_uuid(self.slug.replace("-", "")):
            raise ValidationError({"slug": ValidationError("cannot resemble a UUID", code="not_allowed")})

    @property
    def is_active(self):
        return self.status == self.Status.SUBSCRIBED

    def is_named(self, identifier):
        """Whether `identifier` is this account's id or slug, as in `Account.objects.named()`."""
        return identifier == self.slug or as_uuid(identifier) == self.pk


class UserManager(BaseUserManager):
    def create_superuser(self, email, password=None, **fields):
        """Somebody who operates the server: belongs to no account and sees all of them in the console."""
        fields = {"role": User.Role.ADMIN, "is_staff": True, "is_superuser": True, **fields}
        return self._create(email, password, fields)

    def create_user(self, email, password=None, **fields):
        """A person of `fields["account"]`; without a password nobody can sign in as them."""
        return self._create(email, password, fields)

    def _create(self, email, password, fields):
        user = self.model(email=email, **fields)
        user.set_password(password)
        user.validate_and_save()
        return user


class User(AbstractBaseUser, PermissionsMixin, Resource):
    """A person with a role in an account. A superuser, who operates the server, belongs to none."""

    class Role(models.TextChoices):
        USER = "user"
        ADMIN = "admin"
        DEVELOPER = "developer"
        SALES_AGENT = "sales-agent"
        SUPPORT_AGENT = "support-agent"
        READ_ONLY = "read-only"

    account = models.ForeignKey(Account, models.CASCADE, null=True, blank=True, related_name="users")
    email = LineField(max_length=255, validators=[EmailValidator("is invalid")])
    first_name = LineField(max_length=255, null=True, blank=True)
    last_name = LineField(max_length=255, null=True, blank=True)
    role = models.CharField(max_length=16, choices=Role, default=Role.USER)
    banned = models.DateTimeField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True)
    is_staff = models.BooleanField("may use the console", default=False)
    tokens = GenericRelation("Token", content_type_field="bearer_type", object_id_field="bearer_id")

    objects = UserManager()

    USERNAME_FIELD = "email"

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "email"], name="accounts_user_email_unique_in_account"),
            models.UniqueConstraint(
                fields=["email"], condition=Q(account=None), name="accounts_user_email_unique_without_account"
            ),
            models.CheckConstraint(
                condition=Q(account=None, is_superuser=True) | Q(account__isnull=False, is_superuser=False),
                name="accounts_user_superuser_or_in_account",
            ),
        ]

    class JSONAPIMeta:
        resource_name = "users"

    def __str__(self):
        return self.email

    @property
    def is_active(self):
        """Whether the person may sign in to the console."""
        return self.banned is None

    def clean(self):
        self.email = self.email.strip().lower()
        others = User.objects.filter(account=self.account, email=self.email).exclude(pk=self.pk)
        if others.exists():
            raise ValidationError({"email": ValidationError("has already been taken", code="taken")})


class TokenQuerySet(models.QuerySet):
    def authenticating(self, token):
        """The tokens that the text `token` is, at most one, each with what decides about its bearer.

        The account comes along, and for a user `bearer_role` and `bearer_banned`: one statement says
        who is asking.
        """
        user = User.objects.filter(pk=OuterRef("bearer_id"))
        return (
            self.filter(digest=digest(token))
            .select_related("account")
            .annotate(
                bearer_role=Subquery(user.values("role")),
                bearer_banned=Subquery(user.values("banned")),
            )
        )


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

    account = models.ForeignKey(Account, models.CASCADE, related_name="tokens")
    bearer_type = models.ForeignKey(ContentType, models.PROTECT, related_name="+")
    bearer_id = models.UUIDField()
    bearer = GenericForeignKey("bearer_type", "bearer_id")
    digest = models.BinaryField(max_length=32, unique=True)
    name = LineField(max_length=255, null=True, blank=True)
    expiry = models.DateTimeField(null=True, blank=True)

    objects = TokenQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["bearer_type", "bearer_id"], name="accounts_token_bearer")]

    class JSONAPIMeta:
        resource_name = "tokens"

    def __str__(self):
        return self.name or str(self.pk)

    @classmethod
    def generate(cls, bearer, **fields):
        """Make a token for a user, product or license: `(token, text)`; the text can never be had again."""
        role = getattr(bearer, "role", None) or bearer._meta.model_name
        size = 16 if role == "license" else 32  # bytes
        text = f"{cls.PREFIXES[role]}-{secrets.token_hex(size)}v3"
        token = cls(account=bearer.account, bearer=bearer, digest=digest(text), **fields)
        token.validate_and_save()
        return token, text

    @property
    def is_expired(self):
        return self.expiry is not None and self.expiry <= timezone.now()

    def as_bearer(self):
        """Whom the token speaks for. Only for a token read by `authenticating()`."""
        model = ContentType.objects.get_for_id(self.bearer_type_id).model_class()  # from its cache
        return Bearer(
            account_id=self.account_id,
            id=self.bearer_id,
            type=model.JSONAPIMeta.resource_name,
            role=self.bearer_role or model._meta.model_name,
            token_id=self.pk,
        )
