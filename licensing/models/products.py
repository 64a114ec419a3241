import re
from urllib.parse import urlsplit

from django.contrib.contenttypes.fields import GenericRelation
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower

from accounts.models import Account, Token
from keygen_site.db.fields import ShortTextField
from keygen_site.db.uuids import parse_uuid
from keygen_site.models import Resource
from licensing.metadata import validate_metadata

MAX_PLATFORMS, MAX_PLATFORM_LENGTH = 100, 255
_HOST = re.compile(r"(?:[\w-]+\.)+[a-z]{2,}", re.IGNORECASE)
_BLANK = re.compile(r"[\s\x00-\x1f\x7f]")


class ProductQuerySet(models.QuerySet):
    def visible_to(self, bearer):
        """The products that a bearer may see (contract: keys 5.4)."""
        products = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return products
        match bearer.role:
            case "product":
                return products.filter(pk=bearer.id)
            case "license":
                own = _among(Q(licenses=bearer.id) & ~Q(distribution_strategy="CLOSED"))
            case "user":
                own = _licensed_to(bearer.id)
            case _:
                return products.none()
        return products.filter(Q(distribution_strategy="OPEN") | own)

    def for_user(self, user):
        """The products of which a user owns a license, or is attached to one."""
        return self.filter(_licensed_to(user))

    def by_identifier(self, identifier):
        """Products whose id or code is `identifier`; no code looks like a UUID, so there is one at most."""
        uuid = parse_uuid(identifier)
        return self.filter(Q(pk=uuid) if uuid else Q(code=identifier))


def _licensed_to(user):
    return _among(Q(licenses__owner=user) | Q(licenses__users=user))


def _among(terms):
    # A subquery: rows found by a join could not be locked, nor counted without doubles.
    return Q(pk__in=Product.objects.filter(terms).values("pk"))


class Product(Resource):
    """A thing that is sold, under one or more policies. With a token it is a bearer itself."""

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
    url = ShortTextField(max_length=255, null=True, blank=True)
    platforms = models.JSONField(null=True, blank=True)
    metadata = models.JSONField(default=dict, blank=True, validators=[validate_metadata])
    tokens = GenericRelation(Token, content_type_field="bearer_type", object_id_field="bearer_id")

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

    def __str__(self):
        return self.name

    def clean(self):
        """The rules of a product (contract: keys 8.1)."""
        problems = {"code": self._problems_of_code(), "url": self._problems_of_url()}
        platforms = self.platforms or []
        if len(platforms) > MAX_PLATFORMS:
            detail = f"is too long (maximum is {MAX_PLATFORMS} items)"
            problems["platforms"] = [ValidationError(detail, code="too_long")]
        elif any(len(platform) > MAX_PLATFORM_LENGTH for platform in platforms):
            detail = f"has an item that is too long (maximum is {MAX_PLATFORM_LENGTH} characters)"
            problems["platforms"] = [ValidationError(detail, code="too_long")]
        problems = {name: errors for name, errors in problems.items() if errors}
        if problems:
            raise ValidationError(problems)

    def _problems_of_code(self):
        if not self.code:
            return []
        problems = []
        if self.account.products.filter(code__iexact=self.code).exclude(pk=self.pk).exists():
            problems.append(ValidationError("has already been taken", code="taken"))
        if self.code in ("action", "actions"):
            problems.append(ValidationError("is reserved", code="not_allowed"))
        if parse_uuid(self.code):
            problems.append(ValidationError("is invalid", code="invalid"))
        return problems

    def _problems_of_url(self):
        if not self.url:
            return []
        try:
            address = urlsplit(self.url)
            host, _ = address.hostname or "", address.port  # a port beyond 65535 is a ValueError
        except ValueError:
            return [ValidationError("must be a valid URL", code="invalid")]
        if _BLANK.search(self.url):  # `urlsplit` leaves out line breaks, so it says nothing of them
            return [ValidationError("must be a valid URL", code="invalid")]
        problems = []
        if address.scheme not in ("http", "https"):
            detail = "must be a valid URL using one of the following protocols: https, http"
            problems.append(ValidationError(detail, code="protocol_invalid"))
        if not _HOST.fullmatch(host):
            problems.append(ValidationError("must be a URL with a valid host", code="host_invalid"))
        return problems
