"""The file of an export: the reader accepts valid files and refuses all others, with bounded memory."""

import struct
import tracemalloc
import zlib
from contextlib import suppress
from datetime import UTC, date, datetime
from hashlib import sha256
from io import BytesIO
from random import Random

import msgpack
import pytest

from pools.moving.format import (
    MAX_CONTENT_BYTES,
    MAX_ROWS,
    ExportMalformed,
    ExportReader,
    ExportTooLarge,
    ExportTruncated,
    ExportUnreadable,
    ExportWriter,
    SecretMissing,
    SecretUnneeded,
    SecretWrong,
    VersionUnknown,
)
from tests.moving.exports import ENCRYPTED, PLAIN, SECRETS, SHOWN, WAYS_OUT, read_export, write_export

pytestmark = pytest.mark.without_database

ACCOUNT = ["Account", [{"id": "1"}]]


def read(export, secret=None):
    return list(ExportReader(BytesIO(export), secret))


def refusal(export, secret=None):
    """The class of the error of an export, which is one sentence."""
    with pytest.raises(ExportUnreadable) as error:
        read(export, secret)
    assert 10 < len(error.value.detail) < 200
    assert "\n" not in error.value.detail
    assert WAYS_OUT.search(error.value.detail), error.value.detail
    return type(error.value)


def chunk(content):
    deflated = zlib.compress(content)
    return struct.pack(">Q", len(deflated)) + deflated


def export_of(*contents):
    """An export with chunks of these contents: bytes, or values that MessagePack packs."""
    packed = [each if isinstance(each, bytes) else msgpack.packb(each) for each in contents]
    return b"\x01" + b"".join(map(chunk, packed))


class TestReader:
    def test_plain_and_encrypted_export_have_the_same_rows(self):
        plain = read_export()

        assert plain == read_export(ENCRYPTED, SECRETS["exportSecret"])
        assert len(plain["License"]) == len(SHOWN["licenses"])
        assert len(plain["RolePermission"]) == 1626

    def test_moments_dates_and_bytes_are_what_they_were(self):
        row = {"at": datetime(2026, 11, 27, 0, 49, 18, 811433, tzinfo=UTC), "on": date(2026, 11, 27), "raw": b"\xff"}
        export = write_export({"Account": [row]})

        [(_, [found], _)] = read(export)

        assert found == row
        assert b"2026-11-27T00:49:18.811433Z" in zlib.decompress(export[9:])

    @pytest.mark.parametrize("year", [1, 900, 9999])
    def test_years_have_four_digits(self, year):
        row = {"at": datetime(year, 1, 2, tzinfo=UTC), "on": date(year, 1, 2)}

        assert read_export(write_export({"Account": [row]})) == {"Account": [row]}

    def test_digest_is_that_of_the_file_and_contents_tell_exports_apart(self):
        plain, encrypted = (ExportReader(BytesIO(each), secret) for each, secret in BOTH)
        assert len(list(plain)) == len(list(encrypted))

        assert plain.sha256 == sha256(PLAIN).hexdigest()
        assert plain.position == len(PLAIN)
        assert plain.content_sha256 == encrypted.content_sha256

    def test_stream_may_return_fewer_bytes_than_it_was_asked_for(self):
        class Slow(BytesIO):
            def read(self, size=-1):
                return super().read(min(size, 7))

        assert len(list(ExportReader(Slow(PLAIN)))) == 21


BOTH = ((PLAIN, None), (ENCRYPTED, SECRETS["exportSecret"]))


class TestWriter:
    @pytest.mark.parametrize("secret", [None, "a secret: ключ"])
    def test_written_rows_are_read(self, secret):
        rows = {"Account": [{"id": "1"}], "Key": [{"key": str(number)} for number in range(2 * MAX_ROWS + 1)]}

        export = write_export(rows, secret)

        assert read_export(export, secret) == rows
        assert [len(each.rows) for each in read(export, secret)] == [1, MAX_ROWS, MAX_ROWS, 1]

    def test_no_two_encrypted_exports_are_equal(self):
        rows = {"Account": [{"id": "1"}]}

        assert write_export(rows, "secret") != write_export(rows, "secret")

    def test_a_value_without_a_form_is_a_mistake_of_ours(self):
        with pytest.raises(TypeError):
            ExportWriter(BytesIO()).write("Account", [{"id": object()}])


