"""Lines of a file of keys that are almost certainly no keys, recognized by their text."""

import re
from typing import NamedTuple

_WORDS_FOR_TOTALS = (
    "grand total|sub ?total|total|totals|sum|count|summe|gesamt|gesamtsumme|anzahl|totale|totaal|total general|suma"
    "|somme|razem|celkem|toplam|yhteensä|i alt|summa|итого|всего|合計|小計|总计|합계"
)
_NUMBER = r"(?:no\.?|nr\.?|numbers?|#)"
_WORDS_FOR_KEYS = (
    r"(?:(?:your|the|license|licence|product|activation|serial|cd|game|steam|origin|epic|gog|uplay|xbox|psn|nintendo"
    r"|retail|voucher|coupon|gift|gift card|redeem|redemption|promo|promotion|software|registration|access|unlock"
    r"|download|discount|digital|oem|windows|office)[ _-]?)*"
    rf"(?:keys?|codes?|serials?|serial[ _-]?{_NUMBER}|vouchers?|licen[sc]es?|tokens?|pins?)(?:[ _-]?{_NUMBER})?"
    r"|lizenz(?:schlüssel|schluessel|code|key|nummer)?|produkt(?:schlüssel|schluessel|code|key)"
    r"|aktivierungs(?:code|schlüssel)|serien(?:nummer|nr\.?)|gutschein(?:code|nummer)?|schlüssel"
    r"|clé(?: de (?:licence|produit|série))?|cle de licence|code d['’]activation|numéro de série"
    r"|clave(?: de (?:licencia|producto))?|código(?: de activación)?|número de serie"
    r"|chiave(?: di licenza)?|codice(?: di attivazione)?|numero di serie|licentie(?:sleutel|code)?|productcode"
    r"|chave(?: de licença)?|licensnyckel|licensnøgle|lisensnøkkel|klucz(?: licencyjny)?|ключ|ключи|код"
    r"|лицензионный ключ|серийный номер|シリアル(?:番号|コード|ナンバー)?|ライセンスキー|プロダクトキー"
    r"|序列号|激活码|注册码|密钥"
)
_UNITS = "keys?|codes?|rows?|records?|lines?|items?|licen[sc]es?|vouchers?|serials?|entries|schlüssel|zeilen|datensätze"


class LineKind(NamedTuple):
    """A kind of line that is no key.

    Attributes:
        code: of the warning.
        singular, plural: predicates of a sentence, for `Line 7 …` and `12 lines …`.
        advice: a sentence on the way out, or empty.
        is_relative: whether such a text may be a key if most of the file looks like that.
        is_only_odd: whether such a text may be a key also if every key of the file has another form.
        is_whole_group: whether some keys of a form may look like that by chance, but not all of them.
    """

    code: str
    singular: str
    plural: str
    advice: str = ""
    is_relative: bool = False
    is_only_odd: bool = False
    is_whole_group: bool = False


_EXPORT_AGAIN = "Export the keys again, with their column formatted as text."

