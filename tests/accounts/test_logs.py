"""Logs of a whole run hold no secret, at the most talkative level."""

import io
import json
import logging
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import HTTPError, URLError

import pytest
from django.test import Client

from keygen_site.observability.log_formatters import HidePathFilter, JSONFormatter, LineFormatter
from keygen_site.observability.request_context import request_id
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic, user_document

pytestmark = pytest.mark.without_database  # the subject is files and processes

ROOT = Path(__file__).parent.parent.parent
LICENSE_KEY = "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"
ID = "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"
TOKEN = "prod-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefv3"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (f"sent {TOKEN}, twice: {TOKEN}", "sent prod-***, twice: prod-***"),
        (
            f'"GET /v1/keys?limit=1&token={TOKEN}&order=asc HTTP/1.1" 200',
            '"GET /v1/keys?limit=1&token=***&order=asc HTTP/1.1" 200',
        ),
        ('"GET /v1/keys?auth=license:abc HTTP/1.1" 200', '"GET /v1/keys?auth=*** HTTP/1.1" 200'),
        (f'"GET /v1/licenses/{LICENSE_KEY} HTTP/1.1" 200', '"GET /v1/licenses/*** HTTP/1.1" 200'),
        (f"GET /v1/licenses/{LICENSE_KEY}/tokens?limit=1", "GET /v1/licenses/***/tokens?limit=1"),
        ("Authorization: Basic YTpi\nHost: x", "Authorization: ***\nHost: x"),
        ("{'HTTP_AUTHORIZATION': 'Bearer abc'}", "{'HTTP_AUTHORIZATION': '***"),
        (
            f"null value violates not-null constraint\nDETAIL:  Failing row contains (1, {LICENSE_KEY}).\nLINE 1: x",
            "null value violates not-null constraint\nDETAIL:  ***\nLINE 1: x",
        ),
        (f'CONTEXT:  COPY pools_key, line 1: "{LICENSE_KEY}"', "CONTEXT:  ***"),
        (f"GET /v1/licenses/{ID}/tokens", f"GET /v1/licenses/{ID}/tokens"),
        ("POST /v1/licenses/actions/validate-key", "POST /v1/licenses/actions/validate-key"),
        ("GET /v1/tokens/{ID}", "GET /v1/tokens/{ID}"),
        ("user-agent read-only", "user-agent read-only"),
    ],
)
def test_secrets_are_removed_from_a_line(line, shown):
    record = logging.LogRecord("django.server", logging.INFO, __file__, 1, "%s", (line,), None)

    assert LineFormatter("{message}", style="{").format(record) == shown


def test_secrets_are_removed_from_a_traceback():
    try:
        raise ValueError(TOKEN)
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "failed", (), sys.exc_info())

    text = LineFormatter("{message}", style="{").format(record)

    assert "ValueError: prod-***" in text
    assert TOKEN not in text


@pytest.fixture
def lines(settings):
    """Logged records, formatted as lines of JSON like with the production settings."""
    output = io.StringIO()
    handler = logging.StreamHandler(output)
    handler.setFormatter(JSONFormatter())
    handler.addFilter(HidePathFilter())
    names = ("keygen_site.access", "django.request")
    for name in names:
        logging.getLogger(name).addHandler(handler)
    yield lambda: [json.loads(line) for line in output.getvalue().splitlines()]
    for name in names:
        logging.getLogger(name).removeHandler(handler)


def test_a_request_is_one_line_that_names_its_route(acme, api, lines):
    response = api(acme.admin).get(f"licenses/{LICENSE_KEY}")

    (line,) = lines()
    assert line.pop("time").endswith("+00:00")
    assert isinstance(line.pop("milliseconds"), float)
    assert line.pop("message").startswith("GET /v1/accounts/{account}/licenses/{id} 404 in ")
    assert line == {
        "level": "INFO",
        "logger": "keygen_site.access",
        "request": response["X-Request-Id"],
        "method": "GET",
        "route": "/v1/accounts/{account}/licenses/{id}",
        "status": 404,
        "account": str(acme.account.pk),
    }


def test_a_file_that_is_sent_while_it_is_read_is_logged_when_it_is_sent(acme, api, lines):
    response = api(acme.admin).get(f"policies/{acme.policy.pk}/pool/actions/export")

    assert lines() == []
    list(response.streaming_content)
    response.close()
    assert [line["request"] for line in lines()] == [response["X-Request-Id"]]