class TestRefusals:
    @pytest.mark.parametrize(("export", "secret"), BOTH)
    def test_export_that_ends_within_a_chunk_is_refused(self, export, secret):
        borders = {each.offset for each in read(export, secret)} | {len(export)}
        cuts = {cut for border in borders for cut in (border - 1, border + 1, border + 8, border + 9, border + 100)}
        within = sorted(cut for cut in cuts if 1 < cut < len(export) and cut not in borders)

        assert len(within) > 80
        assert {refusal(export[:cut], secret) for cut in within} == {ExportTruncated}

    @pytest.mark.parametrize(
        ("export", "expected"),
        {
            "empty": (b"", ExportTruncated),
            "only the version": (b"\x01", ExportTruncated),
            "version 0": (b"\x00" + PLAIN[1:], VersionUnknown),
            "version 2": (b"\x02" + PLAIN[1:], VersionUnknown),
            "text": (b"-- PostgreSQL database dump", VersionUnknown),
            "a length of 2^63": (b"\x01" + struct.pack(">Q", 2**63) + b"x", ExportTooLarge),
            "a length of 2^64 - 1": (b"\x01" + b"\xff" * 8, ExportTooLarge),
            "a chunk of nothing": (b"\x01" + bytes(8), ExportMalformed),
            "no zlib": (b"\x01" + struct.pack(">Q", 5) + b"hello", ExportMalformed),
            "more after zlib": (b"\x01" + struct.pack(">Q", 9) + zlib.compress(b"") + b"x", ExportMalformed),
            "half of zlib": (b"\x01" + struct.pack(">Q", 4) + zlib.compress(b"")[:4], ExportMalformed),
            "a bomb": (export_of(ACCOUNT, bytes(MAX_CONTENT_BYTES + 1)), ExportTooLarge),
            "no MessagePack": (export_of(ACCOUNT, b"\x92\xc1"), ExportMalformed),
            "more after MessagePack": (export_of(ACCOUNT, msgpack.packb(ACCOUNT) + b"\x00"), ExportMalformed),
            "an array that claims 2^32 - 1": (export_of(ACCOUNT, b"\xdd" + b"\xff" * 4), ExportMalformed),
            "a text that claims 2^32 - 1": (export_of(ACCOUNT, b"\x92\xdb" + b"\xff" * 4), ExportMalformed),
            "deeply nested": (export_of(ACCOUNT, b"\x91" * 100_000), ExportMalformed),
            "text that is not UTF-8": (export_of(ACCOUNT, b"\x92\xa1\xff\x90"), ExportMalformed),
            "a name": (export_of(ACCOUNT, "License"), ExportMalformed),
            "no rows": (export_of(ACCOUNT, ["License"]), ExportMalformed),
            "rows that are no maps": (export_of(ACCOUNT, ["License", [["id", "1"]]]), ExportMalformed),
            "columns that are no texts": (export_of(ACCOUNT, ["License", [{b"id": "1"}]]), ExportMalformed),
            "a number as a name": (export_of(ACCOUNT, [1, [{"id": "1"}]]), ExportMalformed),
            "too many rows": (export_of(ACCOUNT, ["License", [{}] * (MAX_ROWS + 1)]), ExportMalformed),
            "no account": (export_of(["License", [{}]]), ExportMalformed),
            "two accounts": (export_of(["Account", [{}, {}]]), ExportMalformed),
            "an account later": (export_of(ACCOUNT, ACCOUNT), ExportMalformed),
            "an unknown extension": (export_of([msgpack.ExtType(9, b"\xa0"), []]), ExportMalformed),
            "a moment that is none": (export_of([msgpack.ExtType(1, msgpack.packb("soon")), []]), ExportMalformed),
            "a moment without a zone": (
                export_of([msgpack.ExtType(1, msgpack.packb("2026-11-27T00:49:18")), []]),
                ExportMalformed,
            ),
            "a moment before all": (
                export_of([msgpack.ExtType(1, msgpack.packb("0001-01-01T00:00:00+05:00")), []]),
                ExportMalformed,
            ),
            "an extension of bytes": (export_of([msgpack.ExtType(1, b"\xc4\x01x"), []]), ExportMalformed),
        }.values(),
    )
    def test_file_that_is_no_export_is_refused(self, export, expected):
        assert refusal(export) is expected

    def test_secrets_are_checked_before_any_row(self):
        assert refusal(ENCRYPTED) is SecretMissing
        assert refusal(ENCRYPTED, "another") is SecretWrong
        assert refusal(PLAIN, "a-secret-key") is SecretUnneeded

    def test_changed_chunk_of_an_encrypted_export_is_refused(self):
        first, second = (write_export({"Account": [{"id": "1"}], name: [{}]}, "secret") for name in ("Key", "User"))
        length = struct.unpack(">Q", first[1:9])[0]
        tampered = bytearray(zlib.decompress(first[9 + length + 8 :]))
        tampered[-1] ^= 1

        assert refusal(first[: 9 + length] + chunk(bytes(tampered)), "secret") is ExportMalformed
        assert len(read(first[: 9 + length] + second[9 + length :], "secret")) == 2

    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            # As keygen-api renews a license at the end of the calendar.
            (msgpack.ExtType(1, msgpack.packb("10000-01-31T23:59:59.000000Z")), "is not in the years 1 to 9999"),
            ({str(number): number for number in range(10_001)}, "a list or map of more than 10,000 items"),
            ("x" * (4 * 1024**2 + 1), "a text of more than 4,194,304 bytes"),
        ],
    )
    def test_value_beyond_a_limit_is_named_with_a_way_out(self, value, expected):
        with pytest.raises(ExportMalformed) as error:
            read(export_of(ACCOUNT, ["License", [{"x": value}]]))

        assert expected in error.value.detail
        assert "in keygen-api, and export again" in error.value.detail

    def test_errors_quote_nothing_of_the_file(self):
        for export in (export_of(ACCOUNT, b"\x92\xa6SECRET\x91\x01"), export_of(ACCOUNT, ["SECRET", [1]])):
            with pytest.raises(ExportUnreadable) as error:
                read(export)
            assert "SECRET" not in str(error.value)

    @pytest.mark.parametrize(
        "content",
        [
            b"\x92\xa1x" + b"\xdd\x00\x00\x27\x0f" * 500,  # arrays in arrays, each of which claims 9,999 items
            bytes(MAX_CONTENT_BYTES + 1),
        ],
    )
    def test_memory_is_bounded_by_a_chunk(self, content):
        export = export_of(ACCOUNT, content)
        tracemalloc.start()
        try:
            refusal(export)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert peak < 3 * MAX_CONTENT_BYTES

    def test_random_changes_are_read_or_refused(self):
        positions = Random(26)
        for _ in range(200):
            changed = bytearray(PLAIN[:20_000])
            for _ in range(3):
                changed[positions.randrange(len(changed))] ^= 1
            with suppress(ExportUnreadable):
                read(bytes(changed))
