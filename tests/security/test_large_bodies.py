"""Bodies that are too large: a file is read only if its sender may import it; no other body reaches the disk."""

import re
from http import HTTPStatus
from unittest.mock import patch
from uuid import UUID

import pytest
from django.contrib.admin import site
from django.core.files import uploadhandler
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import URLResolver, get_resolver

from keygen_site.jsonapi.negotiation import MAX_DOCUMENT_BYTES
from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.operations import File
from keygen_site.paths import is_transfer
from keygen_site.request_bodies import BODY_PROBLEM
from tests.console import page, signed_in, staff, superuser

pytestmark = pytest.mark.without_database  # the subject is files and processes

MULTIPART = "multipart/form-data; boundary=x"
SAMPLES = {"uuid": str(UUID(int=1)), "int": "1", "str": "text", "path": "text", "slug": "text"}
REFUSED = {HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.NOT_FOUND, HTTPStatus.UNAUTHORIZED}


class Body:
    """The body of a request that counts how often it is read."""

    def __init__(self):
        self.reads = 0

    def read(self, *_):
        self.reads += 1
        return b""

    readline = read


def send(client, path, *, method="POST", size=300 << 20, content_type=MULTIPART, **environ):
    """Send a request with a body of a size; the response, and how often the body was read."""
    body = Body()
    client.cookies["csrftoken"] = "c" * 32
    environ |= {"wsgi.input": body, "CONTENT_LENGTH": str(size), "CONTENT_TYPE": content_type}
    response = client.generic(method, path, b"", **environ)
    return response, body.reads


def paths_of(resolver, before="/"):
    """A path for each route, with sample values."""
    for pattern in resolver.url_patterns:
        text = re.sub(r"<(?:(\w+):)?\w+>", lambda match: SAMPLES[match[1] or "str"], str(pattern.pattern))
        path = before + text.lstrip("^").rstrip("$").replace(r"\.", ".").replace("/?", "/")
        if isinstance(pattern, URLResolver):
            yield from paths_of(pattern, path)
        else:
            yield re.sub(r"\(\?P.*?\)\$?", "text", path), pattern


def pages():
    return [path for path, _ in paths_of(get_resolver()) if not path.startswith("/v1/")]


@pytest.fixture
def spooled(monkeypatch):
    """The files that Django has begun to write to the disk."""
    files = []
    original = uploadhandler.TemporaryUploadedFile

    def create(*arguments, **options):
        files.append(arguments)
        return original(*arguments, **options)

    monkeypatch.setattr(uploadhandler, "TemporaryUploadedFile", create)
    return files


class TestPages:
    def test_pages_of_the_console_are_among_them(self):
        found = pages()

        assert {"/admin/login/", "/docs", "/openapi.json", "/healthz", "/"} <= set(found)
        assert len(found) > 60

    @pytest.mark.parametrize("enforce", [True, False], ids=["with CSRF checks", "without"])
    def test_large_body_is_read_on_no_page_of_a_stranger(self, acme, enforce):
        offenders = []
        for path in [*pages(), "/nowhere", "/nowhere/actions/import"]:
            for method in ("POST", "PUT"):
                client = Client(enforce_csrf_checks=enforce, headers={"Accept": "text/html"})
                response, reads = send(client, path, method=method)
                if reads or response.status_code not in REFUSED:
                    offenders.append((method, path, response.status_code, reads))

        assert not offenders

    def test_large_body_is_not_read_for_an_error_page(self, db):
        client = Client(enforce_csrf_checks=True, headers={"Accept": "text/html"}, raise_request_exception=False)

        wrong_host = send(client, "/docs", HTTP_HOST="elsewhere.example.com", size=1000)
        with patch("keygen_site.http.PageSessionMiddleware.process_request", side_effect=RuntimeError):
            failed = send(client, "/docs", size=1000)

        assert [(response.status_code, reads) for response, reads in (wrong_host, failed)] == [(400, 0), (500, 0)]

    @pytest.mark.parametrize("name", ["Operator", "Auditor"])
    def test_large_body_is_read_on_no_page_but_the_import_of_an_operator(self, acme, name, settings):
        settings.MAX_IMPORT_BYTES = 1 << 30
        client, upload = signed_in(staff(acme, name)), page("pools_pendingimport_import", acme.policy.pk)
        offenders = []
        for path in [*pages(), upload]:
            response, reads = send(client, path)
            allowed = name == "Operator" and is_import_page(path)
            if bool(reads) != allowed or (response.status_code == 413) == allowed:
                offenders.append((path, response.status_code, reads))

        assert not [each for each in offenders if each[1] != 404]

    def test_large_file_of_an_operator_is_taken(self, acme, spooled):
        client = signed_in(staff(acme))
        file = SimpleUploadedFile("keys.txt", b"".join(b"KEY-%026d\n" % number for number in range(100_000)))

        response = client.post(page("pools_pendingimport_import", acme.policy.pk), {"file": file})

        assert (response.status_code, len(spooled)) == (302, 1)

    def test_large_file_above_the_limit_of_imports_is_refused(self, acme, settings):
        settings.MAX_IMPORT_BYTES = 5 << 20

        response, reads = send(signed_in(superuser()), page("pools_pendingimport_import", acme.policy.pk), size=7 << 20)

        assert (response.status_code, reads) == (413, 0)

    def test_large_file_of_an_operator_who_lacks_the_second_factor_is_refused(self, acme, settings):
        settings.REQUIRE_SECOND_FACTOR = "staff"
        upload = page("pools_pendingimport_import", acme.policy.pk)

        for operator in (staff(acme), superuser()):
            response, reads = send(signed_in(operator), upload, size=7 << 20)

            assert (response.status_code, reads) == (413, 0)

    def test_refusal_is_a_page_for_a_browser(self, acme):
        response, _ = send(Client(headers={"Accept": "text/html"}), "/admin/login/")

        assert response["Content-Type"].startswith("text/html")
        assert "too large" in response.content.decode()
        assert "sign" in response.content.decode()


