"""Files of keys that have been used: those that were popped without a license, which the export does not tell."""

from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any

from django.db import connection

from keygen_site.db.key_digests import key_digester
from keygen_site.wording import count_of
from pools.key_files import KeyFile, Line, fold_spelling
from pools.key_files.warnings import FileProfile
from pools.models import UsedText
from pools.moving.errors import UsedKeysUncertain
from pools.moving.reports import Finding, MoveReport
from pools.moving.staging import Stage, integer_value
from pools.moving.values import encode_bytes
from pools.services.import_chunks import CHUNK_LINES

USED_KEYS = "used keys"


def make_used_stage() -> Stage:
    """A temporary table for used texts. The spelling is null if only the digest is known."""
    digest: Any = UsedText._meta.get_field("digest")
    return Stage("used", {"digest": str(digest.db_type(connection)), "spelling": "bigint", "kind": "varchar(8)"})


def stage_used_keys(
    files: Iterable[KeyFile],
    stage: Stage,
    report: MoveReport,
    add_to_hash: Callable[[bytes], None],
    *,
    accept_warnings: bool = False,
) -> None:
    """Read files of used keys, and stage their digests.

    A file is refused where `import_keys` refuses it: a line that is misread would leave its key on sale.

    Args:
        add_to_hash: called with bytes that identify these keys.
        accept_warnings: read a file even if some lines are almost certainly no keys.

    Raises:
        FileUnreadable, NoKeys: a file as a whole is refused.
        UsedKeysUncertain: some lines of a file cannot be read as keys, or are almost certainly none.
    """
    digester = key_digester()
    for file in files:
        profile = FileProfile(0, is_text=file.understood.kind == "text")
        faults: list[Line] = []
        fault_count, lines = 0, iter(file)
        while chunk := list(islice(lines, CHUNK_LINES)):
            texts: dict[str, int] = {}
            for line in chunk:
                if line.reason:
                    fault_count += 1
                    faults = faults or [line]
                elif line.text:
                    report.count_of(USED_KEYS).read += 1
                    texts.setdefault(line.text, line.number)
            profile.add(list(texts), list(texts.values()))
            rows = []
            for text in texts:
                digest = digester.digest(text)
                add_to_hash(digest)
                spelling = integer_value(digester.number(fold_spelling(text)))
                rows.append([encode_bytes(digest), spelling, str(UsedText.Kind.KEY)])
            stage.write(rows)
        if faults:
            raise UsedKeysUncertain(_about_faults(file.name, faults[0], fault_count))
        warnings = profile.warnings()
        if not accept_warnings and (found := " ".join(each.message for each in warnings if each.is_serious)):
            raise UsedKeysUncertain(
                f"Nothing was changed. {file.name}: {found} Correct the file or, if these lines are keys, repeat the "
                "command with --accept-warnings"
            )
        for warning in warnings:
            line_number = f":{warning.lines[0]}" if warning.lines else ""
            report.find(Finding(USED_KEYS, f"{file.name}{line_number}", "", warning.message, True))


def _about_faults(name: str, first: Line, count: int) -> str:
    """The sentences about lines that cannot be read as keys. They do not quote the lines."""
    assert first.reason
    detail = f" ({first.detail})" if first.detail else ""
    way_out = "Correct or remove such lines"
    if first.reason.code == "blanks":
        way_out = "Remove the blanks, or repeat the command with --trim"
    others = "" if count == 1 else f", the first of {count_of(count, 'such line')}"
    return (
        f"Nothing was changed. {name}: line {first.number:,} cannot be read as a key{others}: the key "
        f"{first.reason.value}{detail}. {way_out}"
    )