SPREADSHEET = LineKind(
    "spreadsheet",
    "has an error or a rounded number of a spreadsheet in place of the key.",
    "have an error or a rounded number of a spreadsheet in place of the key.",
    _EXPORT_AGAIN,
)
TOTAL = LineKind("total", "is a total or a count.", "are totals or counts.")
HEADER = LineKind("header", "is a heading of a column of keys.", "are headings of a column of keys.")
LABEL = LineKind("label", "has a label before the key.", "have a label before the key.")
NO_LETTERS = LineKind("no_letters", "has no letter and no digit.", "have no letter and no digit.")
MARKUP = LineKind("markup", "is markup or part of a program.", "are markup or parts of a program.", is_only_odd=True)
SEVERAL = LineKind(
    "several_keys",
    "seems to have several keys.",
    "seem to have several keys each.",
    "Put each key on a line of its own.",
)
EMAIL = LineKind("email", "is an email address.", "are email addresses.")
BESIDE_EMAIL = LineKind(
    "email",
    "has an email address next to the key.",
    "have an email address next to the key.",
    "Import a CSV with a column for the keys.",
)
USED = LineKind("used", "says that its key is used.", "say that their keys are used.", "Remove the used keys.")
URL = LineKind("url", "is the address of a web page.", "are addresses of web pages.", is_relative=True)
DATE = LineKind(
    "mangled",
    "is a date or a time, perhaps made of a key by a spreadsheet.",
    "are dates or times, perhaps made of keys by a spreadsheet.",
    _EXPORT_AGAIN,
    is_whole_group=True,
)
CUT = LineKind(
    "mangled",
    "is hidden, cut off or empty where the key should be.",
    "are hidden, cut off or empty where the keys should be.",
    "Get the whole keys.",
)
WRONG_ENCODING = LineKind(
    "mangled",
    "was read in a wrong encoding before, with Ã¼ for ü.",
    "were read in a wrong encoding before, with Ã¼ for ü.",
    "Export the keys again, in UTF-8.",
)
MESSAGE = LineKind("words", "is a message of a program.", "are messages of a program.")
PRICE = LineKind("price", "is a price.", "are prices.", is_whole_group=True)
QUOTED = LineKind("quoted", "is in quotes.", "are in quotes.", "Remove the quotes.", is_relative=True, is_only_odd=True)
NUMBERED = LineKind(
    "numbered",
    "begins with a number or a bullet.",
    "begin with a number or a bullet.",
    is_relative=True,
    is_only_odd=True,
)
COMMENT = LineKind(
    "comment", "is a comment or a heading.", "are comments or headings.", is_relative=True, is_only_odd=True
)
DECORATED = LineKind(
    "decorated",
    "has other text next to the key.",
    "have other text next to the key.",
    "Leave only the keys that are not used yet, each alone on its line, or import a CSV with a column for the keys.",
)
WORD = LineKind("words", "is a word.", "are words.", "Leave only the keys that are not used yet.")
HEADING = LineKind("heading", "is unlike all other lines, as a heading is.", "are unlike all other lines.")
PHONE = LineKind("phone", "is a phone number.", "are phone numbers.", is_whole_group=True)
WORDS = LineKind("words", "is a line of words.", "are lines of words.", is_relative=True)

