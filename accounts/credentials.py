"""What a request says about who sends it (contract: platform 5.1). Whether it is true is not asked here."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from keygen_site.jsonapi.errors import BytesInvalid, NullByte

SCHEMES = ("bearer", "token", "basic", "license")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/_-]+")
_NAMED_TOKEN = re.compile(r"token=", re.IGNORECASE)


@dataclass(frozen=True)
class Credential:
    """A token, a license key, or an e-mail and a password.

    Attributes:
        kind: `token`, `license` or `password`.
        text: the token, the key, or the e-mail.
        password: the password.
    """

    kind: str
    text: str = field(repr=False)  # so that no traceback or log shows a secret
    password: str = field(default="", repr=False)


def credential_of(request):
    """The credential in the header `Authorization`, or else in the query, or None.

    Raises:
        BytesInvalid, NullByte: what Basic encodes is no text.
    """
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")
    match scheme.lower():
        case "bearer" | "token":
            return _credential("token", _NAMED_TOKEN.sub("", value.strip(), count=1).strip('"'))
        case "license":
            return _credential("license", value.strip())
        case "basic":
            return _basic(value)
    # Asked for here and not through `request.GET`, which would parse the query of every request.
    if "token=" in request.META.get("QUERY_STRING", "") or "auth=" in request.META.get("QUERY_STRING", ""):
        return _in_query(request.GET.get("token") or request.GET.get("auth") or "")
    return None


def challenge(request):
    """The value of `WWW-Authenticate`: the scheme that the request used, if we know it."""
    scheme = request.META.get("HTTP_AUTHORIZATION", "").strip().partition(" ")[0].lower()
    return f'{scheme.capitalize() if scheme in SCHEMES else "Bearer"} realm="keygen"'


def _credential(kind, text):
    return Credential(kind, text) if text else None


def _in_query(value):
    kind, colon, text = value.partition(":")
    if colon and kind in ("token", "license"):
        return _credential(kind, text)
    return _credential("token", value)


def _basic(value):
    user, colon, password = _decoded(value).partition(":")
    if user in ("token", "license") and colon:
        return _credential(user, password)
    if "@" in user and colon:
        return Credential("password", user, password)
    return _credential("token", user)


def _decoded(value):
    """What a Basic value encodes: whatever is not base64 in it is ignored, for clients wrap and quote it."""
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
