"""Warnings about files of keys: features that all lines share, odd lines, and files of good keys, which get none."""

import base64
import random
import re
import uuid

from pools.key_files.warnings import FileProfile

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
# Good files whose lines differ so much that some are odd.
MIXED = {"groups of letters", "mixed sizes", "eight digits", "short hexadecimal"}
CHUNK = 7  # so that few lines are several chunks


def steam(count, seed=1, groups=3):
    """Keys such as `7KQ2M-XPW9R-AB3DE`."""
    source = random.Random(seed)
    return ["-".join("".join(source.choices(ALPHABET, k=5)) for _ in range(groups)) for _ in range(count)]


def warnings_of(texts, pool=(), chunk=CHUNK):
    profile = FileProfile()
    for start in range(0, len(texts), chunk):
        numbers = range(start + 1, start + 1 + len(texts[start : start + chunk]))
        profile.add(texts[start : start + chunk], list(numbers))
    return profile.warnings(pool)


def codes_of(texts, pool=()):
    return [(each.code, each.is_serious, each.count, each.lines) for each in warnings_of(texts, pool)]


def among(odd, count=20, at=10):
    """Good keys with another line or others among them."""
    keys = steam(count)
    return keys[:at] + ([odd] if isinstance(odd, str) else odd) + keys[at:]


def by_turns(first, second):
    return [each for pair in zip(first, second, strict=True) for each in pair]


def words(count, seed=2):
    source = random.Random(seed)
    vocabulary = re.findall(
        r"\w+", "correct horse battery staple river window planet copper yellow market silver garden"
    )
    return [" ".join(source.choices(vocabulary, k=4)) for _ in range(count)]


def bytes_of(size, seed):
    return random.Random(seed).randbytes(size)


def signed(count):
    return [
        "key/"
        + base64.urlsafe_b64encode(bytes_of(40 + each % 7, each)).decode()
        + "."
        + base64.urlsafe_b64encode(bytes_of(64, each + 1)).decode()
        for each in range(count)
    ]


