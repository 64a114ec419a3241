import re

import pytest
from django.core.management import call_command

from accounts.models import Account, User
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
    """What the curl line of a quickstart answers."""
    address, token = re.search(r'curl -X DELETE http://[^/]+(\S+) -H "Authorization: Bearer (\S+)"', said).groups()
    return API(token).delete(address)


def test_quickstart_prints_a_line_that_pops_a_key(quickstart):
    said = quickstart()

    assert popped_by(said).status_code == 200
    assert "http://127.0.0.1:8000/admin/" in said


def test_quickstart_prints_a_login_that_opens_the_console(quickstart, client):
    said = quickstart()

    password = re.search(r"Password +(\S+)", said).group(1)
    assert client.login(username="operator@demo.test", password=password)
    assert client.get("/admin/").status_code == 200


def test_quickstart_twice_makes_nothing_twice(quickstart):
    quickstart()
    said = quickstart()

    assert (Account.objects.count(), Policy.objects.count(), Key.objects.count(), User.objects.count()) == (1, 1, 25, 2)
    assert popped_by(said).status_code == 200


def test_quickstart_fills_an_empty_pool_again(quickstart, audit):
    quickstart()
    policy = Policy.objects.get()
    for _ in range(25):
        policy.pool.pop(audit)

    assert popped_by(quickstart()).status_code == 200


def test_quickstart_gives_a_new_password_when_asked(quickstart, client):
    quickstart()

    password = re.search(r"Password +(\S+)", quickstart("--new-password")).group(1)
    assert client.login(username="operator@demo.test", password=password)
