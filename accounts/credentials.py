"""Parses the credential of a request (contract: platform 5.1). It does not verify it."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from django.conf import settings
from django.http import HttpRequest
from rest_framework.request import Request

from keygen_site.jsonapi.errors import BytesInvalid, NullByte
from keygen_site.jsonapi.text import header_text

SCHEMES = ("bearer", "token", "basic", "license")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]+")
# Between the parts of a header. Other white space belongs to a license key.
_BLANKS = " \t"
_BLANK = re.compile("[ \t]+")
_LIST = re.compile(r",\s+")
_NAMED_TOKEN = re.compile(r"token=", re.IGNORECASE)
SESSION_COOKIE = "session_id"
_COOKIE_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")


@dataclass(frozen=True)
class Credential:
    """A token, a license key, the cookie of a session, or an email and a password.

    Attributes:
        kind: `token`, `license`, `session` or `password`.
        text: the token, the key, the value of the cookie, or the email.
        password: the password.
    """

    kind: str
    text: str = field(repr=False)  # no traceback or log shows a secret
    password: str = field(default="", repr=False)


def parse_credential(request: HttpRequest | Request) -> Credential | None:
    """The credential in the header `Authorization`, or else in the cookie or the query, or None.

    Raises:
        BytesInvalid, NullByte: Basic encodes an email that is not text, or a NUL.
    """
    scheme, value = _split_header(request)
    match scheme:
        case "bearer" | "token":
            # Further parameters, and a second header that a proxy has joined to the first, are ignored.
            token = _LIST.split(value, maxsplit=1)[0]
            return _credential("token", _NAMED_TOKEN.sub("", token, count=1).strip('"'))
        case "license":
            return _credential("license", value)
        case "basic":
            return _parse_basic(value)
    if cookie := _find_cookie(request):
        return Credential("session", cookie)
    # `request.GET` would parse the query of every request.
    if "token=" in request.META.get("QUERY_STRING", "") or "auth=" in request.META.get("QUERY_STRING", ""):
        return _parse_query(request.GET.get("token", request.GET.get("auth", "")))
    return None


def may_use_sessions(request: HttpRequest | Request) -> bool:
    """Whether a page of the setting SESSION_ORIGINS sends the request (contract: security 2.1).

    The origin is the whole protection against forged requests: browsers send the cookie with those of other pages too.
    They name no origin in a GET for the same one.
    """
    if not settings.SESSION_ORIGINS:
        return False
    origin = request.META.get("HTTP_ORIGIN")
    if origin is None and request.META.get("HTTP_SEC_FETCH_SITE") == "same-origin":
        origin = f"https://{request.get_host()}"
    return origin in settings.SESSION_ORIGINS


def _find_cookie(request: HttpRequest | Request) -> str | None:
    if "HTTP_COOKIE" not in request.META or not may_use_sessions(request):
        return None
    value = request.COOKIES.get(SESSION_COOKIE, "")
    return value if _COOKIE_VALUE.fullmatch(value) else None


def build_challenge(request: HttpRequest | Request) -> str:
    """The value of the header `WWW-Authenticate`: the scheme that the request used, if it is one of ours.

    Never Basic for a script in a browser: the browser would ask the visitor for a password.
    """
    scheme, _ = _split_header(request)
    is_offered = scheme in SCHEMES and not (scheme == "basic" and _is_from_script(request))
    return f'{scheme.capitalize() if is_offered else "Bearer"} realm="keygen"'


def _is_from_script(request: HttpRequest | Request) -> bool:
    """Whether a browser sends the request for a script of a page; from old browsers, if the page is another site's."""
    meta = request.META
    mode = meta.get("HTTP_SEC_FETCH_MODE")
    return mode != "navigate" if mode else "HTTP_ORIGIN" in meta or "HTTP_X_REQUESTED_WITH" in meta


def _split_header(request: HttpRequest | Request) -> tuple[str, str]:
    """The scheme in lower case, and the value, of the header `Authorization`."""
    header = header_text(request.META.get("HTTP_AUTHORIZATION", "")).strip(_BLANKS)
    scheme, *value = _BLANK.split(header, maxsplit=1)
    return scheme.lower(), value[0] if value else ""


def _credential(kind: str, text: str) -> Credential | None:
    return Credential(kind, text) if text else None


def _parse_query(value: str) -> Credential | None:
    kind, _, text = value.partition(":")
    if kind in ("token", "license"):
        return _credential(kind, text)
    return _credential("token", value)


def _parse_basic(value: str) -> Credential:
    """The credential in a Basic value; a token that does not exist if there is none."""
    try:
        user, colon, password = _decode_basic(value).partition(":")
    except UnicodeDecodeError as error:
        if b"@" in error.object.partition(b":")[0]:
            raise BytesInvalid from None
        return Credential("token", "")
    if user in ("token", "license") and password:
        return Credential(user, password)
    if "@" in user and colon:
        return Credential("password", user, password)
    return Credential("token", user)


def _decode_basic(value: str) -> str:
    """The text that a Basic value encodes. Other characters than base64's are ignored: clients wrap and quote it."""
    letters = _NOT_BASE64.sub("", value).replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(letters + "=" * (-len(letters) % 4)).decode()
    except binascii.Error:
        return ""
    if "\0" in text:
        raise NullByte
    return text