GOOD = {
    "steam keys": steam(50),
    "one key": steam(1),
    "two keys": steam(2),
    "numbered keys": [f"KEY-{number:04}" for number in range(1, 40)],
    "steam keys of two lengths": steam(30) + steam(10, groups=5),
    "steam keys of two lengths by turns": by_turns(steam(20), steam(20, groups=5)),
    "UUIDs": [str(uuid.UUID(bytes=bytes_of(16, each))) for each in range(50)],
    "UUIDs in braces": [f"{{{str(uuid.UUID(bytes=bytes_of(16, each))).upper()}}}" for each in range(50)],
    "UUIDs and steam keys": [str(uuid.UUID(bytes=bytes_of(16, each))) for each in range(20)] + steam(20),
    "hexadecimal": [bytes_of(16, each).hex() for each in range(200)],
    "short hexadecimal": [bytes_of(4, each).hex().upper() for each in range(3000)],
    "digits": [str(random.Random(each).randrange(10**15, 10**16)) for each in range(100)],
    "long digits": [str(random.Random(each).randrange(10**19, 10**20)) for each in range(100)],
    "eight digits": [f"{random.Random(each).randrange(10**8):08}" for each in range(2000)],
    "words": words(60),
    "two words": [" ".join(each.split()[:2]) for each in words(60)],
    "words with dashes": [each.replace(" ", "-") for each in words(60)],
    "words with a number": [f"{each.replace(' ', '.')}.{len(each)}" for each in words(60)],
    "words with capitals": [each.title() for each in words(60)],
    "keys with spaces": [each.replace("-", " ") for each in steam(400)],
    "keys of letters with spaces": [
        " ".join("".join(random.Random(f"{each} {part}").choices(ALPHABET[:24], k=4)) for part in range(4))
        for each in range(200)
    ],
    "signed keys": signed(60),
    "base64": [base64.b64encode(bytes_of(30, each)).decode() for each in range(200)],
    "short base64": [base64.b64encode(bytes_of(9, each)).decode() for each in range(3000)],
    "JSON web tokens": [
        f"eyJhbGciOiJSUzI1NiJ9.{base64.urlsafe_b64encode(bytes_of(60, each)).decode()}."
        f"{base64.urlsafe_b64encode(bytes_of(90, each + 9)).decode()}"
        for each in range(40)
    ],
    "addresses": [f"https://shop.example/redeem?code={each}" for each in steam(40)],
    "addresses of several hosts": [f"https://{each[:3].lower()}.example/{each}" for each in steam(40)],
    "one address": ["https://shop.example/redeem?code=7KQ2M"],
    "addresses and keys": [f"https://shop.example/redeem?code={each}" for each in steam(20)] + steam(20, 5),
    "keys of unequal groups": [f"{each[:5]}{each[6:11]} {each[12:15]}" for each in steam(20)],
    "keys of digits in unequal groups": [f"{each[:4]} {each[4:12]}" for each in map(str, range(10**11, 10**12, 37**7))],
    "a few keys of groups": ["U3VYU FHW8L", "C29KH XMTKT", "E6E8J GWEXZ", "TH2DC XHNCX"],
    "keys of letters by turns": ["MBBXGECJGE", "ATJXYZTXCAB", "WWLDUCTLKK", "AAJXYZTXCABD", "MBAXGECJGE", "TJXYZTXCA"],
    "numbers that end with zero": ["3444518446879700", "6407105044013110", "1407105044013110"],
    "groups of letters": ["THHC NFNX DDND LFTY", *steam(5)],
    "in brackets": [f"[{each[:5]}{each[6:10]}]" for each in steam(20)] + steam(20, 5),
    "mixed sizes": [text[: 8 + index % 20].rstrip("-") for index, text in enumerate(steam(100, groups=6))],
    "lower case": [each.lower() for each in steam(50)],
    "mixed case": [
        "".join(random.Random(each).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=12))
        for each in range(2000)
    ],
    "passwords": ["".join(random.Random(each).choices([chr(c) for c in range(33, 127)], k=14)) for each in range(3000)],
    "exponents without a sign": [f"2E100000{each:02}" for each in range(70, 99)],
    "with a prefix": [f"ACME-PRO-{each}" for each in steam(30)],
    "with a label that belongs to them": [f"LIC:{each}" for each in steam(30)],
    "with a suffix": [f"{each}-EU" for each in steam(30)],
    "running number first": [f"{number:06}-{each}" for number, each in enumerate(steam(30), 1)],
    "versions": [f"1.{number}.{each}" for number, each in enumerate(steam(30), 1)],
    "dates inside": [f"2026-{number:02}-{each}" for number, each in enumerate(steam(12), 1)],
    "digits like dates": [f"{random.Random(each).randrange(10**8):08}" for each in range(3000)],
    "digits in groups like dates": [
        f"{number // 10000:04}-{number // 100 % 100:02}-{number % 100:02}"
        for number in (random.Random(each).randrange(10**8) for each in range(3000))
    ],
    "umlauts": [f"SCHLÜSSEL-{number:04}" for number in range(30)],
    "another alphabet": [f"КЛЮЧ-{number:04}" for number in range(30)],
    "Japanese": [f"鍵鍵鍵鍵鍵-{number:04}" for number in range(30)],
    "signs": [f"$%@#?+{each}" for each in steam(30)],
    "dashes only between": [f"TOTAL-{each}" for each in steam(30)],
    "names of games as prefixes": [f"Minecraft-{each}" for each in steam(30)],
}

