"""Rejected lines of an import: the reason of each in words that a shopkeeper understands, and the CSV of them."""

import sys
from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from accounts.audit import AuditContext
from keygen_site.db.key_digests import key_digest
from licensing.models import License, Policy
from pools.key_files import Reason, defuse_formula
from pools.models import Key, KeyEvent

REJECTED_COLUMNS = ("file", "line", "code", "reason", "text")
MAX_REMEMBERED_LINES = 200_000  # 12 bytes each
_TEXTS_PER_QUERY = 500
_DIGEST_PART = 8  # bytes of a digest that tell the keys of a file apart
_SCAN_AT_LEAST = 20  # searching that many digests one by one is slower than a scan
# Another key or a license has the text, or had it. Other reasons are faults of the line.
TAKEN_REASONS = frozenset(
    {
        Reason.REPEATED,
        Reason.AVAILABLE,
        Reason.STILL_AVAILABLE,
        Reason.ELSEWHERE,
        Reason.POPPED,
        Reason.WITHDRAWN,
        Reason.LICENSE,
        Reason.LICENSE_ID,
        Reason.USED,
        Reason.TAKEN,
    }
)
_EXPLAINED = TAKEN_REASONS - {Reason.LICENSE_ID, Reason.TAKEN}
_TOLD_EVENTS = (KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED, KeyEvent.Event.WITHDRAWN)


class Rejection(NamedTuple):
    """A line that was not added.

    Attributes:
        file: the index of the file.
        line: the number of the line, from 1. None if a license got the text during the import, which is found out at
            the end, when the lines are gone.
        detail: a sentence with the reason and the details of this line; empty without details.
    """

    file: int
    line: int | None
    text: str
    reason: Reason
    detail: str = ""

    @property
    def sentence(self) -> str:
        """The reason in words for a shopkeeper, e.g. `Already handed out on 26 Nov 2026 for Order 10021`."""
        return self.detail or f"The key {self.reason.value}"


def rejected_row(rejection: Rejection, file: str) -> list[str]:
    """The cells of a rejected line in a CSV, by REJECTED_COLUMNS. No spreadsheet runs one of them as a formula."""
    line = "" if rejection.line is None else str(rejection.line)
    cells = [file, line, rejection.reason.code, rejection.sentence, rejection.text]
    return [defuse_formula(cell) for cell in cells]


class SeenLines:
    """The lines of the keys read so far: 12 bytes for each, up to MAX_REMEMBERED_LINES."""

    def __init__(self) -> None:
        self._parts, self._lines = bytearray(), array("I")
        self._files: list[tuple[int, int]] = []  # the index of the first key of each file, and the file

    def add(self, file: int, digests: Iterable[bytes], lines: Iterable[int]) -> None:
        """Add the keys of some lines of a file, in their order."""
        if len(self._lines) < MAX_REMEMBERED_LINES:
            if not self._files or self._files[-1][1] != file:
                self._files.append((len(self._lines), file))
            self._parts += b"".join([each[:_DIGEST_PART] for each in digests])
            self._lines.extend(lines)

    def find(self, digests: Sequence[bytes]) -> dict[bytes, tuple[int, int]]:
        """The file and the line of the first key with each digest; those of unknown ones are left out."""
        parts = {each[:_DIGEST_PART]: each for each in digests}
        places = self._search(parts) if len(parts) < _SCAN_AT_LEAST else self._scan(parts)
        return {parts[part]: (self._file_of(index), self._lines[index]) for part, index in places.items()}

    def _search(self, parts: Iterable[bytes]) -> dict[bytes, int]:
        places = {}
        for part in parts:
            at = self._parts.find(part)
            while at % _DIGEST_PART and at >= 0:
                at = self._parts.find(part, at + 1)
            if at >= 0:
                places[part] = at // _DIGEST_PART
        return places

    def _scan(self, parts: Iterable[bytes]) -> dict[bytes, int]:
        numbers = {int.from_bytes(part, sys.byteorder): part for part in parts}
        places: dict[bytes, int] = {}
        with memoryview(self._parts) as view, view.cast("Q") as known:
            for index, number in enumerate(known):
                if number in numbers:
                    places.setdefault(numbers[number], index)
        return places

    def _file_of(self, index: int) -> int:
        return next(file for first, file in reversed(self._files) if first <= index)


