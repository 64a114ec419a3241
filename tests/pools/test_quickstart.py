import re
from base64 import b64encode

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import Account, Token, User
from licensing.models import Policy
from pools.models import Key
from tests.conftest import API


@pytest.fixture
def quickstart(db, capsys):
    def run(*arguments):
        call_command("quickstart", *arguments)
        return capsys.readouterr().out

    return run


def popped_by(said):
    """The response to the curl command that a quickstart prints."""
    address, token = re.search(r'curl -X DELETE http://[^/]+(\S+) -H "Authorization: Bearer (\S+)"', said).groups()
    return API(token).delete(address)


def test_quickstart_prints_a_line_that_pops_a_key(quickstart):
    said = quickstart()

    assert popped_by(said).status_code == 200
    assert "http://127.0.0.1:8000/admin/" in said


def test_quickstart_prints_a_login_that_opens_the_console(quickstart, client):
    said = quickstart()

    password = re.search(r"Password +(\S+)", said).group(1)
    assert client.login(username="admin@demo.test", password=password)
    assert client.get("/admin/").status_code == 200


def test_quickstart_twice_makes_nothing_twice(quickstart):
    first = quickstart()
    said = quickstart()

    assert (Account.objects.count(), Policy.objects.count(), Key.objects.count(), User.objects.count()) == (1, 1, 25, 1)
    assert Token.objects.filter(name="quickstart").count() == 1
    assert "as printed the first time" in said
    assert popped_by(first).status_code == 200  # the token is still valid


def test_quickstart_remembers_what_it_printed(quickstart, tmp_path):
    file = tmp_path / "demo.env"
    first, second = quickstart("--remember", str(file)), quickstart("--remember", str(file))

    assert first == second
    assert file.stat().st_mode & 0o777 == 0o600


def test_remembered_token_of_another_database_is_not_printed(quickstart, tmp_path):
    file = tmp_path / "demo.env"
    file.write_text("export TOKEN='unknown'\nexport PASSWORD='unknown'\n")

    said = quickstart("--remember", str(file))

    assert "unknown" not in said
    assert popped_by(said).status_code == 200


def test_new_token_leaves_the_others(quickstart):
    first, second = quickstart(), quickstart("--new-token")

    assert popped_by(first).status_code == 200
    assert popped_by(second).status_code == 200


def test_quickstart_knows_the_port(quickstart, monkeypatch):
    monkeypatch.setenv("PORT", "8123")

    assert "http://127.0.0.1:8123/admin/" in quickstart()


def test_demo_admin_signs_in_to_the_api_with_the_same_password(quickstart):
    password = re.search(r"Password +(\S+)", quickstart()).group(1)
    credentials = b64encode(f"admin@demo.test:{password}".encode()).decode()

    response = Client().post(
        "/v1/accounts/demo/tokens", "", "application/json", headers={"Authorization": f"Basic {credentials}"}
    )

    assert response.status_code == 201


def test_quickstart_fills_an_empty_pool_again(quickstart, audit):
    said = quickstart()
    policy = Policy.objects.get()
    for _ in range(25):
        policy.pool.pop(audit)
    quickstart()

    assert popped_by(said).status_code == 200


def test_quickstart_gives_a_new_password_when_asked(quickstart, client):
    quickstart()

    password = re.search(r"Password +(\S+)", quickstart("--new-password")).group(1)
    assert client.login(username="admin@demo.test", password=password)