SERIOUS = {
    # All lines
    "double quotes": ([f'"{each}"' for each in steam(20)], ("quoted", 20, 1)),
    "single quotes": ([f"'{each}'" for each in steam(20)], ("quoted", 20, 1)),
    "typographic quotes": ([f"„{each}“" for each in steam(20)], ("quoted", 20, 1)),
    "one line in quotes": ([f'"{each}"' for each in steam(1)], ("quoted", 1, 1)),
    "a list of a program": ([*(f'"{each}",' for each in steam(19)), f'"{steam(1, 3)[0]}"'], ("quoted", 20, 1)),
    "trailing commas": ([f"{each}," for each in steam(20)], ("trailing_separator", 20, 1)),
    "trailing commas but the last": ([*(f"{each}," for each in steam(5)), *steam(1, 3)], ("trailing_separator", 6, 1)),
    "trailing semicolons": ([f"{each};" for each in steam(20)], ("trailing_separator", 20, 1)),
    "numbers with dots": ([f"{n}. {each}" for n, each in enumerate(steam(20), 1)], ("numbered", 20, 1)),
    "numbers with parentheses": ([f"{n}) {each}" for n, each in enumerate(steam(20), 1)], ("numbered", 20, 1)),
    "numbers with colons": ([f"{n}: {each}" for n, each in enumerate(steam(20), 1)], ("numbered", 20, 1)),
    "numbers with blanks": ([f"{n:03} {each}" for n, each in enumerate(steam(20), 1)], ("numbered", 20, 1)),
    "numbers with signs": ([f"#{n} {each}" for n, each in enumerate(steam(20), 1)], ("numbered", 20, 1)),
    "dashes before": ([f"- {each}" for each in steam(20)], ("bulleted", 20, 1)),
    "stars before": ([f"* {each}" for each in steam(20)], ("bulleted", 20, 1)),
    "bullets before": ([f"• {each}" for each in steam(20)], ("bulleted", 20, 1)),
    "a label": ([f"Key: {each}" for each in steam(20)], ("label", 20, 1)),
    "a label without a colon": ([f"Key {each}" for each in steam(20)], ("label", 20, 1)),
    "a label of a name": ([f"My Great Game - {each}" for each in steam(20)], ("label", 20, 1)),
    "a label with an arrow": ([f"Steam -> {each}" for each in steam(20)], ("label", 20, 1)),
    "rows with semicolons": ([f"{each};Game;2027-01-01" for each in steam(20)], ("columns", 20, 1)),
    "rows with bars": ([f"{each}|Meier" for each in steam(20)], ("columns", 20, 1)),
    "rows with commas": ([f"{each},Game" for each in steam(20)], ("columns", 20, 1)),
    "rounded numbers": ([f"{7712345678901230000 + n * 10000}" for n in range(20)], ("rounded", 20, 1)),
    "names and keys": (
        [each for n, key in enumerate(steam(9), 1) for each in (f"Great Game {n}", key)],
        ("turns", 9, 1),
    ),
    "keys and names": (
        [each for n, key in enumerate(steam(9), 1) for each in (key, f"Great Game {n}")],
        ("turns", 9, 2),
    ),
    "names of one word and keys": (
        by_turns(["Minecraft", "Cyberpunk2077", "Hitman 3 X", "Portal Two"], steam(4)),
        ("turns", 4, 1),
    ),
    "names in capitals and keys": (
        by_turns(["CYBERPUNK", "MINECRAFT2", "TERRARIA", "ASSASSINS"], steam(4)),
        ("turns", 4, 1),
    ),
    "names, keys and prices": (
        [each for n, key in enumerate(steam(9), 1) for each in (f"Great Game {n}", key, "EUR 19.99 net")],
        ("turns", 18, 1),
    ),
    # Odd lines
    "a title": (["LICENSE KEYS FOR ACME", *steam(5)], ("words", 1, 1)),
    "a title and one key": (["License keys for ACME", *steam(1)], ("words", 1, 1)),
    "a greeting": (["Dear partner,", "please find your keys below.", *steam(20)], ("words", 2, 1)),
    "a name among keys": (among("Great Game Deluxe"), ("words", 1, 11)),
    "a name among keys with spaces": (
        [*(each.replace("-", " ") for each in steam(20)), "Great Games Deluxe Edition"],
        ("words", 1, 21),
    ),
    "a header": (["License Key", *steam(5)], ("header", 1, 1)),
    "a header with underscores": (["serial_number", *steam(5)], ("header", 1, 1)),
    "a header in German": (["Lizenzschlüssel", *steam(5)], ("header", 1, 1)),
    "a header with a star": (["Activation Code*", *steam(5)], ("header", 1, 1)),
    "a header of joined files": ([*steam(5), "Product Key", *steam(5, 9)], ("header", 1, 6)),
    "a total": ([*steam(9), "Total: 20"], ("total", 1, 10)),
    "a total in German": ([*steam(9), "Summe 20 Stück"], ("total", 1, 10)),
    "a count": ([*steam(9), "(20 rows)"], ("total", 1, 10)),
    "a count of keys": ([*steam(9), "1,000 keys in total"], ("total", 1, 10)),
    "an end": ([*steam(9), "End of file"], ("total", 1, 10)),
    "hashes": (among("########"), ("spreadsheet", 1, 11)),
    "an error of a formula": (among("#N/A N/A 77"), ("spreadsheet", 1, 11)),
    "other errors of formulas": (among(["#VALUE!!", "#REF!###", "#DIV/0!!"]), ("spreadsheet", 3, 11)),
    "rounded to an exponent": (among(["7.71234E+15", "1,2E+15", "1.2345e+18"]), ("spreadsheet", 3, 11)),
    "all rounded to exponents": ([f"7.7123{n}E+15" for n in range(9)], ("spreadsheet", 9, 1)),
    "all with a decimal": ([f"{10**7 + n}.0" for n in range(9)], ("spreadsheet", 9, 1)),
    "a line of dashes": (among("----------"), ("no_letters", 1, 11)),
    "a line of signs": (among("=-=-=-=-="), ("no_letters", 1, 11)),
    "an email address": (among("meier@example.com"), ("email", 1, 11)),
    "email addresses only": ([f"meier{n}@example.com" for n in range(9)], ("email", 9, 1)),
    "an address": (among("https://shop.example/keys"), ("url", 1, 11)),
    "a date": (among("27.11.2026"), ("mangled", 1, 11)),
    "a time": (among("2026-11-27T10:20:30Z"), ("mangled", 1, 11)),
    "dates only": ([f"2026-11-{day:02}" for day in range(1, 29)], ("mangled", 28, 1)),
    "masked keys": ([f"****-****-{each[-5:]}" for each in steam(20)], ("mangled", 20, 1)),
    "a masked key": (among("XXXXX-XXXXX-XXXXX"), ("mangled", 1, 11)),
    "cut off keys": ([f"{each[:9]}…" for each in steam(20)], ("mangled", 20, 1)),
    "a placeholder": (among("undefined"), ("mangled", 1, 11)),
    "a placeholder of a program": (among("[object Object]"), ("mangled", 1, 11)),
    "a wrong encoding": (["SCHLÃœSSEL-0001", "SCHLÃœSSEL-0002"], ("mangled", 2, 1)),
    "a message": (["curl: (6) Could not resolve host: keys.example"], ("words", 1, 1)),
    "another message": (["404 page not found"], ("words", 1, 1)),
    "a mail": (["From: Bob <bob@example.com>", "Date: Mon, 4 May 2026 12:00:00", *steam(9)], ("words", 2, 1)),
    "guards of a spreadsheet": ([f"'{each}" for each in steam(20)], ("quoted", 20, 1)),
    "guards of formulas": ([f'="{each}"' for each in steam(20)], ("quoted", 20, 1)),
    "a guard of a formula": (among("'=1+1+2+77"), ("quoted", 1, 11)),
    "a price": (among("19.99 EUR"), ("price", 1, 11)),
    "quotes around one": (among(f'"{steam(1, 5)[0]}"'), ("quoted", 1, 11)),
    "a comment": (among("# keys of May"), ("comment", 1, 11)),
    "another comment": (among("// keys of May"), ("comment", 1, 11)),
    "a heading": (among("=== Batch 2 ==="), ("comment", 1, 11)),
    "a section": (among("[Steam EU]"), ("comment", 1, 11)),
    "markup": (among("<td>nothing</td>"), ("markup", 1, 11)),
    "a block of a file": (["-----BEGIN LICENSE-----", *steam(5)], ("markup", 1, 1)),
    "a label among keys": (among("Your key: ABCDE-ABCDE-12345"), ("label", 1, 11)),
    "JSON among keys": (among('"key": "ABCDE-ABCDE-12345",'), ("label", 1, 11)),
    "several keys": ([", ".join(steam(3))], ("several_keys", 1, 1)),
    "several keys with blanks": ([" ".join(steam(3)), *steam(5, 7)], ("several_keys", 1, 1)),
    "many lines of words": (steam(300) + [f"Great Game {n}" for n in range(100, 130)], ("words", 30, 301)),
    "a title above passwords": (["Passwords of the game", *GOOD["passwords"]], ("words", 1, 1)),
    "a title below short base64": ([*GOOD["short base64"], "Passwords of the game"], ("words", 1, 3001)),
    # Words, headings and other things
    "states among keys": ([*steam(10), "REFUNDED", "CANCELLED", "DEACTIVATED"], ("words", 3, 11)),
    "a state in German": (among("ausverkauft"), ("words", 1, 11)),
    "a state among digits": ([*GOOD["digits"], "REFUNDED"], ("words", 1, 101)),
    "a word among keys": (among("Fahrenheit"), ("words", 1, 11)),
    "a total like a key": ([*(f"{each[:5]} {each[6:11]}6" for each in steam(60)), "TOTAL 000060"], ("total", 1, 61)),
    "a date like a key": (
        [*(f"{n % 90 + 10}-{n % 70 + 13}-{n + 3000}" for n in range(200)), "26-11-2026"],
        ("mangled", 1, 201),
    ),
    "a placeholder of letters": (among("AAAAA-AAAAA-AAAAA"), ("mangled", 1, 11)),
    "a placeholder of digits": (among("12345-12345-12345"), ("mangled", 1, 11)),
    "a heading like a key": (["BATCH-00017-WIN11", *steam(20, groups=4)], ("heading", 1, 1)),
    "a heading above digits": (["BATCH-00017-WIN11", *GOOD["digits"]], ("heading", 1, 1)),
    "keys in two parts": (
        [part for each in steam(10, groups=5) for part in (each[:18], each[18:])],
        ("mangled", 10, 1),
    ),
    "phone numbers": ([f"+49 171 {n}" for n in range(1234567, 1234587)], ("phone", 20, 1)),
    "phone numbers with a slash": ([f"0171/{n}" for n in range(1234567, 1234587)], ("phone", 20, 1)),
    "prices only": ([f"{n}.99 EUR" for n in range(100, 120)], ("price", 20, 1)),
    "orders and keys": (by_turns([f"ORDER-{n}" for n in range(10021, 10030)], steam(9)), ("turns", 9, 1)),
    "names with numbers and keys": (
        by_turns(["Windows11Pro", "Office2021Home", "Windows10Pro", "Office2019Pro"], steam(4)),
        ("turns", 4, 1),
    ),
}

