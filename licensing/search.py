"""The search for licenses, machines, products and policies in the console."""

from collections.abc import Callable, Collection, Sequence
from uuid import UUID

from django.db.models import QuerySet

from accounts.search import MAX_FOUND_ROWS, Found, SearchScope, find_texts, found, ids_of
from accounts.searchable import Text, searchable_of
from keygen_site.db.text_search import MIN_PART_CHARACTERS, fold
from keygen_site.db.uuids import parse_uuid
from licensing.key_spellings import (
    MAX_ENDING_LETTERS,
    MIN_ENDING_LETTERS,
    ends_with,
    has_mask,
    letters_of,
    parse_mask,
)
from licensing.models import License, Machine
from licensing.models.license_queries import HASHED_KEY_PREFIX, LicenseQuerySet

MAX_COMPARED_LICENSES = 1_000  # they are decrypted
REFERENCE = Text("reference", is_indexed=True)


def find_licenses_by_key(scope: SearchScope, text: str, spell: Callable[[], Sequence[str]]) -> list[UUID]:
    """The licenses with an id or a whole key, in likely spellings.

    Args:
        spell: returns the spellings.
    """
    licenses = scope.rows(License.objects.all())
    if (uuid := parse_uuid(text)) and (ids := ids_of(licenses.filter(pk=uuid))):
        return ids
    return (
        ids_of(licenses.with_key(text))
        or ids_of(licenses.with_hashed_key(text))
        or ids_of(licenses.with_any_key(spell()))
    )


def find_licenses(scope: SearchScope, text: str, *, may_reveal: bool, owners: Collection[UUID] = ()) -> Found:
    """The licenses with a name or reference, a part of these or of a key, or of some users.

    By the beginning of a name or reference, all licenses are searched; by other parts, the newest ones.

    Args:
        may_reveal: whether the operator may reveal keys, see `ends_with`.
        owners: the users whose licenses are found too.
    """
    licenses = scope.rows(License.objects.all())
    partial = ids_of(License.objects.filter(owner__in=owners).order_by()) if owners else []
    newest = scope.newest(License.objects.all())
    partial += _with_part_of_key(newest, text, may_reveal)
    if len(text) >= MIN_PART_CHARACTERS:
        partial += find_texts(licenses, newest, [*searchable_of(License).texts, REFERENCE], text)
    partial = partial[:MAX_FOUND_ROWS]
    # By id only: with a condition on the account, SQLite would read all of the account's licenses.
    return found(_named_exactly(License.objects.order_by(), partial, ["name", "reference"], text), partial)


def _with_part_of_key(licenses: LicenseQuerySet, text: str, may_reveal: bool) -> list[UUID]:
    """The first licenses whose key has a mask or an ending. Their keys have no index for these."""
    mask, letters = parse_mask(text), letters_of(text)
    if mask is None and not MIN_ENDING_LETTERS <= len(letters) <= MAX_ENDING_LETTERS:
        return []
    keys = licenses.values_list("pk", "key")[:MAX_COMPARED_LICENSES]
    return [
        pk
        for pk, key in keys
        if not key.startswith(HASHED_KEY_PREFIX)
        and (has_mask(key, mask) if mask else ends_with(key, text, may_reveal=may_reveal))
    ]


def find_named(scope: SearchScope, rows: QuerySet, texts: Sequence[Text], text: str) -> Found:
    """Rows of a kind of which there are not many: with an id, or with a part of one of some columns."""
    if uuid := parse_uuid(text):
        return found(ids_of(scope.rows(rows).filter(pk=uuid)), [])
    if len(text) < MIN_PART_CHARACTERS:
        return found([], [])
    partial = find_texts(scope.rows(rows), scope.newest(rows), texts, text)
    return found(_named_exactly(rows, partial, [each.column for each in texts], text), partial)


def _named_exactly(rows: QuerySet, ids: Collection[UUID], columns: Sequence[str], text: str) -> list[UUID]:
    """Those of some rows in which one of the columns is a text, in any case and without accents."""
    values = rows.filter(pk__in=ids).values_list("pk", *columns)
    return [pk for pk, *texts in values if fold(text) in map(fold, filter(None, texts))]


def find_machines(scope: SearchScope, text: str) -> Found:
    """The machines with an id or a fingerprint, or with a part of a name or fingerprint.

    By a whole fingerprint, all machines are searched; by a part, the newest ones.
    """
    machines = scope.rows(Machine.objects.all())
    if (uuid := parse_uuid(text)) and (ids := ids_of(machines.filter(pk=uuid))):
        return found(ids, [])
    exact = ids_of(machines.with_fingerprint(text))
    if len(text) < MIN_PART_CHARACTERS:
        return found(exact, [])
    newest = scope.newest(Machine.objects.all())
    partial = find_texts(machines, newest, [*searchable_of(Machine).texts, Text("hostname")], text)[:MAX_FOUND_ROWS]
    return found([*exact, *_named_exactly(Machine.objects.order_by(), partial, ["name"], text)], partial)
