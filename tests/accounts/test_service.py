"""Whether the server is there, and can work (contract: platform 1.3)."""

from unittest import mock

import pytest
from django.db import DatabaseError

from tests.conftest import API


@pytest.mark.parametrize("path", ["/v1/ping", "/v1/ping/", "/v1/accounts/acme/ping", "/v1/accounts/nowhere/ping"])
def test_ping_answers(path):
    response = API().get(path)

    assert (response.status_code, response.content) == (200, b" ")
    assert response["Content-Type"] == "text/plain; charset=utf-8"


def test_health_is_good(db):
    response = API().get("/v1/health")

    assert (response.status_code, response.content) == (204, b"")


def test_health_is_bad_without_a_database():
    with mock.patch("keygen_site.observability.health.connection.cursor", side_effect=DatabaseError):
        assert API().get("/v1/health").status_code == 503


@pytest.mark.parametrize("path", ["/v1/ping", "/v1/health"])
def test_nothing_is_asked_of_who_asks(db, path):
    response = API().get(path, Authorization="Bearer nonsense", Accept="text/html", Keygen_Version="1.3")

    assert response.status_code in (200, 204)
    assert response["Keygen-Version"] == "1.3"
