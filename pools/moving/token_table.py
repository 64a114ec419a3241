"""The table of tokens of keygen-api, as `\\copy (select * from tokens) to tokens.csv csv header` writes it."""

import csv
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from io import TextIOWrapper
from typing import Any, BinaryIO
from uuid import UUID

from django.contrib.contenttypes.models import ContentType

from accounts.models import Token
from accounts.moved_tokens import shorten_digest
from pools.moving.classes import BY_NAME
from pools.moving.errors import RowInvalid, TokensMissing
from pools.moving.format import Row
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import Stage, null, row_invalid, type_of
from pools.moving.values import ValueInvalid, converter_of, encode_bytes

TOKEN = "Token"  # noqa: S105 the name of the class
COLUMNS = (
    "id",
    "account_id",
    "bearer_id",
    "bearer_type",
    "created_at",
    "updated_at",
    "digest",
    "expiry",
    "name",
    "activations",
    "max_activations",
    "deactivations",
    "max_deactivations",
)
_V3, _V2 = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{128}")
_BATCH_ROWS = 1_000
_WAY_OUT = r"write it again, with \copy (select * from tokens) to tokens.csv csv header"
_FIELDS = {
    "id": "id",
    "created_at": "created",
    "updated_at": "updated",
    "bearer_id": "bearer_id",
    "name": "name",
    "expiry": "expiry",
    "activations": "activations",
    "max_activations": "max_activations",
    "deactivations": "deactivations",
    "max_deactivations": "max_deactivations",
}


class TokenStage(Stage):
    """The tokens of the account."""

    def __init__(self) -> None:
        by_name = {field.attname: field for field in Token._meta.concrete_fields}
        self._readers = [
            (column, by_name[attname], converter_of(by_name[attname])) for column, attname in _FIELDS.items()
        ]
        names = [*_FIELDS.values(), "bearer_type_id", "digest", "keygen_digest"]
        super().__init__("token", {str(by_name[name].column): type_of(by_name[name]) for name in names})
        self._bearer_types = {
            name: str(ContentType.objects.get_for_model(BY_NAME[name].model).pk)
            for name in ("User", "Product", "License")
        }

    def encode_token(self, row: Row, digest: bytes) -> list[Any]:
        """Check a row of the table, and return it in stored values.

        Raises:
            RowInvalid: a value is none of its field.
        """
        values: list[Any] = []
        column = ""
        try:
            for column, field, convert in self._readers:
                text = row[column]
                if text == "" and not field.null:
                    raise ValueInvalid("must not be empty")
                values.append(null() if text == "" else convert(_parse(text, field.get_internal_type())))
        except ValueInvalid as problem:
            raise row_invalid(TOKEN, row, column, problem) from None
        keygen_digest = encode_bytes(bytes.fromhex(row["digest"]))
        return [*values, self._bearer_types[row["bearer_type"]], encode_bytes(digest), keygen_digest]


def stage_tokens(
    stream: BinaryIO, stage: TokenStage, account_id: UUID, report: MoveReport, add_to_hash: Callable[[bytes], None]
) -> None:
    """Read the table of tokens, and stage those of an account. Those that cannot move are named in the report.

    Args:
        add_to_hash: called with bytes that identify these tokens.

    Raises:
        RowInvalid: the file is not the table, or a row of it is malformed.
        TokensMissing: the table has tokens, and none of the account.
    """
    batch, has_others = [], False
    for row in _read_rows(stream):
        if row["account_id"] != str(account_id):
            has_others = True  # the table has the tokens of all accounts
            continue
        report.count_of(TOKEN).read += 1
        add_to_hash("\0".join([*row.values(), ""]).encode())
        digest, reason = _digest_of(row)
        if reason:
            report.leave_out(Finding(TOKEN, row["id"][:36], row["name"], reason, False), reason)
        else:
            batch.append(stage.encode_token(row, digest))
        if len(batch) >= _BATCH_ROWS:
            stage.write(batch)
            batch = []
    stage.write(batch)
    if has_others and not report.count_of(TOKEN).read:
        raise TokensMissing(
            f"The table of tokens has no token of the account {account_id}: is it the table of another database? If "
            "the account has none, leave out --tokens"
        )


def _digest_of(row: Row) -> tuple[bytes, str]:
    """The digest of a token in our column, and the reason why the token cannot move, if there is one."""
    text = row["digest"]
    if row["bearer_type"] not in ("User", "Product", "License"):
        return b"", "speaks for a bearer that is not kept here"
    if _V3.fullmatch(text):
        return bytes.fromhex(text), ""
    if _V2.fullmatch(text):
        return shorten_digest(bytes.fromhex(text)), ""
    if text.startswith("$2"):
        return b"", "is of version 1, which this server cannot check: make another one"
    raise row_invalid(TOKEN, row, "digest", "must be 64 or 128 hex digits")


def _read_rows(stream: BinaryIO) -> Iterator[Row]:
    with_bom = TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    try:
        reader = csv.DictReader(with_bom, strict=True)
        missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
        if missing:
            raise RowInvalid(f"The table of tokens has no column {missing[0]}: {_WAY_OUT}")
        for row in reader:
            if None in row or None in row.values():
                raise RowInvalid(
                    f"Line {reader.line_num:,} of the table of tokens has too many or too few values: {_WAY_OUT}"
                )
            if any("\0" in value for value in row.values()):
                raise RowInvalid(
                    f"Line {reader.line_num:,} of the table of tokens contains the character NUL: {_WAY_OUT}"
                )
            yield row
    except (csv.Error, UnicodeDecodeError):
        raise RowInvalid(f"The table of tokens is not a CSV file in UTF-8: {_WAY_OUT}") from None
    finally:
        with_bom.detach()  # the caller closes the file


def _parse(text: str, kind: str) -> Any:
    try:
        if kind == "DateTimeField":
            # Without a zone, in UTC. PostgreSQL leaves out the zeros at the end of a fraction.
            moment = datetime.fromisoformat(text)
            return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
        if kind == "IntegerField":
            return int(text)
    except (ValueError, OverflowError):
        raise ValueInvalid(f"must be {'a moment' if kind == 'DateTimeField' else 'an integer'}") from None
    return text