class Explainer:
    """Adds details from the database to rejections.

    Args:
        policy: the policy of the import.
        audit: the author of the import. A product learns nothing of the pools of other products.
        seen: the lines read so far.
        names: the names of the files, if they have any.
    """

    def __init__(self, policy: Policy, audit: AuditContext, seen: SeenLines, names: Sequence[str] = ()) -> None:
        self._account, self._seen, self._names = policy.account, seen, names
        self._product_id = audit.bearer_id if audit.bearer_type == "products" else None

    def explain(self, rejections: Sequence[Rejection]) -> list[Rejection]:
        """The same rejections with details, in a few queries."""
        explained: list[Rejection] = []
        for start in range(0, len(rejections), _TEXTS_PER_QUERY):
            explained += self._explain_batch(rejections[start : start + _TEXTS_PER_QUERY])
        return explained

    def conceal(self, refused: dict[bytes, Reason]) -> dict[bytes, Reason]:
        """The same reasons, by digest; for a product, `TAKEN` in place of all that are not about its own keys."""
        if self._product_id is None:
            return refused
        told = {each for each, reason in refused.items() if reason in (Reason.REPEATED, Reason.AVAILABLE)}
        asked = [each for each, reason in refused.items() if each not in told and reason != Reason.LICENSE_ID]
        for start in range(0, len(asked), _TEXTS_PER_QUERY):
            digests = asked[start : start + _TEXTS_PER_QUERY]
            told |= {bytes(key.digest) for key in self._keys(digests)}
            told |= {bytes(license.digest) for license in self._licenses(digests)}
            told |= self._events(digests).keys()
        return {each: reason if each in told else Reason.TAKEN for each, reason in refused.items()}

    def same_as(self, first: tuple[int, int], file: int) -> str:
        """The detail of a line of a file that has the text of an earlier line, given by its file and number."""
        name = "" if first[0] == file else f" of {self._names[first[0]] or f'file {first[0] + 1}'}"
        return f"Same as line {first[1]:,}{name}"

    def used_as(self, used: tuple[int, int], file: int) -> str:
        """The detail of a free row of a file whose key another row calls used, given by its file and number."""
        return f"The key is used: {self.same_as(used, file).replace('Same as l', 'l')} says so"

    def _explain_batch(self, rejections: Sequence[Rejection]) -> list[Rejection]:
        wanted = {key_digest(each.text): each for each in rejections if not each.detail and each.reason in _EXPLAINED}
        if not wanted:
            return list(rejections)
        first_lines = self._seen.find([key for key, each in wanted.items() if each.reason == Reason.REPEATED])
        in_database = [key for key, each in wanted.items() if each.reason != Reason.REPEATED]
        keys = {bytes(key.digest): key for key in self._keys(in_database)}
        licenses = {bytes(license.digest): license for license in self._licenses(in_database)}
        events = self._events(in_database)

        def detail(each: Rejection, text: bytes) -> str:
            if each.reason == Reason.REPEATED:
                return self.same_as(first_lines[text], each.file) if text in first_lines else ""
            if each.reason == Reason.LICENSE:
                return _describe_license(licenses[text]) if text in licenses else ""
            if each.reason == Reason.USED:
                history = _describe_use(events.get(text, {}))
                return f"{history}; the key has been deleted since" if history else ""
            return _describe_key(keys[text], each.reason, events.get(text, {})) if text in keys else ""

        return [
            each._replace(detail=detail(each, key_digest(each.text)))
            if not each.detail and each.reason in _EXPLAINED
            else each
            for each in rejections
        ]

    def _keys(self, digests: Sequence[bytes]) -> Iterable[Key]:
        keys = Key.objects.filter(account=self._account, digest__in=digests).select_related("policy", "key_import")
        return keys.filter(policy__product=self._product_id) if self._product_id else keys

    def _licenses(self, digests: Sequence[bytes]) -> Iterable[License]:
        licenses = License.objects.filter(account=self._account, digest__in=digests)
        return licenses.filter(product=self._product_id) if self._product_id else licenses

    def _events(self, digests: Sequence[bytes]) -> dict[bytes, dict[str, KeyEvent]]:
        """The last event of each kind, by digest."""
        events = KeyEvent.objects.filter(account=self._account, key_digest__in=digests, event__in=_TOLD_EVENTS)
        if self._product_id:
            events = events.filter(product=self._product_id)
        found: dict[bytes, dict[str, KeyEvent]] = {}
        for event in events.order_by("created", "id"):
            found.setdefault(bytes(event.key_digest or b""), {})[event.event] = event
        return found


def _describe_key(key: Key, reason: Reason, events: dict[str, KeyEvent]) -> str:
    match reason:
        case Reason.AVAILABLE:
            name = f", from the import {key.key_import}" if key.key_import and key.key_import.name else ""
            return f"Already in this pool since {_day(key.created)}{name}"
        case Reason.ELSEWHERE:
            return f"Already in the pool {key.policy.name}"
        case Reason.STILL_AVAILABLE:
            return f"Available in the pool {key.policy.name}, although it was used: withdraw it there"
        case Reason.POPPED if key.disclosure == Key.Disclosure.USED and key.popped:
            return f"Already used in another system on {_day(key.popped)}"
        case Reason.POPPED if key.popped:
            return _describe_use(events) or f"Already handed out on {_day(key.popped)}"
        case Reason.WITHDRAWN if key.withdrawn:
            event = events.get(KeyEvent.Event.WITHDRAWN)
            cause = (event.details or {}).get("reason") if event else None
            return f"Withdrawn on {_day(key.withdrawn)}{f': {cause}' if cause else ''}"
    return ""


def _describe_use(events: dict[str, KeyEvent]) -> str:
    uses = [events[each] for each in (KeyEvent.Event.POPPED, KeyEvent.Event.ISSUED) if each in events]
    if not uses:
        return ""
    last = max(uses, key=lambda event: event.created)
    license = " with a license" if last.event == KeyEvent.Event.ISSUED else ""
    return f"Already handed out on {_day(last.created)}{license}{f' for {last.reference}' if last.reference else ''}"


def _describe_license(license: License) -> str:
    return f"Already the key of {f'the license {license.name}' if license.name else 'a license'}, created on " + _day(
        license.created
    )


def _day(time: datetime) -> str:
    """For example `26 Nov 2026`, in UTC."""
    return f"{time.day} {time:%b %Y}"
