"""The cookie of a session of the API: set and cleared for pages of SESSION_ORIGINS only (contract: security 2)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils.http import http_date

from accounts import background
from accounts.authentication import client_ip
from accounts.credentials import SESSION_COOKIE, may_use_sessions
from accounts.models import APISession, Token
from keygen_site.jsonapi.requests import APIRequest

_ATTRIBUTES = "path=/; secure; httponly; samesite=None; partitioned"


def start_session(
    request: APIRequest, token: Token, *, expiry: datetime | None, parent: APISession | None = None
) -> None:
    """Make a session with a token, if the request comes from a permitted page.

    Args:
        expiry: by default that of the parent, or a week from now.
        parent: the session that makes this one, and ends it when it ends.
    """
    if not may_use_sessions(request):
        return
    agent = request.META.get("HTTP_USER_AGENT", "")
    session, text = APISession.start(
        token, parent=parent, expiry=expiry, ip_address=client_ip(request), user_agent=agent
    )
    request.session_cookie = (text, session.expiry)


def finish_session(request: APIRequest, response: Any, *, is_authenticated: bool) -> None:
    """Set the cookie of a new or renewed session, or clear that of one that has ended."""
    if not may_use_sessions(request):
        return
    cookie, session = getattr(request, "session_cookie", None), getattr(request, "found_session", None)
    if cookie and response.status_code < 400:
        _set_cookie(response, *cookie)
    elif response.status_code == 401 or getattr(request, "ends_session", False):
        if SESSION_COOKIE in request.COOKIES:
            response["Set-Cookie"] = f"{SESSION_COOKIE}=; expires={http_date(0)}; {_ATTRIBUTES}"
    elif session and is_authenticated and (expiry := session.next_expiry()):
        agent = request.META.get("HTTP_USER_AGENT", "")
        background.run_in_background(_record_use, session.pk, expiry, client_ip(request), agent)
        if expiry != session.expiry:
            _set_cookie(response, request.credential.text, expiry)


def _set_cookie(response: Any, value: str, expiry: datetime) -> None:
    # Python's own cookies do not know `partitioned`.
    response["Set-Cookie"] = f"{SESSION_COOKIE}={value}; expires={http_date(expiry.timestamp())}; {_ATTRIBUTES}"


def _record_use(session_id: UUID, expiry: datetime, ip_address: str, user_agent: str) -> None:
    try:
        sessions = APISession.objects.filter(pk=session_id)
        sessions.record_use(expiry=expiry, ip_address=ip_address, user_agent=user_agent)
    finally:
        connection.close()  # of the background thread, which needs one rarely