_IGNORE = re.IGNORECASE
_SPREADSHEET = re.compile(
    r"#{4,}|#(?:N/A|N/D|REF!|VALUE!|NAME\?|DIV/0!|NULL!|NUM!|SPILL!|CALC!|WERT!|BEZUG!|ZAHL!|NOM\?|VALEUR!|NOMBRE!"
    r"|VALOR!|NV(?![A-Z0-9])).*|[+-]?\d(?:[.,]\d+)?E[+-]\d{2,3}|\d{6,}[.,]0+",
    _IGNORE,
)
_TOTAL = re.compile(
    rf"(?:{_WORDS_FOR_TOTALS})(?: +[^\W\d_]+){{0,3}} *[:=]? *\(?[\d.,' ]*\)?(?:(?: +|(?<![^\W\d_]))[^\W\d_]+){{0,2}}\.?"
    rf"|\(?\d[\d.,']* +(?:{_UNITS})(?: +[^\W\d_]+){{0,3}}\)?\.?|(?:number|no\.) of (?:{_UNITS}) *[:=]? *[\d.,' ]*"
    r"|end of (?:file|list|keys|codes|report|export)\W*",
    _IGNORE,
)
_HEADER = re.compile(rf"[\"'#*\[(]?(?:{_WORDS_FOR_KEYS})[\"':*\])]*(?: *\([^)]*\))?", _IGNORE)
_LABEL = re.compile(rf"\W{{0,2}}(?:{_WORDS_FOR_KEYS})\W? *(?:[:=]|=>|->) *[\s\"'].*", _IGNORE)
_LETTER = re.compile(r"[^\W_]")
_MARKUP = re.compile(
    r"</?[a-z][a-z0-9]*(?:\s[^<>]*)?/?>.*|<[!?][a-z-]{2,}.*>|.*</[a-z]+>|-----(?:BEGIN|END) .*-----"
    r"|(?:INSERT INTO|SELECT|UPDATE|CREATE TABLE) .*",
    _IGNORE,
)
_SEVERAL = re.compile(r"([^\s,;|]{8,})(?: *[,;|] *| +)([^\s,;|]{8,}).*")
_PARTS = re.compile(r"[\s,;|]+")
_EMAIL = re.compile(r"<?[\w.+-]+@[\w-]+(?:\.[\w-]+)*\.[a-z]{2,}>?", _IGNORE)
_URL = re.compile(r"(?:https?|ftp)://\S+|www\.\S+\.\S+", _IGNORE)
_DATE = re.compile(
    r"(?:19|20)\d\d[-/.](?:0?[1-9]|1[0-2])[-/.](?:0?[1-9]|[12]\d|3[01])(?:[T ]\d\d:\d\d.*)?"
    r"|(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)\d\d(?: +\d\d:\d\d.*)?"
)
_PRICE = re.compile(r"[€$£] ?\d[\d.,]*|\d[\d.,]* ?(?:€|\$|£|EUR|USD|GBP|CHF)", _IGNORE)
_PHONE = re.compile(r"\+\d{1,3}[ ()/.-]*\d[\d ()/.-]{5,}|01[5-7]\d[/ ]\d{7,8}|\(0\d{2,5}\) ?[\d -]{4,}")
_BESIDE_EMAIL = re.compile(rf"{_EMAIL.pattern}[\s,;:|]+\S{{8,}}.*|\S.*\S{{8,}}[\s,;:|]+{_EMAIL.pattern}", _IGNORE)
_USED = re.compile(
    r"\S.{3,}?(?:\s+[-–—,;:|=/]*\s*[(\[]?|[(\[,;|]\s*)(?:already |schon |bereits )?"
    r"(?:used|sold|redeemed|taken|assigned|given away|claimed|expired|revoked|invalid|benutzt|verwendet|verkauft"
    r"|vergeben|eingelöst|abgelaufen|ungültig|utilisée?|vendue?|usad[ao]|vendid[ao]|usat[ao]|vendut[ao]|gebruikt|verkocht)"
    r"[)\].!]*(?:\s+(?:on|by|at|to|for|am|an|von|le|el|il)\b.*)?|~~.{8,}~~|(?:x|✓|✔|✗|✘|☑|☒|✅|❌)\s+\S{6,}",
    _IGNORE,
)
_NAMED_VALUE = re.compile(r"[a-z][\w.-]*\s*=\s*[^=\s].*", _IGNORE)
_NAME_OF_KEY = re.compile(r"[^=]*(?:key|code|serial|licen[sc]e|voucher)[^=]*=", _IGNORE)
_QUOTED = re.compile(r"\"[^\"]*\",?|'[^']*',?|“[^”]*”,?|„[^“”]*[“”],?|«[^»]*»,?|`[^`]*`,?")
_GUARDED = re.compile(r"'[=+@-].*|=\"[^\"]*\"")
_CUT = re.compile(
    r".*[*•●]{3,}.*|([x0?*.•])\1{2,}(?:[-_ .]\1{2,})+|(x)\2{2,}(?:[-_ .]\2{2,})+[-_ .]\S+"
    r"|\S+?[-_ .](x)\3{2,}(?:[-_ .]\3{2,})+|.*(?:…|\.\.\.)|.{0,4}….{0,4}|undefined|\[object Object\]"
    r"|(?:not |un)available|sold out|out of stock|coming soon|to be (?:announced|determined|delivered)"
    r"|your[ _-]?key[ _-]?here|change ?me",
    _IGNORE,
)
_REPEATED = re.compile(r"([^\W_])\1{3,}(?:[-_ .]\1{4,})+|([A-Z0-9]{4,})(?:[-_ .]\2){2,}")
_CUT_AT_DASH = re.compile(r"[A-Z0-9]{4,}(?:-[A-Z0-9]{4,})+-|[a-z0-9]{4,}(?:-[a-z0-9]{4,})+-")
_STATE = re.compile(
    r"(?:refund|return|reserv|block|bann|delet|remov|replac|deactivat|activat|disabl|cancell?|void|reject|chargeback)"
    r"(?:ed)?|pending|missing|unknown|storniert|erstattet|zurückgegeben|gesperrt|deaktiviert|gelöscht|reserviert"
    r"|ausverkauft|vergriffen|remboursée?|annulée?|épuisée?|reembolsad[oa]|cancelad[oa]|agotado|rimborsat[oa]|esaurito",
    _IGNORE,
)
_WRONG_ENCODING = re.compile("[ÂÃÄÅÐÑ][€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ¡-¿]|â€")
_MESSAGE = re.compile(
    r"(?:curl|wget|fatal|error|warning|exception|traceback|usage) ?[:(\w].* .*"
    r"|.*\b(?:not found|forbidden|unauthorized|bad gateway|gateway time-?out|server error|(?:access|permission) denied"
    r"|no such file|could not|cannot|timed out|service unavailable|too many requests|does not exist)\b.*",
    _IGNORE,
)
_PART_OF_FILE = re.compile(
    r"(?:From|To|Cc|Bcc|Subject|Date|Sent|Received|Reply-To|Return-Path|Message-ID|MIME-Version|Content-[\w-]+): .*"
    r"|[<>]{7} .*"
)
_NUMBERED = re.compile(r"(?:[-*•·▪►>–—+]|\d{1,7}[.)]|#\d{1,7}:?)\s+\S.*")
_COMMENT = re.compile(r"(?:[=*~_<>#-]{2,}|#|//|;|/\*)\s*[^\W_].*\s.*|([=*~_#-])\1{2,} *\w.*|\[[^\]\d]*\]|<!--.*")
_NAME = re.compile(r"[A-Z][a-z]{2,}(?:\d{0,4}[A-Z][a-z]+)*\d{0,4}[:.]?")
_WORD = re.compile(r"[(\"'„“]?[^\W\d_]+(?:['’-][^\W\d_]+)*[)\"'”“.,:;!?…]*")
_VOWEL = re.compile("[aeiouyäöüáéíóúàèìòùâêîôû]", _IGNORE)
_NO_SYLLABLE = re.compile("[bcdfghjklmnpqrstvwxz]{4}|q(?!u)|[aeiou]{4}", _IGNORE)
# Any line of any kind but those that are only odd.
_SUSPECT = re.compile(
    r"\s|^#|\dE[+-]\d|@.*\.[a-z]|://|^www|^[\W_]+$|^[^\W\d]+$|[€$£…]|\.\.\.$|\*{3}|^\d|[,;|]\S{8}", _IGNORE
)


