"""Sessions of browser applications with the API (contract: security 2)."""

import secrets
from datetime import datetime, timedelta
from typing import Self

from django.db import models
from django.db.models import Q
from django.utils import timezone

from accounts.models.accounts import Account
from accounts.models.tokens import Token
from keygen_site.db.fields import digest
from keygen_site.models import Resource

SESSION_LIFETIME = timedelta(weeks=1)
MAX_SESSION_AGE = timedelta(weeks=2)  # however often it is renewed
RENEWAL = timedelta(hours=1)  # a use is recorded, and the expiry moves, at most once in this time
KEPT_AFTER_END = timedelta(days=90)
MAX_DELETED_SESSIONS = 100  # by one sign-in, so that none takes long
MAX_USER_AGENT_CHARACTERS = 512


class APISessionQuerySet(models.QuerySet["APISession"]):
    def delete_old(self) -> None:
        """Delete a few sessions that ended long ago. Each sign-in calls it."""
        before = timezone.now() - KEPT_AFTER_END - MAX_SESSION_AGE
        old = self.filter(created__lt=before).order_by("created").select_for_update(skip_locked=True)
        self.filter(pk__in=list(old.values_list("pk", flat=True)[:MAX_DELETED_SESSIONS])).delete()

    def record_use(self, *, expiry: datetime, ip_address: str, user_agent: str) -> None:
        """Store that these sessions are used now, unless that was stored within RENEWAL."""
        now = timezone.now()
        unrecorded = self.filter(Q(last_used=None) | Q(last_used__lte=now - RENEWAL))
        unrecorded.update(
            last_used=now,
            expiry=expiry,
            ip_address=ip_address,
            user_agent=user_agent[:MAX_USER_AGENT_CHARACTERS],
            updated=now,
        )


class APISession(Resource):
    """The right of a browser to act with a token, by a cookie. It ends with its token, and with its parent.

    Attributes:
        parent: the session that made this one, if any.
        digest: of the value of the cookie, which is not stored.
        last_used: the last use, at most RENEWAL earlier than the true one; None before the first.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="+", db_index=False)
    token = models.ForeignKey(Token, models.CASCADE, related_name="sessions")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    digest = models.BinaryField(max_length=32, unique=True)
    ip_address = models.CharField(max_length=64, blank=True)
    user_agent = models.CharField(max_length=MAX_USER_AGENT_CHARACTERS, blank=True)
    last_used = models.DateTimeField(null=True)
    expiry = models.DateTimeField()

    objects = APISessionQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = "API session"
        indexes = [models.Index(fields=["created"], name="accounts_apisession_created")]

    class JSONAPIMeta:
        resource_name = "sessions"

    def __str__(self) -> str:
        return str(self.pk)

    @classmethod
    def start(
        cls, token: Token, *, parent: "APISession | None", expiry: datetime | None, ip_address: str, user_agent: str
    ) -> tuple[Self, str]:
        """Make a session of a token, and return it with the value of its cookie, which is not stored.

        Args:
            expiry: by default that of the parent, or SESSION_LIFETIME from now.
        """
        text = secrets.token_urlsafe(32)
        expiry = expiry or (parent.expiry if parent else timezone.now() + SESSION_LIFETIME)
        session = cls.objects.create(
            account_id=token.account_id,
            token=token,
            parent=parent,
            digest=digest(text),
            expiry=expiry,
            ip_address=ip_address,
            user_agent=user_agent[:MAX_USER_AGENT_CHARACTERS],
        )
        cls.objects.delete_old()
        return session, text

    @property
    def is_expired(self) -> bool:
        return timezone.now() >= min(self.expiry, self.created + MAX_SESSION_AGE)

    def next_expiry(self) -> datetime | None:
        """The expiry after a use now, or None if this use is not recorded."""
        now = timezone.now()
        if self.last_used is not None and self.last_used > now - RENEWAL:
            return None
        return self.expiry + RENEWAL if self.expiry < now + RENEWAL else self.expiry


def find_session(text: str) -> APISession | None:
    """Look up a session by the value of its cookie, with its token as `find_token()` returns it. None if unknown."""
    session = APISession.objects.filter(digest=digest(text)).first()
    token = Token.objects.for_authentication(pk=session.token_id).first() if session else None
    if session is None or token is None:
        return None
    session.token = token
    return session
