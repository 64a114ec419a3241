"""A request for a host that is not allowed is refused, and the log says which setting to change."""

import pytest
from django.test import Client

from keygen_site.jsonapi import exceptions

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def nothing_logged():
    exceptions._logged_hosts.clear()


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics", "/v1/health"])
def test_probes_by_ip_address_are_answered(path, settings):
    settings.METRICS_TOKEN = "secret"

    response = Client().get(path, headers={"Host": "192.0.2.7:8000", "Authorization": "Bearer secret"})

    assert response.status_code == (204 if path == "/v1/health" else 200)


@pytest.mark.parametrize("path", ["/v1/accounts/acme", "/admin/", "/docs", "/v1/nowhere"])
def test_log_names_the_host_and_the_setting(path, caplog):
    response = Client().get(path, headers={"Host": "keys.example.com"})

    assert response.status_code == 400
    (line,) = [record.getMessage() for record in caplog.records if "ALLOWED_HOSTS" in record.getMessage()]
    assert "'keys.example.com'" in line


def test_host_is_logged_once_a_minute(caplog):
    for _ in range(5):
        Client().get("/docs", headers={"Host": "keys.example.com"})

    assert caplog.text.count("ALLOWED_HOSTS") <= 1


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://keys.example.com:8443"}, {"Referer": "https://elsewhere.example.com/"}]
)
def test_log_names_what_a_proxy_has_dropped(headers, caplog):
    client = Client(enforce_csrf_checks=True)

    response = client.post("/admin/login/", headers=headers | {"Accept": "text/html"}, secure=True)

    assert response.status_code == 403
    (line,) = [record.getMessage() for record in caplog.records if "SITE_URL" in record.getMessage()]
    assert "'testserver'" in line
    assert headers.get("Origin", "") in line


def test_text_of_a_client_cannot_forge_a_line(caplog):
    Client().get("/admin/", headers={"Host": "a\u2028b\x1b[31m" + "c" * 1000})

    lines = [record.getMessage() for record in caplog.records if "ALLOWED_HOSTS" in record.getMessage()]
    assert all("\u2028" not in line and "\x1b" not in line and len(line) < 700 for line in lines)
