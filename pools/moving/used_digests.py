"""The file of used texts of which only digests are known: those of deleted keys, and of keys that were used elsewhere.

Its first lines identify the account, the digest key of the database, without which the digests are useless, and the
number of used keys with known texts, which are in the file of `--used-keys`.
"""

import csv
import re
from collections.abc import Callable, Iterator
from io import TextIOWrapper
from typing import BinaryIO, TextIO
from uuid import UUID

from accounts.models import Account
from keygen_site.db.key_digests import key_digester
from keygen_site.wording import count_of
from pools.models import UsedText
from pools.moving.errors import UsedKeysUncertain
from pools.moving.exporting import batches
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import Stage, null
from pools.moving.unexported import blocked_texts, used_keys
from pools.moving.used_keys import USED_KEYS
from pools.moving.values import encode_bytes

USED_DIGESTS = "used digests"
HEADER, END = ("keygen used digests", "1"), "end"
_DIGEST = re.compile(r"[0-9a-f]{64}")
_BATCH_ROWS = 1_000
_WITHOUT = "With --accept-unmarked it is imported, and such keys can enter a pool again"


def write_used_digests(account: Account, out: TextIO) -> int:
    """Write the used texts of which only digests are known. Returns their number."""
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(HEADER)
    lines.writerow(("account", account.pk))
    lines.writerow(("digest key", key_digester().identity))
    lines.writerow((USED_KEYS, used_keys(account).count()))
    count = 0
    for texts in batches(blocked_texts(account).order_by("pk")):
        lines.writerows((text.kind, bytes(text.digest).hex()) for text in texts)
        count += len(texts)
    lines.writerow((END, count))
    return count


def stage_used_digests(
    stream: BinaryIO,
    stage: Stage,
    account_id: UUID,
    report: MoveReport,
    add_to_hash: Callable[[bytes], None],
    *,
    accept_unmarked: bool,
) -> None:
    """Read the file of used digests, after the files of used keys, and stage the digests.

    Args:
        accept_unmarked: import the account even if used keys cannot be marked.

    Raises:
        UsedKeysUncertain: the file is none or is cut off, it is another account's, a file of used keys is missing, or
            the digests are of another digest key.
    """
    rows = _read_rows(stream)
    head = dict(next(rows, ("", "")) for _ in range(4))
    if not head.get(USED_KEYS, "").isdecimal():
        raise UsedKeysUncertain("The file of --used-digests was not written by export_account --used-digests")
    if head.get("account") != str(account_id):
        raise UsedKeysUncertain("The file of --used-digests is of another account")
    expected, given = int(head[USED_KEYS]), report.count_of(USED_KEYS).kept
    if given < expected and not accept_unmarked:
        raise UsedKeysUncertain(
            f"The account had {count_of(expected, 'used key')} without a license, and the files of --used-keys have "
            f"{given:,}. Give the one of the same export_account. {_WITHOUT}"
        )
    is_known = head.get("digest key") == key_digester().identity
    count, batch = report.count_of(USED_DIGESTS), []
    for kind, digest in rows:
        count.read += 1
        if is_known:
            add_to_hash(f"{kind}{digest}".encode())
            batch.append([encode_bytes(bytes.fromhex(digest)), null(), kind])
        if len(batch) >= _BATCH_ROWS:
            stage.write(batch)
            batch = []
    stage.write(batch)
    if is_known or not count.read:
        return
    if not accept_unmarked:
        raise UsedKeysUncertain(
            f"Of {count_of(count.read, 'used key')} only digests are known, and another server's digests cannot be "
            "checked here. Give the texts with --used-keys, e.g. the files of your earlier imports, and say "
            "--accept-unmarked: those that are not in these files can enter a pool again"
        )
    reason = "cannot be checked here: digests of another server"
    count.left_out[reason] += count.read
    problem = f"of {count.read:,} used keys only digests of another server are known: they are not marked here"
    report.find(Finding(USED_DIGESTS, "", "", problem, False))


def _read_rows(stream: BinaryIO) -> Iterator[tuple[str, str]]:
    """The rows without the last one, which has the number of those with digests.

    Raises:
        UsedKeysUncertain: the file is malformed, or its end is missing.
    """
    text = TextIOWrapper(stream, encoding="utf-8", newline="")
    count, number = 0, 0
    try:
        for number, row in enumerate(csv.reader(text, strict=True), 1):
            if number == 1 and tuple(row) != HEADER:
                raise UsedKeysUncertain("The file of --used-digests was not written by export_account --used-digests")
            if number > 4 and row == [END, str(count)]:
                return
            if len(row) != 2 or (number > 4 and (row[0] not in UsedText.Kind.values or not _DIGEST.fullmatch(row[1]))):
                raise UsedKeysUncertain(f"Line {number:,} of the file of --used-digests is malformed: copy it again")
            count += number > 4
            yield row[0], row[1]
    except (csv.Error, UnicodeDecodeError):
        raise UsedKeysUncertain("The file of --used-digests is not one of export_account --used-digests") from None
    finally:
        if not stream.closed:
            text.detach()  # the caller closes the file
    raise UsedKeysUncertain("The file of --used-digests ends too early: copy it again")


def refuse_unmarked() -> None:
    """Refuse an export of this server without the file of its used texts.

    Raises:
        UsedKeysUncertain: always.
    """
    raise UsedKeysUncertain(
        "The export is one of export_account, which knows keys that were used without a license: give the files of its "
        f"options --used-keys and --used-digests. {_WITHOUT}"
    )