# Keys that are used or commented out, each among plain ones.
MARKED = [
    *("#{}", "# {}", "//{}", ";{}", "-- {}", "*{}", "REM {}", "{} ✓", "{} [x]", "{} x", "{} sent", "{} gesendet"),
    *("{} Joe", "{} (Anna)", "{} // Joe", "Joe: {}", "~{}~"),
]
# Files of which each line has such a form. N is the number of the line.
DECORATED = [
    *("{} Joe", "{} // Joe", "{} (Win11)", "{} 2026-11-20", "Your key is {}", "Ihr Code lautet {}", "{} ist Ihr Code"),
    *("Gutscheincode {}", "Lizenz #N {}", "Windows 11 Pro {}", "🔑 {}", "① {}", "①{}", "a) {}", "N/20 {}", "{} / {}"),
    *("{}:{}", ">{}", "+{}", "N:{}", "keys.txt:{}", "keys.txt:N:{}", "1 {}", "      1 {}", "Prod^{}", "{}<br>"),
    *("{}<br />", "{}\\n", "{}\\", "{}%0D", "Nov 27 12:00:0N host app[77]: issued {}"),
]
PLAIN = {
    "steam": steam(20),
    "one part": [each.replace("-", "")[:12] for each in steam(20)],
    "UUIDs": GOOD["UUIDs"][:20],
    "digits": GOOD["digits"][:20],
    "groups with blanks": GOOD["keys with spaces"][:20],
}

