"""Products and their queryset."""

import re
from collections.abc import Collection
from typing import Self
from uuid import UUID

from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.bearers import Bearer
from accounts.models import Account, Token, User
from keygen_site.db.fields import ShortTextField
from keygen_site.db.metadata import validate_metadata
from keygen_site.db.text_search import filter_equal
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource

MAX_PLATFORMS, MAX_PLATFORM_LENGTH, MAX_URL_LENGTH = 100, 255, 255
RESERVED_IDENTIFIERS = ("action", "actions")  # segments of the API's URLs
_CHARACTER = r"(?:[\w.~!$&'()*+,;=-]|%[0-9a-f]{2})"
_URL = re.compile(  # RFC 3986
    r"(?:(?P<scheme>[a-z][a-z0-9+.-]*):|(?![^/?#]*:))"
    rf"(?://(?:(?:{_CHARACTER}|:)*@)?(?P<host>\[[0-9a-f:.]+\]|{_CHARACTER}*)(?::\d*)?(?![^/?#])|(?!//))"
    rf"(?:{_CHARACTER}|[:@/?])*(?:\#(?:{_CHARACTER}|[:@/?])*)?",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(r".*\.[a-z]{2,}", re.IGNORECASE | re.ASCII)


class ProductQuerySet(models.QuerySet["Product"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The products that a bearer may see (contract: keys 5.4)."""
        products = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return products
        match bearer.role:
            case "product":
                return products.filter(pk=bearer.id)
            case "license":
                own = _matching(Q(licenses=bearer.id) & ~Q(distribution_strategy="CLOSED"))
            case "user":
                own = _licensed_to(bearer.id)
            case _:
                return products.none()
        return products.filter(Q(distribution_strategy="OPEN") | own)

    def for_user(self, user: User | UUID) -> Self:
        """Products of which a user owns a license, or is attached to one."""
        return self.filter(_licensed_to(user))

    def by_identifier(self, identifier: str) -> Self:
        """Products whose id or code is `identifier`: at most one in an account, as no code looks like a UUID."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(code=identifier))


def _licensed_to(user: User | UUID) -> Q:
    return _matching(Q(licenses__owner=user) | Q(licenses__users=user))


def _matching(terms: Q) -> Q:
    # A subquery rather than a join, which returns duplicates, and rows that cannot be counted or locked.
    return Q(pk__in=Product.objects.filter(terms).values("pk"))


class Product(Resource):
    """A product for sale, under one or more policies. It can be a bearer, by a token."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="products")
    name = ShortTextField(max_length=255)
    code = ShortTextField(max_length=255, null=True, blank=True)
    distribution_strategy = models.CharField(  # noqa: DJ001 null on the wire
        max_length=16,
        choices=[(value, value) for value in ("LICENSED", "OPEN", "CLOSED")],
        default="LICENSED",
        null=True,
        blank=True,
        error_messages={"invalid_choice": "unsupported distribution strategy"},
    )
    url = ShortTextField(max_length=MAX_URL_LENGTH, null=True, blank=True)
    platforms = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    # As those of users: `accounts.models.users`.
    permissions = models.JSONField(null=True, blank=True, editable=False)
    tokens = GenericRelation(Token, content_type_field="bearer_type", object_id_field="bearer_id")

    error_order = ("code", "name", "url", "distribution_strategy", "metadata")

    objects = ProductQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint("account", Lower("code"), name="licensing_product_code_unique_in_account"),
        ]
        indexes = [models.Index(fields=["account", "id"], name="licensing_product_listed")]

    class JSONAPIMeta:
        resource_name = "products"
        identifiers = "id or code"

    def __str__(self) -> str:
        return self.name

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        super().clean_fields({*(exclude or ()), "url"})  # `clean()` checks its length, after its form

    def clean(self) -> None:
        """The rules of a product (contract: keys 8.1)."""
        errors = {"code": self._code_errors(), "url": self._url_errors(), "platforms": self._platforms_errors()}
        if any(errors.values()):
            raise ValidationError({name: found for name, found in errors.items() if found})

    def _code_errors(self) -> list[ValidationError]:
        if not self.code:
            return []
        errors = []
        if filter_equal(self.account.products.exclude(pk=self.pk), "code", self.code).exists():
            errors.append(ValidationError("has already been taken", code="taken"))
        if self.code in RESERVED_IDENTIFIERS:
            errors.append(ValidationError("is reserved", code="not_allowed"))
        if parse_uuid(self.code):
            errors.append(ValidationError("is invalid", code="invalid"))
        return errors

    def _url_errors(self) -> list[ValidationError]:
        if not self.url:
            return []
        errors = self._url_form_errors(self.url)
        if len(self.url) > MAX_URL_LENGTH:
            errors.append(ValidationError(f"is too long (maximum is {MAX_URL_LENGTH} characters)", code="too_long"))
        return errors

    @staticmethod
    def _url_form_errors(url: str) -> list[ValidationError]:
        parts = _URL.fullmatch(url)
        if parts is None:
            return [ValidationError("must be a valid URL", code="invalid")]
        errors = []
        if (parts["scheme"] or "").lower() not in ("http", "https"):
            detail = "must be a valid URL using one of the following protocols: https, http"
            errors.append(ValidationError(detail, code="protocol_invalid"))
        if not _HOST.fullmatch(parts["host"] or ""):
            errors.append(ValidationError("must be a URL with a valid host", code="host_invalid"))
        return errors

    def _platforms_errors(self) -> list[ValidationError]:
        platforms = self.platforms or []
        if len(platforms) > MAX_PLATFORMS:
            return [ValidationError(f"is too long (maximum is {MAX_PLATFORMS} items)", code="too_long")]
        if any(len(platform) > MAX_PLATFORM_LENGTH for platform in platforms):
            detail = f"has an item that is too long (maximum is {MAX_PLATFORM_LENGTH} characters)"
            return [ValidationError(detail, code="too_long")]
        return []
