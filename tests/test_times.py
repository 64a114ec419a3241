"""Timestamps in requests: the forms that languages print, and those that are refused (contract: licenses 0.2)."""

import pytest

from keygen_site.jsonapi import times
from keygen_site.jsonapi.text import timestamp
from tests.cast import make_license
from tests.errors import BAD, assert_refused, bad_request

NOON = "2030-01-02T12:00:00.000Z"
FORMS = {
    NOON: [
        "2030-01-02T12:00:00Z",
        "2030-01-02t12:00:00z",
        "2030-01-02T12:00:00.000000000Z",
        "2030-01-02T12:00",
        " 2030-01-02T12:00:00Z ",
        "2030-01-02T14:00:00+02:00",
        "2030-01-02T14:00:00+02",
        "2030-01-02T06:30:00-0530",
        "20300102T120000Z",
        "1893585600",
        # Python, Ruby, Go, Java, PHP, JavaScript, `date`
        "2030-01-02 12:00:00",
        "2030-01-02 12:00:00+00:00",
        "2030-01-02 12:00:00 UTC",
        "2030-01-02 14:00:00 +0200",
        "2030-01-02 12:00:00 +0000 UTC",
        "2030-01-02T14:00:00+02:00[Europe/Rome]",
        "2030/01/02 12:00:00",
        "Wed, 02 Jan 2030 12:00:00 GMT",
        "Wed, 2 Jan 2030 14:00:00 +0200",
        "Wed, 02 Jan 2030 07:00:00 EST",
        "Wed Jan 02 2030 14:00:00 GMT+0200 (CEST)",
        "Wed Jan 02 2030 14:00:00 GMT+0200 (Central European Summer Time)",
        "Wed Jan  2 12:00:00 2030",
        "Wed Jan  2 12:00:00 UTC 2030",
        "Wednesday, January 2, 2030 12:00:00 PM",
        "Wednesday, 02-Jan-30 12:00:00 GMT",
        # The same elsewhere than in Greenwich
        "Wed Jan 02 13:00:00 CET 2030",
        "Wed Jan 02 13:00:00 BST 2030",
        "Wed Jan  2 14:00:00 EET 2030",
        "Wed Jan 02 17:30:00 IST 2030",
        "Wed Jan 02 21:00:00 JST 2030",
        "2030-01-02 13:00:00 CET",
        "2030-01-02 14:00:00 CEST",
        "2030-01-02 13:00:00 +0100 CET",
        "2030-01-02 15:00:00 +0300 +03",
        "Wed, 02 Jan 2030 08:30:00 NST",
    ],
    "2030-01-02T12:00:00.500Z": ["2030-01-02T12:00:00.5Z", "2030-01-02 12:00:00.500 UTC"],
    "2030-01-02T00:00:00.000Z": [
        "2030-01-02",
        "2030/01/02",
        "Jan 2 2030",
        "January 2, 2030",
        "2 January 2030",
        "02-Jan-2030",
        "2030-01-01T24:00:00Z",
        "2030-01-01T23:59:60Z",
    ],
}
REFUSED = [
    *("nonsense", "tomorrow", "now", "10:00", "1e9", "-1", "2030-01", "Jan 2030", "2030-01-01T00:00:00Z junk"),
    *("2030-01-02 12:00:00 XYZ", "2030-01-02 12:00:00 Lima", "Wednesday, 02-Jan-3 12:00:00 GMT"),
    *("01/02/2030", "02.01.2030", "1/2/30", "02-Jan-30"),  # may be read in two ways
    *(
        "2030-13-01",
        "2030-02-30",
        "Feb 30 2030",
        "2030-01-01T25:00:00Z",
        "2030-01-01T24:00:01Z",
        "2030-01-01T10:60:00Z",
    ),
    *("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-0001-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00"),
    *("1893585600000", "9" * 5000, "2030-01-02 12:00:00 XYZ", "2030-01-02T12:00:00+99:00", "13 Foo 2030"),
]


def test_each_form_is_read():
    wrong = [
        (text, timestamp(times.parse(text)))
        for expected, texts in FORMS.items()
        for text in texts
        if timestamp(times.parse(text)) != expected
    ]

    assert not wrong


def test_ambiguous_times_are_refused():
    read = []
    for text in REFUSED:
        try:
            read.append((text, times.parse(text)))
        except (ValueError, OverflowError):
            continue

    assert not read


class TestExpiry:
    @pytest.mark.parametrize("expiry", ["", "  ", None])
    def test_an_empty_expiry_is_none(self, acme, api, expiry):
        license = make_license(acme.unpooled, expiry=times.parse("2030-01-01"))
        document = {"data": {"type": "licenses", "attributes": {"expiry": expiry}}}

        response = api(acme.admin).patch(f"licenses/{license.pk}", document)

        assert response.json()["data"]["attributes"]["expiry"] is None

    @pytest.mark.parametrize(
        ("expiry", "kind"),
        [
            (1893585600.5, "float"),
            (-1, "integer"),
            (10**17, "integer"),
            (True, "boolean"),
            (False, "boolean"),
            ([], "array"),
            (["2030-01-01"], "array"),
            ({}, "hash"),
            ("nonsense", "string"),
        ],
    )
    def test_no_other_value_becomes_a_license_that_never_expires(self, acme, api, expiry, kind):
        license = make_license(acme.unpooled)
        document = {"data": {"type": "licenses", "attributes": {"expiry": expiry}}}

        response = api(acme.admin).patch(f"licenses/{license.pk}", document)

        assert_refused(response, BAD, bad_request(f"failed to coerce {kind} to time", "/data/attributes/expiry"))
