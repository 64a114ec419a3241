"""Logs at the level DEBUG, mails, response headers and the bodies of refusals carry no key, token or password.

Every declared operation is sent with secrets that can be recognised: as it should be, refused, malformed, and failing
by a mistake of ours.
"""

import io
import logging
from urllib.parse import quote

import pytest
from django.core import mail
from django.db import DatabaseError
from django.test import Client

from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.viewsets import BaseViewSet
from keygen_site.observability.log_formatters import HidePathFilter, JSONFormatter, LineFormatter
from tests.accounts.documents import basic
from tests.security.canaries import as_json, is_in, secrets_of_document, story, token_of_another  # noqa: F401
from tests.tables import rolled_back
from tests.tenant_rows import Belongings, request_of

ENDPOINTS = [endpoint for endpoint in list_endpoints() if endpoint.action]


@pytest.fixture
def logged():
    """All that is logged at the level DEBUG, by both formatters, as the settings route it."""
    root, output, level = logging.getLogger(), io.StringIO(), logging.getLogger().level
    handlers = []
    for formatter in (JSONFormatter(), LineFormatter("{asctime} {levelname} {name} {message}", style="{")):
        handler = logging.StreamHandler(output)
        handler.setFormatter(formatter)
        handler.addFilter(HidePathFilter())
        handlers.append(handler)
        root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield output.getvalue
    root.setLevel(level)
    for handler in handlers:
        root.removeHandler(handler)


def requests_of(endpoint, own, token, refused):
    """Requests of an operation with secrets: the method, path, body, headers, and the secrets that they carry."""
    path, document, media_type = request_of(endpoint, "acme", own)
    if isinstance(document, bytes):
        document = b"CANARY-IN-FILE-71\nCANARY-IN-FILE-72\n"
        planted = ["CANARY-IN-FILE-71", "CANARY-IN-FILE-72"]
        bodies = [document, document.replace(b"\n", b"\x00")]
    else:
        document, planted = secrets_of_document(document)
        text = as_json(document)
        bodies = [text, text[:-1], as_json({"data": planted, "meta": planted}), as_json({"meta": {"key": 1}})]
    join = "&" if "?" in path else "?"
    key = own.rows["license"].key
    credentials = [
        (path, {"Authorization": f"Bearer {token}"}, token),
        (path, {"Authorization": basic("person@acme.test", "CANARY-PASSWORD-3391")}, "CANARY-PASSWORD-3391"),
        (path, {"Authorization": f"Bearer {refused}"}, refused),
        (f"{path}{join}token={token}", {}, token),
        (f"{path}{join}auth=license:{quote(key)}", {}, key),
        (path, {"Authorization": basic("license", key)}, key),
    ]
    for number, body in enumerate(bodies):
        content = body.encode() if isinstance(body, str) else body
        for where, headers, secret in credentials[: 2 if number else None]:
            yield endpoint.method, where, content, media_type, headers, [secret, *planted]


def is_named(secret, path):
    return secret in path or quote(secret) in path


def assert_silent(found, what):
    assert not found, f"{len(found)} {what}: {sorted(found)[:10]}"


@pytest.mark.parametrize("failing", [False, True])
def test_no_operation_logs_or_repeats_a_secret(acme, api, logged, monkeypatch, settings, failing):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    if failing:
        monkeypatch.setattr(BaseViewSet, "_run", lambda self, method, declared: 1 / 0)
    token = acme.admin_token
    refused = token_of_another(acme)
    own = Belongings(acme.account, acme.product, "acme")
    sent, repeated = set(), set()
    client = Client(raise_request_exception=False)

    for endpoint in ENDPOINTS:
        for method, path, body, media_type, headers, secrets in requests_of(endpoint, own, token, refused):
            with rolled_back():
                response = client.generic(method, path, body, content_type=media_type, headers=headers)
                content = b"" if response.streaming else response.content
                shown = b"\n".join(f"{name}: {value}".encode() for name, value in response.items())
            sent.update(secrets)
            for secret in secrets:
                refused_with = response.status_code >= 400 and secret.encode() in content
                if (is_in(secret, shown) or refused_with) and not is_named(secret, path):
                    repeated.add((method, endpoint.path, response.status_code, secret))

    text = logged()
    assert text.count("keygen_site.access") > 10 * len(ENDPOINTS)
    assert_silent(repeated, "responses repeat a secret")
    sent |= {own.rows["license"].key, *own.secrets[:2]}
    assert_silent([(secret, line_with(secret, text)) for secret in sent if is_in(secret, text)], "secrets are logged")


def line_with(secret, text):
    return next((line[:300] for line in text.splitlines() if secret in line), "encoded")


def test_a_refused_row_is_logged_without_its_values(acme, logged):
    for detail in ("DETAIL:  Key (key)=(CANARY-ROW-88) already exists.", 'CONTEXT:  COPY x, line 1: "CANARY-ROW-88"'):
        try:
            raise DatabaseError(f"duplicate key value\n{detail}")
        except DatabaseError:
            logging.getLogger("django.request").exception("failed")

    assert "CANARY-ROW-88" not in logged()


def test_a_story_with_all_secrets_logs_and_mails_none(story, logged):  # noqa: F811
    secrets = story.tell()

    text = logged()
    told = [(kind, secret) for kind, texts in secrets.items() for secret in texts if is_in(secret, text)]
    assert_silent(told, "secrets are logged")
    # A reset token is for the person who gets the mail.
    mails = "\n".join(f"{sent.subject}\n{sent.body}\n{sent.to}" for sent in mail.outbox)
    assert mails
    others = [secret for kind, texts in secrets.items() for secret in texts if kind != "reset token"]
    assert_silent([secret for secret in others if is_in(secret, mails)], "secrets are mailed")
