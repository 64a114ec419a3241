"""Callers who change the spelling of their IP address to escape the limits (M3, files B32)."""

import pytest
from django.test import RequestFactory

from accounts.authentication import client_ip
from accounts.ip_addresses import normalize_ip

# A spelling, and the form in which rate limits count it: empty if it is not an IP address.
SPELLINGS = [
    ("192.0.2.1", "192.0.2.1"),
    (" 192.0.2.1\t", "192.0.2.1"),
    ("192.0.2.1:5678", "192.0.2.1"),
    ('"192.0.2.1:5678"', "192.0.2.1"),
    ("::ffff:192.0.2.1", "192.0.2.1"),
    ("::FFFF:c000:201", "192.0.2.1"),
    ("[::ffff:192.0.2.1]:443", "192.0.2.1"),
    ("64:ff9b::192.0.2.1", "192.0.2.1"),
    ("2002:c000:201:beef::1", "192.0.2.1"),
    ("2001:db8:1:1::a", "2001:db8:1:1::/64"),
    ("2001:0DB8:0001:0001:ffff:ffff:ffff:ffff", "2001:db8:1:1::/64"),
    ("[2001:db8:1:1::b]", "2001:db8:1:1::/64"),
    ("[2001:db8:1:1::c]:80", "2001:db8:1:1::/64"),
    ('"[2001:db8:1:1::d]:80"', "2001:db8:1:1::/64"),
    ("2001:db8:1:2::a", "2001:db8:1:2::/64"),
    ("fe80::1%eth0", "fe80::/64"),
    *[(garbage, "") for garbage in ("", "unknown", "_hidden", "1.2.3", "01.2.3.4", "1.2.3.4/8", "[::1", "a" * 9999)],
]
PROXY = "198.51.100.1"


def test_an_address_has_one_form_in_all_spellings():
    wrong = [(text, form, normalize_ip(text)) for text, form in SPELLINGS if normalize_ip(text) != form]

    assert not wrong


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, PROXY),
        ("", PROXY),
        ("192.0.2.7", "192.0.2.7"),
        ("203.0.113.9, 192.0.2.7", "192.0.2.7"),
        ("203.0.113.9,192.0.2.7:20417", "192.0.2.7"),
        ("192.0.2.7, ", PROXY),
        ("192.0.2.7, unknown", PROXY),
        ("garbage", PROXY),
    ],
)
def test_behind_a_proxy_the_last_address_counts(settings, header, expected):
    settings.BEHIND_TLS_PROXY = True
    headers = {} if header is None else {"HTTP_X_FORWARDED_FOR": header}

    assert client_ip(RequestFactory().get("/", REMOTE_ADDR=PROXY, **headers)) == expected


def test_without_a_proxy_no_header_counts(settings):
    settings.BEHIND_TLS_PROXY = False
    request = RequestFactory().get("/", REMOTE_ADDR="2001:db8::1", HTTP_X_FORWARDED_FOR="192.0.2.7")

    assert client_ip(request) == "2001:db8::/64"
