"""`benchmarks.exactly_once --against`: the race against a running server, by requests only."""

from urllib.parse import urlsplit

import pytest

from benchmarks.against import parse_url, race
from benchmarks.testbed.live_server import live_server

pytestmark = pytest.mark.sqlite


def test_keys_are_counted_and_the_product_is_gone_afterwards(tmp_path):
    with live_server(tmp_path) as server:
        row = race(urlsplit(server.url), "acme", server.token, keys=20, clients=4)
        with pytest.raises(SystemExit, match=r"POST products: 401 .*TOKEN_"):
            race(urlsplit(server.url), "acme", "admin-wrong", keys=1, clients=1)

    assert row["keys"] == row["handed out"] == row["distinct"] == 20
    assert row["to two or more callers"] == row["left"] == row["lost"] == 0
    assert row["refused"].keys() == {422}


@pytest.mark.parametrize(
    "url",
    ["http://8.8.8.8", "https://[2001:4860:4860::8888]:3000/", "http://203.0.113.7.1.2", "ftp://127.0.0.1", "8.8.8.8"],
)
def test_a_public_or_odd_address_is_refused(url):
    with pytest.raises((ValueError, OSError)):
        parse_url(url, may_be_public=False)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:3000", "http://[::1]:3000", "https://10.1.2.3", "http://192.168.1.1"]
)
def test_addresses_of_this_machine_and_of_private_networks_are_taken(url):
    assert parse_url(url, may_be_public=False).geturl() == url


def test_a_public_address_is_taken_when_asked_for():
    assert parse_url("http://8.8.8.8", may_be_public=True).hostname == "8.8.8.8"
