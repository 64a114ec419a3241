"""Characters that the text of a key must not have, by which way it ever comes in."""

import sys
import unicodedata

from licensing.key_texts import find_hidden_character, has_hidden_characters, hidden_character_error
from licensing.models import License
from pools.models import Key
from tests.cast import add_keys
from tests.errors import unprocessable
from tests.licensing.test_issue_license import license_document
from tests.pools.documents import key_document

# One or two of each kind: the character, and its description without the position.
HIDDEN = {
    "\t": "U+0009 TAB",
    "\n": "U+000A LINE FEED",
    "\r": "U+000D CARRIAGE RETURN",
    "\x07": "U+0007 (control character)",
    "\x1a": "U+001A SUBSTITUTE (^Z)",
    "\x85": "U+0085 NEXT LINE",
    "\xa0": "U+00A0 NO-BREAK SPACE",
    "\xad": "U+00AD SOFT HYPHEN",
    "\u034f": "U+034F COMBINING GRAPHEME JOINER",
    "\u0378": "U+0378 (unassigned)",
    "\u115f": "U+115F HANGUL CHOSEONG FILLER",
    "\u1160": "U+1160 HANGUL JUNGSEONG FILLER",
    "\u17b4": "U+17B4 KHMER VOWEL INHERENT AQ",
    "\u180b": "U+180B MONGOLIAN FREE VARIATION SELECTOR ONE",
    "\u180e": "U+180E MONGOLIAN VOWEL SEPARATOR",
    "\u1680": "U+1680 OGHAM SPACE MARK",
    "\u2003": "U+2003 EM SPACE",
    "\u200b": "U+200B ZERO WIDTH SPACE",
    "\u200d": "U+200D ZERO WIDTH JOINER",
    "\u2028": "U+2028 LINE SEPARATOR",
    "\u2029": "U+2029 PARAGRAPH SEPARATOR",
    "\u202e": "U+202E RIGHT-TO-LEFT OVERRIDE",
    "\u2060": "U+2060 WORD JOINER",
    "\u2066": "U+2066 LEFT-TO-RIGHT ISOLATE",
    "\u2800": "U+2800 BRAILLE PATTERN BLANK",
    "\u3000": "U+3000 IDEOGRAPHIC SPACE",
    "\u3164": "U+3164 HANGUL FILLER",
    "\ue000": "U+E000 (private use)",
    "\ufe0f": "U+FE0F VARIATION SELECTOR-16",
    "\ufeff": "U+FEFF ZERO WIDTH NO-BREAK SPACE",
    "\uffa0": "U+FFA0 HALFWIDTH HANGUL FILLER",
    "\ufffc": "U+FFFC OBJECT REPLACEMENT CHARACTER",
    "\ufffd": "U+FFFD REPLACEMENT CHARACTER",
    "\uffff": "U+FFFF (unassigned)",
    "\U00016fe4": "U+16FE4 KHITAN SMALL SCRIPT FILLER",
    "\U0001d159": "U+1D159 MUSICAL SYMBOL NULL NOTEHEAD",
    "\U000e0041": "U+E0041 TAG LATIN CAPITAL LETTER A",
    "\U000e0100": "U+E0100 VARIATION SELECTOR-17",
    "\U000f0000": "U+F0000 (private use)",
}
HIDDEN_CATEGORIES = {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"}
PLACES = {"{}ABCD-EFGH": 1, "ABCD{}-EFGH": 5, "ABCD-EFGH{}": 10}
VISIBLE = [
    "with blanks inside",
    "  around  ",
    "Ünïcödé-Ключ-鍵鍵-مفتاح",
    "e\u0301cole-1234",
    "a‐b–c—d−e",
    "🔑🔑🔑🔑-1234",
]


def detail_of(character, position):
    kind = "a control character" if unicodedata.category(character) == "Cc" else "a character that cannot be seen"
    return f"has {kind}, {HIDDEN[character]} at character {position}"


def invalid(topic, detail):
    return unprocessable(topic, detail, "KEY_INVALID", "/data/attributes/key")


def test_characters_are_hidden_by_their_category_and_few_others_are():
    missed, others = [], []
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        is_hidden = has_hidden_characters(character)
        if unicodedata.category(character) in HIDDEN_CATEGORIES and character != " ":
            if not is_hidden:
                missed.append(code)
        elif is_hidden:
            others.append(character)

    assert missed == []
    selectors = [each for each in others if "VARIATION SELECTOR" in unicodedata.name(each)]
    assert len(selectors) == 4 + 16 + 240
    assert [f"{ord(each):X}" for each in others if each not in selectors] == (
        ["34F", "115F", "1160", "17B4", "17B5", "2800", "3164", "FFA0", "FFFC", "FFFD", "16FE4", "1D159"]
    )


def test_a_hidden_character_is_described_at_any_place():
    found = {
        (character, place): str(find_hidden_character(place.format(character)))
        for character in HIDDEN
        for place in PLACES
    }

    assert found == {
        (character, place): f"{description} at character {position}"
        for character, description in HIDDEN.items()
        for place, position in PLACES.items()
    }


def test_a_surrogate_is_hidden_too():
    assert str(find_hidden_character("ABCD\udcff")) == "U+DCFF (surrogate) at character 5"


def test_visible_texts_are_no_error():
    assert [text for text in VISIBLE if hidden_character_error(text)] == []


def test_a_key_with_a_hidden_character_is_not_created(api, acme):
    wrong = {}
    for character in HIDDEN:
        for place, position in PLACES.items():
            text = place.format(character)
            response = api(acme.admin).post("keys", key_document(acme.policy, text))
            expected = [invalid("keys", detail_of(character, position))]
            if (response.status_code, response.json().get("errors")) != (422, expected):
                wrong[text] = response.json()

    assert wrong == {}
    assert not Key.objects.exists()


def test_a_key_is_not_changed_into_one_with_a_hidden_character(api, acme):
    (key,) = add_keys(acme.policy, "KEY-0001")
    wrong = {}
    for character in HIDDEN:
        document = {"data": {"type": "keys", "attributes": {"key": f"KEY-{character}-0002"}}}
        response = api(acme.admin).patch(f"keys/{key.pk}", document)
        expected = [invalid("keys", detail_of(character, 5))]
        if (response.status_code, response.json().get("errors")) != (422, expected):
            wrong[character] = response.json()

    key.refresh_from_db()
    assert (wrong, key.key) == ({}, "KEY-0001")


def test_a_license_is_not_created_with_a_hidden_character_in_its_key(api, acme):
    wrong = {}
    for character in HIDDEN:
        document = license_document(acme.unpooled, {"key": f"KEY-{character}-0002"})
        response = api(acme.admin).post("licenses", document)
        expected = [invalid("licenses", detail_of(character, 5))]
        if (response.status_code, response.json().get("errors")) != (422, expected):
            wrong[character] = response.json()

    assert wrong == {}
    assert not License.objects.exists()


def test_visible_texts_stay_keys(api, acme):
    for text in VISIBLE:
        assert api(acme.admin).post("keys", key_document(acme.policy, text)).status_code == 201
        document = license_document(acme.unpooled, {"key": f"{text}!"})
        assert api(acme.admin).post("licenses", document).status_code == 201

    assert set(Key.objects.values_list("key", flat=True)) == set(VISIBLE)


def test_a_nul_is_refused_before(api, acme):
    response = api(acme.admin).post("keys", key_document(acme.policy, "KEY\x00-0001"))

    assert (response.status_code, response.json()["errors"][0]["code"]) == (400, "ENCODING_INVALID")


def test_data_to_sign_may_have_line_ends(api, acme):
    policy = acme.unpooled
    policy.scheme = "ED25519_SIGN"
    policy.save(update_fields=["scheme"])

    response = api(acme.admin).post("licenses", license_document(policy, {"key": '{\n  "plan": "pro"\n}'}))

    assert response.status_code == 201
    assert response.json()["data"]["attributes"]["key"].startswith("key/")
