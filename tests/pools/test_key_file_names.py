"""Names of columns, and the words of state columns."""

import pytest

from pools.key_files import names
from pools.key_files.headers import is_key_name
from pools.key_files.names import fold_name, is_total, says_used

pytestmark = pytest.mark.without_database

KEY_NAMES = [
    *("key", "Code", "LICENSE KEY", "license_key", "License-Key", "licenseKey", "Serial No.", "serial number:", "S/N"),
    *("voucher", "Voucher Codes", "activation code", "Product Key", "CD-Key", "Lizenzschlüssel", "LIZENZSCHLUESSEL"),
    *("Aktivierungscode", "Seriennummer", "Gutscheincode", "Clé d'activation", "clé de licence", "numéro de série"),
    *("código de activación", "Clave de producto", "Codice di attivazione", "numero seriale", "Chave de ativação"),
    *("licentiesleutel", "Activeringscode", "klucz licencyjny", "Klucz aktywacyjny", "Kod aktywacyjny", "ключ"),
    *("лицензионный ключ", "シリアル番号", "激活码"),
]
OTHER_NAMES = ["Product", "Order No.", "Kunde", "email", "Country Code", "Kundennummer", "Artikel", "Preis", "Key ID"]


def test_names_of_keys_are_known_in_any_spelling():
    assert [name for name in KEY_NAMES if not is_key_name(name)] == []
    assert [name for name in OTHER_NAMES if is_key_name(name)] == []


def test_no_name_has_two_meanings():
    kinds = [names.KEY_NAMES, names.WEAK_KEY_NAMES, names.OTHER_NAMES]
    states = [names._MARK_NAMES, names._STATUS_NAMES, names._FREE_NAMES]

    assert names.KEY_NAMES.isdisjoint(names.STATE_NAMES)
    assert names.KEY_NAMES.isdisjoint(names.OTHER_NAMES)
    assert names.WEAK_KEY_NAMES.isdisjoint(names.KEY_NAMES | names.STATE_NAMES)
    assert states[0].isdisjoint(states[1] | states[2])
    assert states[1].isdisjoint(states[2])
    assert all("" not in kind for kind in kinds + states)


def test_no_word_for_free_is_one_for_used():
    assert names._FREE_WORDS.isdisjoint(names._MARK_NAMES)
    assert names._YES.isdisjoint(names._NO)


@pytest.mark.parametrize(
    ("name", "value", "used"),
    [
        ("used", "no", False),
        ("used", "Nein", False),
        ("used", "–", False),
        ("used", "x", True),
        ("used", "2024-01-31", True),
        ("sold to", "Ann", True),
        ("status", "verfügbar", False),
        ("status", "verkauft", True),
        ("status", "eingelöst", True),
        ("status", "nicht eingelöst", False),
        ("status", "livré", True),
        ("status", "any other", True),
        ("available", "yes", False),
        ("available", "no", True),
        ("available", "0", True),
    ],
)
def test_state_says_whether_a_key_is_used(name, value, used):
    assert says_used(fold_name(name), value) is used


def test_totals_are_known():
    totals = ["Total", "TOTAL:", "Total: 20", "Summe", "Sum = 1,234", "20 rows", "(20 rows affected)", "total keys 20"]
    others = ["TOTAL-1234-ABCD", "count-0001", "Sum 1234 AAAA", "Total War", "12345678", "20", "2024 keys-of-May"]

    assert [text for text in totals if not is_total(text)] == []
    assert [text for text in others if is_total(text)] == []
