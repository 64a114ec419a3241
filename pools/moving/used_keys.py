"""Files of keys that have been used: those that were popped without a license, which the export does not tell."""

from collections.abc import Callable, Iterable
from typing import Any

from django.db import connection

from keygen_site.db.fields import mask_key
from pools.key_files import KeyFile
from pools.key_rows import RowMaker
from pools.models import UsedText
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import Stage
from pools.moving.values import encode_bytes

USED_KEYS = "used keys"


def make_used_stage() -> Stage:
    """A temporary table for the digests of used keys."""
    digest: Any = UsedText._meta.get_field("digest")
    return Stage("used", {"digest": str(digest.db_type(connection))})


def stage_used_keys(
    files: Iterable[KeyFile], stage: Stage, report: MoveReport, add_to_hash: Callable[[bytes], None]
) -> None:
    """Read files of used keys, and stage their digests. Lines that can be no keys are named in the report.

    Args:
        add_to_hash: is called with what tells these keys from others.

    Raises:
        FileUnreadable, NoKeys: a file as a whole is refused.
    """
    rows = RowMaker()
    for file in files:
        for block in file.blocks():
            digests = []
            for line in block:
                if line.reason:
                    report.count_of(USED_KEYS).read += 1
                    where = f"{file.name}:{line.number}"
                    problem = f"the key {line.reason.value}"
                    report.leave_out(Finding(USED_KEYS, where, mask_key(line.text), problem, False), problem)
                elif line.text:
                    report.count_of(USED_KEYS).read += 1
                    digests.append(rows.digest(line.text))
            for digest in digests:
                add_to_hash(digest)
            stage.write([[encode_bytes(digest)] for digest in digests])