def test_a_mistake_of_ours_is_logged_with_the_request_and_without_its_path(acme, lines, monkeypatch):
    monkeypatch.setattr("licensing.api.viewsets.licenses.LicenseViewSet.find_row", broken)
    response = Client(raise_request_exception=False).get(
        f"/v1/accounts/acme/licenses/{LICENSE_KEY}", headers={"Authorization": f"Bearer {acme.admin_token}"}
    )

    assert response.status_code == 500
    mistake, access = lines()
    assert mistake["message"] == "Internal Server Error: /v1/accounts/{account}/licenses/{id}"
    assert mistake["request"] == access["request"] == response["X-Request-Id"]
    assert "ValueError: prod-***" in mistake["traceback"]
    assert LICENSE_KEY not in json.dumps(lines())


def broken(self, *, locked):
    raise ValueError(TOKEN)


def test_a_line_of_text_ends_with_the_request():
    record = logging.LogRecord("x", logging.INFO, __file__, 1, "said", (), None)
    formatter = LineFormatter("{message}", style="{")

    told = request_id.set(ID)
    assert formatter.format(record) == f"said request={ID}"
    request_id.reset(told)
    assert formatter.format(record) == "said"


def test_lines_of_json_are_written_when_that_is_asked_for():
    outcome = subprocess.run(
        [sys.executable, "-c", "import django, logging; django.setup(); logging.error('to %s', 'you')"],
        env=os.environ | {"LOG_FORMAT": "json", "DJANGO_SETTINGS_MODULE": "keygen_site.settings"},
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )

    assert json.loads(outcome.stderr)["message"] == "to you"


def run(environment, *arguments):
    command = [sys.executable, "manage.py", *arguments]
    return subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True, text=True)


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def server(tmp_path):
    """A server of its own with an account `acme`: its address, the token of the admin, and where it logs."""
    environment = os.environ | {
        "DATABASE_URL": f"sqlite:///{tmp_path}/test.sqlite3",
        "LOG_LEVEL": "DEBUG",
        "PYTHONUNBUFFERED": "1",
    }
    run(environment, "migrate", "--verbosity", "0")
    token = run(environment, "create_account", "acme", "admin@acme.test").stdout.strip()
    port, log = free_port(), tmp_path / "log"
    command = [sys.executable, "manage.py", "runserver", "--noreload", str(port)]
    with log.open("w") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)
        try:
            yield f"http://127.0.0.1:{port}/v1", token, log
        finally:
            process.terminate()
            process.wait(timeout=30)


def ask(method, url, data=None, authorization=None):
    """Send a request as soon as the server accepts connections. Returns `(status, document)`."""
    body = None if data is None else json.dumps(data).encode()
    request = urllib.request.Request(url, body, method=method)
    if authorization:
        request.add_header("Authorization", authorization)
    for _ in range(300):
        try:
            with urllib.request.urlopen(request) as response:
                return response.status, json.loads(response.read() or b"null")
        except HTTPError as error:
            return error.code, json.loads(error.read() or b"null")
        except URLError:
            time.sleep(0.1)
    raise TimeoutError(url)


def test_logs_of_a_whole_run_hold_no_secret(server):
    site, admin, log = server
    account = f"{site}/accounts/acme"
    joe = user_document(email="joe@acme.test", password=PASSWORD)
    assert ask("POST", f"{account}/users", joe, f"Bearer {admin}")[0] == 201
    _, signed_in = ask("POST", f"{account}/tokens", authorization=basic("joe@acme.test", PASSWORD))
    token = signed_in["data"]["attributes"]["token"]
    assert ask("POST", f"{account}/tokens", authorization=basic("joe@acme.test", "wrong password"))[0] == 401
    assert ask("GET", f"{account}/me", authorization=basic(token))[0] == 200
    assert ask("GET", f"{account}/profile?token={token}")[0] == 200
    assert ask("GET", f"{account}/me?auth=license:{LICENSE_KEY}")[0] == 401
    assert ask("GET", f"{account}/licenses/{LICENSE_KEY}", authorization=f"License {LICENSE_KEY}")[0] in (401, 404)
    _, again = ask("PUT", f"{account}/tokens", authorization=f"Bearer {token}")
    renewed = again["data"]["attributes"]["token"]
    assert ask("GET", f"{account}/nowhere?token={renewed}")[0] == 404
    assert ask("DELETE", f"{account}/tokens/{again['data']['id']}", authorization=f"Token {renewed}")[0] == 204
    assert ask("GET", f"{account}/me", authorization=f"Bearer {renewed}")[0] == 401

    lines = log.read_text()

    assert "/profile?token=***" in lines
    for secret in (admin, token, renewed, PASSWORD, "wrong password", LICENSE_KEY, basic(token)[6:]):
        assert secret not in lines
    assert not re.search(r"v3\b|Basic |Bearer |password", lines)