ODD = {
    "a cut key": (among("ABCDE-ABC"), ("odd_shape", 1, 11)),
    "a key of a group more": (among("ABCDE-ABCDE-ABCDE-ABC23"), ("odd_shape", 1, 11)),
    "a longer key": (among("ABCDE-ABCDE-ABC234"), ("odd_length", 1, 11)),
    "a key in small letters": (among("abcde-abc34-12345"), ("odd_alphabet", 1, 11)),
    "a key of another alphabet": (among("ABCDE-АBCDE-12345"), ("odd_alphabet", 1, 11)),
    "a key with a blank": (among("ABCDE ABCDE-12345"), ("odd_shape", 1, 11)),
    "keys of short groups with a suffix": (
        [f"{each[:3]} {each[6:9]} {each[12:15]} Steam" for each in steam(20)],
        ("suffix", 20, 1),
    ),
}


def found_in(table):
    """The warnings about each file of a table, without those about none."""
    found = {name: codes_of(texts) for name, texts in table.items()}
    return {name: codes for name, codes in found.items() if codes}


def test_good_keys_have_no_serious_warnings():
    found = found_in(GOOD)

    assert [(name, codes) for name, codes in found.items() if any(is_serious for _, is_serious, *_ in codes)] == []


def test_good_keys_of_one_kind_have_no_warnings():
    assert {name: codes for name, codes in found_in(GOOD).items() if name not in MIXED} == {}


