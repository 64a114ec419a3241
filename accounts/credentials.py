"""Parses the credential of a request (contract: platform 5.1). It does not verify it."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from django.http import HttpRequest
from rest_framework.request import Request

from keygen_site.jsonapi.errors import BytesInvalid, NullByte

SCHEMES = ("bearer", "token", "basic", "license")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]+")
_NAMED_TOKEN = re.compile(r"token=", re.IGNORECASE)


@dataclass(frozen=True)
class Credential:
    """A token, a license key, or an email and a password.

    Attributes:
        kind: `token`, `license` or `password`.
        text: the token, the key, or the email.
        password: the password.
    """

    kind: str
    text: str = field(repr=False)  # no traceback or log shows a secret
    password: str = field(default="", repr=False)


def parse_credential(request: HttpRequest | Request) -> Credential | None:
    """The credential in the header `Authorization`, or else in the query, or None.

    Raises:
        BytesInvalid, NullByte: Basic encodes something that is not text.
    """
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    match scheme.lower():
        case "bearer" | "token":
            return _credential("token", _NAMED_TOKEN.sub("", value.strip(), count=1).strip('"'))
        case "license":
            return _credential("license", value.strip())
        case "basic":
            return _parse_basic(value)
    # `request.GET` would parse the query of every request.
    if "token=" in request.META.get("QUERY_STRING", "") or "auth=" in request.META.get("QUERY_STRING", ""):
        return _parse_query(request.GET.get("token") or request.GET.get("auth") or "")
    return None


def build_challenge(request: HttpRequest | Request) -> str:
    """The value of the header `WWW-Authenticate`: the scheme that the request used, if it is one of ours."""
    scheme = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0].lower()
    return f'{scheme.capitalize() if scheme in SCHEMES else "Bearer"} realm="keygen"'


def _credential(kind: str, text: str) -> Credential | None:
    return Credential(kind, text) if text else None


def _parse_query(value: str) -> Credential | None:
    kind, colon, text = value.partition(":")
    if colon and kind in ("token", "license"):
        return _credential(kind, text)
    return _credential("token", value)


def _parse_basic(value: str) -> Credential | None:
    user, colon, password = _decode_basic(value).partition(":")
    if user in ("token", "license") and colon:
        return _credential(user, password)
    if "@" in user and colon:
        return Credential("password", user, password)
    return _credential("token", user)


def _decode_basic(value: str) -> str:
    """The text that a Basic value encodes. Other characters than base64's are ignored: clients wrap and quote it."""
    letters = _NOT_BASE64.sub("", value).replace("-", "+").replace("_", "/")
    try:
        text = base64.b64decode(letters + "=" * (-len(letters) % 4)).decode()
    except binascii.Error:
        return ""
    except UnicodeDecodeError:
        raise BytesInvalid from None
    if "\0" in text:
        raise NullByte
    return text
