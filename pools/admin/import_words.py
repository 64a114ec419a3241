"""The console's words for the findings of an import."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pools.key_files import Reason
from pools.key_files.limits import MAX_KEY_CHARACTERS, MIN_KEY_CHARACTERS
from pools.models import PendingImport

REASONS = {
    Reason.REPEATED: "Twice in these keys",
    Reason.AVAILABLE: "Already in this pool",
    Reason.STILL_AVAILABLE: "Used, but available in a pool: retire it there",
    Reason.ELSEWHERE: "Already in another pool",
    Reason.POPPED: "Already handed out",
    Reason.WITHDRAWN: "Retired",
    Reason.LICENSE: "Already the key of a license",
    Reason.LICENSE_ID: "The id of a license",
    Reason.TAKEN: "Already taken in this account",
    Reason.USED: "Used before, by a key or license that was deleted",
    Reason.RESERVED: "Reserved for the server",
    Reason.TOO_SHORT: f"Shorter than {MIN_KEY_CHARACTERS} characters",
    Reason.TOO_LONG: f"Longer than {MAX_KEY_CHARACTERS:,} characters",
    Reason.BLANKS: "Space before or after the key",
    Reason.CONTROL: "Control characters in the key",
    Reason.INVISIBLE: "Invisible characters in the key",
    Reason.NOT_UTF8: "Not UTF-8: choose another encoding",
    Reason.MALFORMED: "No key in this line",
    Reason.CELLS: "More or fewer cells than the other rows",
    Reason.HEADER: "The name of a column",
    Reason.TOTAL: "A total or a count",
    Reason.USED_ROW: "Used, as another column of the row says",
    Reason.MANGLED: "Changed by a spreadsheet",
    Reason.NOT_A_TIME: "No valid time in the column popped",
}
# The result of `pools.key_files.errors.option`.
_OPTION = re.compile(r"`--(\w+)(?: ([^`]*))?` \(command\), `[^`]*` \(API\) or the field (\w+) \(console\)")
_REASONS_BY_CODE = {reason.code: words for reason, words in REASONS.items()}
# Options that let lines with a reason be added, as (value of the button, its text).
FIXES = {
    Reason.BLANKS.code: [("trim=on", "Remove the spaces")],
    Reason.USED_ROW.code: [("used_rows=used", "Add them as handed out"), ("used_rows=ignore", "Ignore that column")],
}


def describe_reasons(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The reasons of the skipped lines, with their numbers and the options that help."""
    for code, count in report.get("reasons", ()):
        yield {"words": _REASONS_BY_CODE.get(code, code), "count": count, "fixes": FIXES.get(code, [])}


def describe_skipped(report: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The first skipped lines."""
    for line, code, detail, text, *file in report.get("first_rejected", ()):
        yield {"line": line, "why": detail or _REASONS_BY_CODE.get(code, code), "text": text, "file": "".join(file)}


def describe_problem(pending: PendingImport) -> str:
    """Why the files of a pending import were refused, without the options of the command and the API."""
    if "question" in pending.report:  # the page asks it
        return pending.problem.partition(" Say w")[0]
    return _OPTION.sub(lambda found: f"the option {found[3]}{f' ({found[2]})' if found[2] else ''}", pending.problem)


def find_problem_fixes(pending: PendingImport) -> list[tuple[str, str]]:
    """The options that a problem names, as (value of the button, its text)."""
    if "question" in pending.report:
        return []
    found = _OPTION.finditer(pending.problem)
    return [(f"{each[1]}={each[2]}", f"{each[3]}: {each[2]}") for each in found if each[2] and each[2] != "NAME"]


def suggest_name(pending: PendingImport) -> str:
    """A name for an import without one: from the names of its files and the date."""
    names = [file["name"] for file in pending.given_files if file["name"]]
    day = f"{pending.created:%-d %b %Y}"
    if not names:
        return f"Pasted on {day}"
    stem = names[0].rpartition("/")[2].split(".")[0] or names[0]
    return f"{stem[:200]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}, {day}"