def test_lines_that_are_no_keys_are_serious():
    expected = {name: [(code, True, count, line)] for name, (_, (code, count, line)) in SERIOUS.items()}

    found = {
        name: [(each.code, each.is_serious, each.count, each.lines[0]) for each in warnings_of(texts)]
        for name, (texts, _) in SERIOUS.items()
    }

    assert {name: found[name] for name in found if found[name] != expected[name]} == {}


def test_odd_lines_that_may_be_keys_are_not_serious():
    expected = {name: [(code, False, count, line)] for name, (_, (code, count, line)) in ODD.items()}

    found = {
        name: [(each.code, each.is_serious, each.count, each.lines[0]) for each in warnings_of(texts)]
        for name, (texts, _) in ODD.items()
    }

    assert {name: found[name] for name in found if found[name] != expected[name]} == {}


def mark(form, number, key):
    return form.replace("N", str(number)).replace("{}", key)


def test_marked_keys_among_plain_ones_are_serious_at_any_share():
    places = {"one": {12}, "two": {4, 9}, "a third": {*range(2, 20, 3)}, "half": {*range(1, 20, 2)}}

    silent = [
        (name, form, share)
        for name, keys in PLAIN.items()
        for form in MARKED
        for share, marked in places.items()
        if not any(
            each.is_serious and each.lines[0] == min(marked) + 1 and each.count == len(marked)
            for each in warnings_of([mark(form, n, key) if n in marked else key for n, key in enumerate(keys)])
        )
    ]

    assert silent == []


def test_files_with_other_texts_next_to_the_keys_get_a_serious_warning():
    silent = [
        (name, form, count)
        for name, keys in PLAIN.items()
        for form in DECORATED
        for count in (3, 20)
        if not any(
            each.is_serious and each.count == count
            for each in warnings_of([mark(form, n, key) for n, key in enumerate(keys[:count], 1)])
        )
    ]

    assert silent == []
