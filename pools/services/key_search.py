"""The search for keys: by their text in any spelling, their mask, or their last characters."""

from collections.abc import Callable, Sequence
from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.search import MAX_FOUND_ROWS, NOTHING, Found, SearchScope, found, ids_of
from keygen_site.db.key_digests import key_digester
from keygen_site.db.uuids import parse_uuid
from licensing.key_spellings import (
    MAX_ENDING_LETTERS,
    MIN_ENDING_LETTERS,
    ending_spellings,
    ends_with,
    has_mask,
    letters_of,
    parse_mask,
)
from licensing.models import Policy
from pools.key_files.limits import MAX_KEY_CHARACTERS
from pools.models import Key
from pools.models.keys import KeyQuerySet

MAX_SEARCHED_KEYS = 10_000  # available keys that are searched by their last characters: they have no such index
MAX_COMPARED_KEYS = 1_000  # of each state: they are decrypted
MAX_SAMPLED_POOLS = 500


def find_keys(scope: SearchScope, text: str, *, spell: Callable[[], Sequence[str]], may_reveal: bool) -> Found:
    """The keys with an id, a text, a mask or an ending.

    By their text, all keys are searched, in likely spellings; used keys in any spelling. By the last characters, all
    used keys and the first MAX_SEARCHED_KEYS available ones.

    Args:
        spell: returns likely spellings of the text.
        may_reveal: whether the operator may reveal keys, see `ends_with`.
    """
    keys = scope.rows(Key.objects.published())
    if len(text) > MAX_KEY_CHARACTERS:
        return NOTHING
    if exact := ids_of(keys.with_key(text)):
        return found(exact, [])
    if uuid := parse_uuid(text):
        if exact := ids_of(keys.filter(pk=uuid)):
            return found(exact, [])
    elif mask := parse_mask(text):
        return found([], [pk for pk, key in _candidates(keys, mask.rpartition("…")[2]) if has_mask(key, mask)])
    if exact := ids_of(keys.filter(key__in=spell())):
        return found(exact, [])
    letters = letters_of(text)
    if len(letters) < MIN_ENDING_LETTERS:
        return NOTHING
    partial: list[UUID] = []
    for pk, key in _candidates(keys, text):
        if letters_of(key) == letters:
            exact.append(pk)
        elif len(letters) <= MAX_ENDING_LETTERS and ends_with(key, text, may_reveal=may_reveal):
            partial.append(pk)
    return found(exact[:MAX_FOUND_ROWS], partial[:MAX_FOUND_ROWS])


def sample_keys(scope: SearchScope) -> list[str]:
    """Keys of the newest pools, which show how their keys are written."""
    keys = Key.objects.for_policy(OuterRef("pk"))
    pools = (
        scope.rows(Policy.objects.filter(use_pool=True))
        .order_by("-pk")
        .values_list(
            Subquery(keys.filter(popped=None, withdrawn=None).values("key")[:1]),
            Subquery(
                Key.objects.filter(policy=OuterRef("pk"), popped__isnull=False).order_by("-popped").values("key")[:1]
            ),
        )
    )
    return list({key for pair in pools[:MAX_SAMPLED_POOLS] for key in pair if key})


def _candidates(keys: KeyQuerySet, text: str) -> list[tuple[UUID, str]]:
    """The ids and texts of keys that may end with a text."""
    used = keys.used()
    available = keys.available()
    if len(letters_of(text)) < MIN_ENDING_LETTERS and len(text) < MIN_ENDING_LETTERS:
        # The mask of a short key shows fewer characters than an ending has.
        return [*_texts(used), *_texts(available)]
    digester = key_digester()
    endings = {digester.ending(each) for each in [text, *ending_spellings(text)]}
    # Compared here, first without the ids, which take longer: the database would scan all keys.
    some = available[:MAX_SEARCHED_KEYS]
    same: list[UUID] = []
    if not endings.isdisjoint(some.values_list("ending", flat=True)):
        same = [pk for pk, ending in some.values_list("pk", "ending") if ending in endings][:MAX_COMPARED_KEYS]
    return [*_texts(used.filter(ending__in=endings)), *_texts(Key.objects.filter(pk__in=same))]


def _texts(keys: QuerySet) -> list[tuple[UUID, str]]:
    return list(keys.order_by().values_list("pk", "key")[:MAX_COMPARED_KEYS])
