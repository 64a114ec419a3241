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
_LIST = re.compile(r",\s+")
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
    # `request.GET` would parse the query of every request.
    if "token=" in request.META.get("QUERY_STRING", "") or "auth=" in request.META.get("QUERY_STRING", ""):
        return _parse_query(request.GET.get("token", request.GET.get("auth", "")))
    return None


def build_challenge(request: HttpRequest | Request) -> str:
    """The value of the header `WWW-Authenticate`: the scheme that the request used, if it is one of ours."""
    scheme, _ = _split_header(request)
    return f'{scheme.capitalize() if scheme in SCHEMES else "Bearer"} realm="keygen"'


def _split_header(request: HttpRequest | Request) -> tuple[str, str]:
    """The scheme in lower case, and the value, of the header `Authorization`."""
    scheme, *value = request.META.get("HTTP_AUTHORIZATION", "").split(maxsplit=1)[:2] or [""]
    return scheme.lower(), value[0].strip() if value else ""


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
