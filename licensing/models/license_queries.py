"""The queryset of licenses."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce, JSONObject, Now
from django.utils import timezone

from accounts.bearers import Bearer
from accounts.models.users import INACTIVE_AFTER, User
from keygen_site.db.conditions import HasRow
from keygen_site.db.fields import digest
from keygen_site.db.key_digests import key_digest
from keygen_site.db.uuids import parse_uuid
from licensing.models.machine_totals import sums

if TYPE_CHECKING:
    from licensing.models.licenses import License  # noqa: F401 named in a string

EXPIRES_SOON = timedelta(days=3)
HASHED_KEY_PREFIX = "sha-256:"  # begins a hash, which `key` holds instead of a key that is shown once
ACTIVITY_FIELDS = ("created", "last_validated", "last_check_out", "last_check_in")  # the timestamps of activity


class LicenseQuerySet(models.QuerySet["License"]):
    def visible_to(self, bearer: Bearer) -> Self:
        """The licenses that a bearer may see (contract: licenses 9)."""
        licenses = self.filter(account=bearer.account_id)
        if bearer.is_staff:
            return licenses
        match bearer.role:
            case "product":
                return licenses.filter(product=bearer.id)
            case "license":
                return licenses.filter(pk=bearer.id)
            case "user":
                return licenses.for_user(bearer.id)
        return licenses.none()

    def for_user(self, user: User | UUID) -> Self:
        """Licenses that a user owns or is attached to."""
        return self.for_users([user])

    def for_users(self, users: Any) -> Self:
        """Licenses that some users, given as a list or a query, own or are attached to."""
        own = self.model.objects.filter(owner__in=users).order_by().values("pk")
        attached = self._attachments().filter(user__in=users).order_by().values("license")
        # A union, because an OR of both conditions would read all licenses of the account.
        return self.filter(pk__in=own.union(attached))

    def with_api_fields(self) -> Self:
        """Licenses with their policy, their owner and the visible values of their users and machines.

        So a list costs one statement.
        """
        attached = self._attachments().filter(license=OuterRef("pk")).order_by().values("license")
        # The time of the database: a compiled query would freeze another one.
        machines = self._machines().with_seats(Now()).filter(license=OuterRef("pk")).order_by().values("license")
        return self.select_related("policy", "owner").annotate(
            attached_count=Coalesce(Subquery(attached.annotate(count=Count("pk")).values("count")), 0),
            machine_sums=Subquery(machines.annotate(sums=JSONObject(**sums())).values("sums")),
        )

    def with_key(self, text: str) -> Self:
        """The licenses with exactly this key. A hashed key is not found by its hash."""
        return self.filter(_has_key(text))

    def with_hashed_key(self, text: str) -> Self:
        """The licenses with exactly this key of which only the hash is stored."""
        return self.filter(digest=key_digest(hash_key(text)), policy__encrypted=True)

    def with_any_key(self, texts: Iterable[str]) -> Self:
        """The licenses with one of these keys. A hashed key is not found by its hash."""
        return self.filter(key__in=[text for text in texts if not text.startswith(HASHED_KEY_PREFIX)])

    def by_identifier(self, identifier: str) -> Self:
        """Licenses whose id or key is `identifier`; if two match, the older comes first (contract: licenses 4)."""
        uuid = parse_uuid(identifier)
        return self.filter(_has_key(identifier) | Q(pk=uuid) if uuid else _has_key(identifier)).order_by("created")

    def needs_own_query(self, identifier: str) -> bool:
        """Whether `by_identifier` makes another query of this text than of others, see `Lookup.find`."""
        return identifier.startswith(HASHED_KEY_PREFIX)

    def active_since(self, since: datetime) -> Self:
        return self.filter(_is_active_since(since))

    def inactive_since(self, since: datetime) -> Self:
        return self.exclude(_is_active_since(since))

    def expiring(self, wanted: bool = True) -> Self:
        """Licenses that expire soon, or do not."""
        now = timezone.now()
        return self._meeting(Q(expiry__gt=now, expiry__lt=now + EXPIRES_SOON), wanted)

    def assigned(self, wanted: bool = True) -> Self:
        """Licenses with an owner or attached users, or without."""
        attached = self._attachments().filter(license=OuterRef("pk"))
        return self._meeting(Q(owner__isnull=False) | Q(HasRow(attached)), wanted)

    def activated(self, now: datetime, wanted: bool = True) -> Self:
        """Licenses with machines, or without."""
        machines = self._machines().with_seats(now).filter(license=OuterRef("pk"))
        return self._meeting(Q(HasRow(machines)), wanted)

    def _meeting(self, condition: Q, wanted: bool) -> Self:
        return self.filter(condition) if wanted else self.exclude(condition)

    def with_status(self, status: str) -> Self:
        """Licenses of a status; none if the status is unknown.

        Active and inactive are about recent activity only (contract: licenses 5.2): an expired license can be active.
        """
        recently = timezone.now() - INACTIVE_AFTER
        match status:
            case "ACTIVE":
                return self.filter(owner__banned=None).active_since(recently)
            case "INACTIVE":
                return self.filter(owner__banned=None).inactive_since(recently)
            case "EXPIRING":
                return self.expiring()
            case "EXPIRED":
                return self.filter(expiry__lt=timezone.now())
            case "SUSPENDED":
                return self.filter(suspended=True)
            case "BANNED":
                return self.filter(owner__banned__isnull=False)
        return self.none()

    def with_machine_count(self, now: datetime) -> Self:
        """Annotate each license with the number of its machines: `machine_count`."""
        machines = self._machines().with_seats(now).filter(license=OuterRef("pk")).order_by().values("license")
        return self.alias(machine_count=Coalesce(Subquery(machines.annotate(count=Count("pk")).values("count")), 0))

    def _machines(self) -> Any:
        return cast(Any, self.model).machines.rel.related_model.objects.all()

    def _attachments(self) -> models.QuerySet:
        return cast(Any, self.model).users.through.objects.all()


def _has_key(text: str) -> Q:
    # The policy is queried only if necessary: an OR over two tables could use no index.
    return (
        Q(digest=key_digest(text), policy__encrypted=False)
        if text.startswith(HASHED_KEY_PREFIX)
        else Q(digest=key_digest(text))
    )


def _is_active_since(since: datetime) -> Q:
    # The comparison with null is explicit, so that the negation is true for null and not unknown.
    terms = (Q(**{f"{name}__isnull": False, f"{name}__gte": since}) for name in ACTIVITY_FIELDS)
    return Q(*terms, _connector=Q.OR)


def hash_key(key: str) -> str:
    """The stored form of a key that is shown once. The key is too random to be guessed from its hash."""
    return f"{HASHED_KEY_PREFIX}{digest(key).hex()}"
