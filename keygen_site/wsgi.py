"""The WSGI application, for servers that pass on the path as it was sent, such as gunicorn.

granian does not, and runs `keygen_site.asgi`.
"""

import codecs
import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.utils.http import parse_header_parameters

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "keygen_site.settings")

django_application = get_wsgi_application()

from keygen_site.db.session_limits import apply_request_limits  # noqa: E402 Django's settings are needed first

apply_request_limits()


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Django's application, without a declared charset that would make it fail.

    Django decodes the query in the charset that the body is declared to have, and fails for codecs such as rot13.
    """
    content_type = environ.get("CONTENT_TYPE", "")
    if "charset" in content_type.lower():
        media_type, parameters = parse_header_parameters(content_type)
        if not is_charset(parameters.get("charset", "")):
            environ["CONTENT_TYPE"] = media_type
    return django_application(environ, start_response)


# How Python's names of charsets begin. It has codecs of other kinds too, such as rot13, idna and punycode.
_CHARSETS = (
    "utf",
    "ascii",
    "latin",
    "iso",
    "cp",
    "koi8",
    "mac",
    "ptcp",
    "kz",
    "tis",
    "euc",
    "gb",
    "big5",
    "shift",
    "johab",
)


def is_charset(name: str) -> bool:
    """Whether Python knows a charset of this name."""
    try:
        return codecs.lookup(name).name.startswith(_CHARSETS)
    except (LookupError, ValueError):
        return False
