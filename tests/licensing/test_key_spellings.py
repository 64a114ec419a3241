"""How keys may be typed."""

import pytest

from keygen_site.db.fields import mask_key
from licensing.key_spellings import (
    MAX_SPELLINGS,
    ending_spellings,
    ends_with,
    has_mask,
    letters_of,
    parse_mask,
    spell_key,
)
from tests.tables import each_row

pytestmark = pytest.mark.without_database

KEYS = [
    "SKL3A-BCDEF-GHIJK-LMNOP-QE54L",
    "SKL3-ABCD-EFGH-E54L",
    "C1B6DE-39A6E3-DE1529-8559A0-1A2B3C-V3",
    "a3f09c1e-77aa-4b2c-9d10-0a1b2c3d4e5f",
    "ABCDEFGH12345678",
    "abcd-efgh-1234-5678",
]
SAMPLES = [("Acme-Pro_AB12CD34", "Acme-Pro_XY98ZW76"), ("2024/ABC/DEF-1", "2024/GHI/JKL-2")]


def typed(key):
    """A key as people type it."""
    bare = "".join(filter(str.isalnum, key))
    return [key.lower(), key.upper(), bare.lower(), bare.upper(), " ".join(key.lower().split("-"))]


@each_row("key", KEYS)
def test_spellings_have_a_key_in_any_case_with_or_without_dashes(key):
    assert [text for text in typed(key) if key not in spell_key(text)] == []


@each_row("sample, key", SAMPLES)
def test_spellings_follow_the_keys_of_a_pool(sample, key):
    assert [text for text in typed(key) if key not in spell_key(text, [sample])] == []


def test_spellings_are_bounded():
    samples = [f"{'A' * n}-{'A' * (25 - n)}" for n in range(25)] * 50

    assert len(spell_key("A" * 25, samples)) <= MAX_SPELLINGS
    assert len(spell_key("A" * 1_000, samples)) <= 3
    assert spell_key("--")[0] == "--"


def test_endings_are_spelled_in_any_case_and_with_a_dash():
    endings = ending_spellings("06v3")

    for ending in ("06V3", "06v3", "6-V3", "6v-3", "-6V3"):
        assert ending in endings
    assert len(endings) < 100


def test_masks_are_recognized_as_they_are_shown_or_typed():
    for text in ("SKL3…QE4L", "skl3...qe4l", "SKL3****QE4L", " SKL3…QE4L "):
        assert parse_mask(text) == "SKL3…QE4L"
    for text in ("SKL3QE4L", "SKL3A…QE4L", "…QE4L", "a b…c", "SKL3-…"):
        assert parse_mask(text) is None or text == "SKL3-…"
    assert has_mask("SKL3A-BCDEF-GHIJK-QE4L", "SKL3…QE4L")
    assert has_mask("KEY-0001", parse_mask(mask_key("KEY-0001")))


class TestEndsWith:
    def test_an_ending_is_found_in_any_case_and_without_dashes(self):
        for text in ("e54l", "QE54L", "pqe54l", "P-QE54L"):
            assert ends_with(KEYS[0], text, may_reveal=True), text

    def test_another_ending_is_not(self):
        assert not ends_with(KEYS[0], "E54M", may_reveal=True)
        assert not ends_with(KEYS[0], "XQE54L", may_reveal=True)

    def test_who_may_not_reveal_keys_learns_no_more_than_the_mask_shows(self):
        key = KEYS[0]
        assert ends_with(key, "E54L", may_reveal=False)
        # Both are found, so the search does not tell which one is right.
        assert ends_with(key, "QE54L", may_reveal=False)
        assert ends_with(key, "XE54L", may_reveal=False)

    def test_of_a_short_key_with_fewer_characters_in_its_mask_nothing_is_learned(self):
        assert not ends_with("KEY-0001", "0001", may_reveal=False)
        assert ends_with("KEY-0001", "0001", may_reveal=True)

    def test_who_may_reveal_keys_learns_a_third_of_a_key_at_most(self):
        key = "ABCD-EFGH-IJKL-MNOP"

        learned = letters_of(key)[-4:]
        for letter in reversed(letters_of(key)[-8:-4]):
            right, wrong = (
                ends_with(key, letter + learned, may_reveal=True),
                ends_with(key, "0" + learned, may_reveal=True),
            )
            if right == wrong:
                break
            learned = letter + learned
        assert learned == "LMNOP"
