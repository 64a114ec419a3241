"""Texts that operators search for, in the URL of the result: encrypted, because a text may be a key.

So the page can be reloaded and gone back to, and neither the browser's history nor a log has the text. Only the
operator who searched can open it, for as long as a session lasts.
"""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.contrib import messages
from django.contrib.admin.views.main import SEARCH_VAR
from django.http import HttpRequest, QueryDict
from django.utils import timezone
from django.utils.crypto import salted_hmac

MARKER = "~"  # begins a sealed text
MAX_SEALED_CHARACTERS = 1_024
_SALT = "accounts.admin.sealed_text"
_NONCE_BYTES, _TIME_BYTES = 12, 8


def seal_text(request: HttpRequest, text: str) -> str:
    """A text for the URL, encrypted for the operator of the request. It is cut to MAX_SEALED_CHARACTERS."""
    now = int(timezone.now().timestamp()).to_bytes(_TIME_BYTES, "big")
    nonce = os.urandom(_NONCE_BYTES)
    encrypted = _cipher().encrypt(nonce, now + text[:MAX_SEALED_CHARACTERS].encode(), _owner(request))
    return MARKER + base64.urlsafe_b64encode(nonce + encrypted).decode().rstrip("=")


def open_text(request: HttpRequest, sealed: str) -> str | None:
    """The text of a sealed one. None if it was sealed for someone else or too long ago, or is damaged."""
    if not sealed.startswith(MARKER):
        return None
    encoded = sealed.removeprefix(MARKER)
    try:
        data = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
        opened = _cipher().decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], _owner(request))
    except (binascii.Error, ValueError, InvalidTag):
        return None
    age = timezone.now().timestamp() - int.from_bytes(opened[:_TIME_BYTES], "big")
    if age > settings.SESSION_COOKIE_AGE:
        return None
    return opened[_TIME_BYTES:].decode()


def search_url(request: HttpRequest, field: str = SEARCH_VAR) -> str:
    """The URL of the result of a search form that was sent: with its fields, but the text of one of them sealed."""
    query = QueryDict(mutable=True)
    for name in request.POST:
        value = str(request.POST.get(name, "")).strip()
        if value and name != "csrfmiddlewaretoken":
            query[name] = seal_text(request, value) if name == field else value
    return f"{request.path}?{query.urlencode()}" if query else request.path


def open_search(request: HttpRequest, text: str) -> str:
    """The text of a search in the URL, sealed or not. Empty, with a message, if it can no longer be opened."""
    if not text.startswith(MARKER):
        return text
    opened = open_text(request, text)
    if opened is None:
        messages.warning(request, "This search is no longer open. Search again.")
    return opened or ""


def _cipher() -> AESGCM:
    return AESGCM(salted_hmac(_SALT, "key", algorithm="sha256").digest())


def _owner(request: HttpRequest) -> bytes:
    return str(request.user.pk).encode()