def may_be_no_key(text: str) -> bool:
    """Whether `classify_line` has to look at a line of a file whose lines all have different forms. Fast."""
    return bool(_SUSPECT.search(text))


def classify_line(text: str) -> LineKind | None:
    """The kind of a line that is almost certainly no key, or None."""
    if _SPREADSHEET.fullmatch(text):
        return SPREADSHEET
    if _CUT.fullmatch(text):
        return CUT
    if not _LETTER.search(text):
        return NO_LETTERS
    for kind, pattern in _PATTERNS:
        if pattern.fullmatch(text):
            return kind
    if "@" in text and _BESIDE_EMAIL.fullmatch(text):
        return BESIDE_EMAIL
    if _NAMED_VALUE.fullmatch(text) and _NAME_OF_KEY.match(text):
        return LABEL
    if _has_several_keys(text):
        return SEVERAL
    if not text.isascii() and _WRONG_ENCODING.search(text):
        return WRONG_ENCODING
    if is_words(text):
        return MESSAGE if _MESSAGE.fullmatch(text) else WORDS
    return None


_PATTERNS = [
    (WORDS, _PART_OF_FILE),
    (TOTAL, _TOTAL),
    (HEADER, _HEADER),
    (LABEL, _LABEL),
    (MARKUP, _MARKUP),
    (EMAIL, _EMAIL),
    (USED, _USED),
    (URL, _URL),
    (DATE, _DATE),
    (PRICE, _PRICE),
    (PHONE, _PHONE),
    (WORD, _STATE),
    (CUT, _REPEATED),
    (CUT, _CUT_AT_DASH),
    (QUOTED, _QUOTED),
    (QUOTED, _GUARDED),
    (NUMBERED, _NUMBERED),
    (COMMENT, _COMMENT),
]


def is_words(text: str) -> bool:
    """Whether a text looks like a title or a sentence: at least two words, most of them of letters only."""
    tokens = text.split()
    if len(tokens) > 2 and text.isupper() and len(set(map(len, tokens))) == 1:
        return False  # groups of a key
    words = [token for token in tokens if _WORD.fullmatch(token)]
    parts_of_keys = sum(len(token) >= 6 and any(map(str.isdigit, token)) for token in tokens if not _NAME.match(token))
    return (
        len(tokens) > 1
        and 2 * len(words) >= len(tokens)
        and len(words) > 2 * parts_of_keys
        and any(len(word) > 2 for word in words)
    )


def is_single_word(text: str) -> bool:
    """Whether a text is one word: in a case that words have, with as many vowels as words have."""
    if not text.isalpha() or not (text.isupper() or text.islower() or text.istitle()):
        return False
    return len(_VOWEL.findall(text)) >= 0.3 * len(text) and not _NO_SYLLABLE.search(text)


def is_name(text: str) -> bool:
    """Whether a text looks like the name of a product: words, or one word with capitals where a name has them."""
    return is_words(text) or bool(_NAME.fullmatch(text))


def _has_several_keys(text: str) -> bool:
    if not (found := _SEVERAL.fullmatch(text)) or len(found[1]) != len(found[2]):
        return False
    parts = [part for part in _PARTS.split(text) if part]
    shapes = {re.sub(r"[^\W_]", "x", part) for part in parts}
    return len(shapes) == 1 and all(any(char.isdigit() for char in part) for part in parts)
