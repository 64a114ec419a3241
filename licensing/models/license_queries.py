"""Questions about licenses."""

from datetime import timedelta

from django.db import models
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from keygen_site.db.fields import digest
from keygen_site.db.uuids import parse_uuid

EXPIRES_SOON = timedelta(days=3)
INACTIVE_AFTER = timedelta(days=90)
HIDDEN = "sha-256:"  # what is kept of a key that is shown once begins so
MOMENTS = ("created", "last_validated", "last_check_out", "last_check_in")  # when something was heard of a license


class LicenseQuerySet(models.QuerySet):
    def visible_to(self, bearer):
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

    def for_user(self, user):
        """Licenses that a user owns or is attached to."""
        return self.filter(
            Q(owner=user) | Q(pk__in=self.model.users.through.objects.filter(user=user).values("license"))
        )

    def with_api_fields(self):
        """Licenses with what a list of them shows, in a fixed number of statements."""
        attached = self.model.users.through.objects.filter(license=OuterRef("pk")).order_by().values("license")
        return self.select_related("policy", "owner").annotate(
            attached=Coalesce(Subquery(attached.annotate(count=Count("pk")).values("count")), 0)
        )

    def with_key(self, text):
        """Licenses of exactly this key. One that is not kept in clear is not found by what is kept of it."""
        return self.filter(_has_key(text))

    def with_hidden_key(self, text):
        """Licenses of exactly this key of which only the digest is kept."""
        return self.filter(digest=digest(hidden(text)), policy__encrypted=True)

    def by_identifier(self, identifier):
        """Licenses whose id or key is `identifier`; if two match, the older comes first (contract: licenses 4)."""
        uuid = parse_uuid(identifier)
        return self.filter(_has_key(identifier) | Q(pk=uuid) if uuid else _has_key(identifier)).order_by("created")

    def needs_own_query(self, identifier: str) -> bool:
        """Whether `by_identifier` makes another query of this text than of others, see `Lookup.find`."""
        return identifier.startswith(HIDDEN)

    def active_since(self, moment):
        """Licenses of which something was heard since a moment."""
        return self.filter(_heard_since(moment))

    def inactive_since(self, moment):
        return self.exclude(_heard_since(moment))

    def expiring(self):
        """Licenses that expire soon."""
        now = timezone.now()
        return self.filter(expiry__gt=now, expiry__lt=now + EXPIRES_SOON)

    def assigned(self):
        """Licenses that somebody owns or is attached to."""
        return self.filter(Q(owner__isnull=False) | Q(pk__in=self.model.users.through.objects.values("license")))

    def with_status(self, status):
        """Licenses of a status; of one that there is not, none.

        Active and inactive say only whether something was heard of a license lately, and not that it is good
        (contract: licenses 5.2): a license can be active and expired.
        """
        lately = timezone.now() - INACTIVE_AFTER
        match status:
            case "ACTIVE":
                return self.filter(owner__banned=None).active_since(lately)
            case "INACTIVE":
                return self.filter(owner__banned=None).inactive_since(lately)
            case "EXPIRING":
                return self.expiring()
            case "EXPIRED":
                return self.filter(expiry__lt=timezone.now())
            case "SUSPENDED":
                return self.filter(suspended=True)
            case "BANNED":
                return self.filter(owner__banned__isnull=False)
        return self.none()


def _has_key(text):
    # The policy is asked only where it matters: an OR over two tables could use no index.
    return Q(digest=digest(text), policy__encrypted=False) if text.startswith(HIDDEN) else Q(digest=digest(text))


def _heard_since(moment):
    # Without a moment there is nothing to compare: spelled out, so that its negation is true and not unknown.
    return Q(*(Q(**{f"{name}__isnull": False, f"{name}__gte": moment}) for name in MOMENTS), _connector=Q.OR)


def hidden(key):
    """What is kept of a key that is shown once; it has so many random digits that nobody can guess it from this."""
    return f"{HIDDEN}{digest(key).hex()}"
