"""The WSGI application, as servers call it."""

from io import BytesIO

import pytest
from django.test import RequestFactory

from keygen_site.wsgi import application, is_charset


@pytest.mark.parametrize("charset", ["rot13", "hex", "undefined", "punycode", "idna", "\x00", "nothing", "", "utf-32"])
def test_declared_charset_breaks_no_request(db, charset):
    environ = RequestFactory().get("/v1/ping?a=1").environ
    environ |= {"CONTENT_TYPE": f"text/plain; charset={charset}", "wsgi.input": BytesIO()}
    said = []

    b"".join(application(environ, lambda status, headers: said.append(status)))

    assert said == ["200 OK"]


def test_charsets_of_texts_are_kept():
    names = ["utf-8", "UTF-16", "utf-32", "iso-8859-1", "windows-1252", "shift_jis"]

    assert [name for name in names if not is_charset(name)] == []