def is_import_page(path):
    return path.startswith("/admin/pools/pendingimport/import/") and not path.endswith("help/")


class TestAPI:
    def test_large_body_is_read_for_no_route_of_a_stranger(self, acme):
        offenders = []
        for endpoint in list_endpoints():
            path = re.sub(r"{\w+}", lambda match: "acme" if match[0] == "{account}" else SAMPLES["uuid"], endpoint.path)
            response, reads = send(Client(), path, method=endpoint.method, content_type="application/json")
            if path == "/v1/health" and (response.status_code, reads) == (204, 0):
                continue  # it looks at nothing of a request
            if reads or response.status_code not in REFUSED or not response.json()["errors"]:
                offenders.append((endpoint.method, path, response.status_code, reads))

        assert not offenders

    def test_large_body_is_an_error_of_the_api(self, acme, api):
        response, _ = send(Client(), "/v1/accounts/acme/keys", content_type="application/json")

        assert response.json()["errors"][0]["code"] == "BODY_TOO_LARGE"
        assert str(MAX_DOCUMENT_BYTES) in response.json()["errors"][0]["detail"]


class TestProblems:
    """Requests whose body `keygen_site.asgi` reports as a problem do not reach their view."""

    @pytest.mark.parametrize(("status", "code"), [(408, "BODY_TOO_SLOW"), (413, "BODY_TOO_LARGE"), (503, "BUSY")])
    def test_request_with_a_problem_does_not_run(self, acme, status, code):
        path = f"/v1/accounts/acme/policies/{acme.policy.pk}/pool"
        headers = {"Authorization": f"Bearer {acme.admin_token}"}
        before = acme.policy.pool.available().count()

        for method in ("DELETE", "POST", "GET"):
            response = Client(headers=headers).generic(method, path, **{BODY_PROBLEM: HTTPStatus(status)})

            assert (response.status_code, response.json()["errors"][0]["code"]) == (status, code)
            assert response["X-Request-Id"]
            assert ("Retry-After" in response) == (status == 503)
        assert acme.policy.pool.available().count() == before

    def test_problem_is_a_page_for_a_browser(self, db):
        response = Client(headers={"Accept": "text/html"}).post("/admin/login/", **{BODY_PROBLEM: HTTPStatus(408)})

        assert (response.status_code, response["Content-Type"]) == (408, "text/html; charset=utf-8")


def streams(endpoint):
    """Whether the response is a file of any length. License files are short."""
    return isinstance(endpoint.operation.gives, File) and not endpoint.path.endswith("/check-out")


class TestTransfers:
    """Requests with files have threads of their own: the paths must be those of the routes."""

    def test_transfers_of_the_api_are_those_with_a_file(self):
        wrong = [
            (endpoint.method, endpoint.path)
            for endpoint in list_endpoints()
            if endpoint.action
            and is_transfer(endpoint.path) != (isinstance(endpoint.operation.takes, File) or streams(endpoint))
        ]

        assert not wrong

    def test_transfers_have_the_same_paths_in_other_spellings(self):
        base = "/v1/accounts/acme/policies/x/pool/actions/import"
        spellings = ["", "/", ".json", "?"]

        assert [end for end in spellings[:3] if not is_transfer(base + end)] == []
        assert is_transfer(base.replace("/actions/", "//actions//"))
        assert is_transfer(base.replace("/v1/", "//v1/"))
        assert not is_transfer("/v1/accounts/acme/policies/x/pool")

    def test_transfers_of_the_console_are_its_imports_and_exports(self):
        names = ("pools_pendingimport_import", "pools_pool_export", "pools_pendingimport_rejected")

        assert [name for name in names if not is_transfer(page(name, UUID(int=1)))] == []
        marked = [path for path, pattern in paths_of(get_resolver()) if hasattr(pattern.callback, "takes_files_with")]
        assert len(marked) == 2  # with and without the pool
        assert all(map(is_transfer, marked))
        assert site.is_registered  # the console's routes were read
