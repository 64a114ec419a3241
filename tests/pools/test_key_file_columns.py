"""Finding the header of a file of keys, the column of the keys and the columns of states."""

import json

import pytest

from pools.key_files import (
    ColumnAmbiguous,
    FileUnreadable,
    HeaderAmbiguous,
    NoKeys,
    Reason,
    UsedRows,
)
from tests.pools.test_key_files import keys, opened, read

pytestmark = pytest.mark.without_database  # the subject is files and processes


class TestHeader:
    @pytest.mark.parametrize(
        "first", ["LICENSE KEYS FOR ACME", "Geheimnisse", "secret_2", "Keys 2024", "Hello Ann", "Game"]
    )
    @pytest.mark.parametrize("hints", [{}, {"name": "a.csv"}, {"format": "text"}, {"format": "csv"}])
    def test_first_line_unlike_the_others_is_asked(self, first, hints):
        data = f"{first}\nABCD-0001\nABCD-0002\nABCD-0003\n"

        with pytest.raises(HeaderAmbiguous) as asked:
            read(data, **hints)

        assert "`--header` or `--no-header`" in asked.value.detail
        assert asked.value.meta["firstRow"] == [first]
        assert keys(data, header=True, **hints) == ["ABCD-0001", "ABCD-0002", "ABCD-0003"]
        assert read(data, header=False, **hints)[0][:2] == (1, first)

    @pytest.mark.parametrize(
        "first", ["ABCD-EFGH", "0000-0000", "ABCD-0004-0005", "0", "A1B2C3D4", "ABCD-0000", "AAAA-9999"]
    )
    def test_first_line_like_the_others_is_no_header(self, first):
        assert read(f"{first}\nABCD-0001\nABCD-0002\nABCD-0003\n")[0][:2] == (1, first)

    @pytest.mark.parametrize("first", ["License Key", "SERIAL_NUMBER", "Voucher Codes", "Lizenzschlüssel", "clé"])
    @pytest.mark.parametrize("hints", [{}, {"name": "a.csv"}, {"format": "text"}])
    def test_known_header_is_no_key(self, first, hints):
        assert keys(f"{first}\nABCD-0001\n", **hints) == ["ABCD-0001"]
        with pytest.raises(NoKeys):
            read(f"{first}\n", **hints)

    def test_title_above_a_header_is_no_key(self):
        file = opened("Keys for ACME\n\nLicense Key\nABCD-0001\n")

        assert [(line.number, line.text) for line in file] == [(4, "ABCD-0001")]
        assert file.understood.title_lines == 1

    def test_first_row_whose_cells_recur_is_no_header(self):
        data = "Game,ABCD-EFGH\nGame,IJKL-MNOP\n"

        assert keys(data, column="2") == ["ABCD-EFGH", "IJKL-MNOP"]


class TestColumns:
    @pytest.mark.parametrize(
        ("data", "candidates"),
        [
            ("A-00001,B-00001\nA-00002,B-00002\n", [("", 1, "A-00001"), ("", 2, "B-00001")]),
            ("key,code\nA-00001,B-00001\n", [("key", 1, "A-00001"), ("code", 2, "B-00001")]),
            ("key,Key\nA-00001,B-00001\n", [("key", 1, "A-00001"), ("Key", 2, "B-00001")]),
            ("key,license\nA-00001,B-00001\n", [("key", 1, "A-00001"), ("license", 2, "B-00001")]),
            ("Product,Geheimnis\nGame,B-00001\n", [("Product", 1, "Game"), ("Geheimnis", 2, "B-00001")]),
            ("A-00001,B-00001\n", [("", 1, "A-00001"), ("", 2, "B-00001")]),
        ],
    )
    def test_column_is_asked_with_samples(self, data, candidates):
        with pytest.raises(ColumnAmbiguous) as asked:
            read(data)

        assert [(name, number, *samples[:1]) for name, number, samples in asked.value.candidates] == candidates
        assert asked.value.meta["candidates"][0]["number"] == 1
        assert "--column" in asked.value.detail

    def test_key_of_our_own_export_is_certain(self):
        data = "key,created,popped,withdrawn,import,license\nKEY-0001,2024-01-01,,,,ID-00001\n"

        assert keys(data) == ["KEY-0001"]

    def test_understood_names_everything(self):
        file = opened("No.;Lizenzschlüssel;Status;Produkt\r\n1;KEY-0001;frei;Spiel\r\n")

        assert file.understood.as_dict() == {
            "kind": "csv",
            "compression": None,
            "encoding": "utf-8",
            "lineEnds": "crlf",
            "delimiter": ";",
            "header": True,
            "column": "Lizenzschlüssel",
            "ignoredColumns": ["No.", "Produkt"],
            "stateColumns": ["Status"],
            "sheet": None,
            "titleLines": 0,
        }

    def test_number_with_more_digits_than_python_reads_is_no_column(self):
        with pytest.raises(FileUnreadable, match="no column"):
            read(b"key,product\nKEY-0001,Game\nKEY-0002,Game\n", column="9" * 5_000)


class TestUsedRows:
    FREE = [
        *(("used", each) for each in ("", "no", "0", "FALSE", "nein", "-", "n/a")),
        *(("status", each) for each in ("available", "frei", "New", "not sold", "nicht eingelöst", "")),
        *(("available", each) for each in ("yes", "1", "x", "ja")),
        *(("popped", each) for each in ("", "  ")),
        *((name, each) for name in ("Active", "enabled", "Valid", "Availability") for each in ("true", "yes", "1")),
        *((name, each) for name in ("times_activated", "Usage count", "Activations") for each in ("0", "", "0/5")),
        *(("Remaining uses", each) for each in ("1", "12", "")),
        *(("статус", each) for each in ("не продан", "в наличии", "доступен")),
        *(("Status", each) for each in ("noch frei", "nicht verkauft", "noch nicht verkauft", "unsold", "in stock")),
        *(("Status", each) for each in ("not used", "not yet sold", "unused", "non vendu", "no vendido")),
        *((name, "5") for name in ("max_uses", "Usage limit", "Max activations", "User limit")),
        *((name, "x1") for name in ("Redemption URL", "Support email", "Supplier email", "Sale price", "Expiry date")),
    ]
    USED = [
        *(("used", each) for each in ("yes", "1", "x", "Ja", "TRUE", "2024-01-01", "26.11.2024", "Ann", "oui")),
        *(("verkauft", each) for each in ("ja", "Meier", "x")),
        *(("status", each) for each in ("sold", "verkauft", "eingelöst", "redeemed", "???")),
        *(("available", each) for each in ("no", "0", "nein", "-")),
        *(("popped", each) for each in ("2024-01-01T00:00:00Z", "nonsense")),
        *(("assigned to", each) for each in ("Ann", "ann@example.test")),
        *((name, each) for name in ("Active", "enabled", "Valid", "Availability") for each in ("false", "no", "0")),
        *((name, "2024-01-01") for name in ("Activé", "activée le", "ACTIVE\u0301")),
        *((name, each) for name in ("times_activated", "Usage count", "Activations", "uses") for each in ("1", "12")),
        *(("Remaining uses", "0"), ("Balance", "0"), ("Balance", "0.00 EUR")),
        *(("Status", each) for each in ("not available", "nicht verfügbar", "not valid", "продан")),
        *((name, "yes") for name in ("Key used", "Used (Y/N)", "Used by customer", "soldAt", "Sold to customer")),
        *((name, "yes") for name in ("felhasznált", "folosit", "використано", "продан", "usado", "użyty", "gebruikt")),
        *(
            (name, "yes")
            for name in ("使用済み", "状態", "状态", "已使用", "사용여부", "상태", "Verwendet am", "Sale date")
        ),
        *((name, "x1") for name in ("Verkaufsdatum", "ausgehändigt an", "Redemption status", "Times Redeemed")),
        *((name, "x1") for name in ("Transaction ID", "Recipient email", "User email", "Kunden-E-Mail", "Order")),
        *((name, "x1") for name in ("Sold to partner", "Sold price", "Order link", "Redemption date", "Key sold")),
        ("Kunde", "Frei"),
    ]

    def test_free_rows_are_keys(self):
        wrong = [
            (name, value) for name, value in self.FREE if read(f"key,{name}\nKEY-0001,{value}\n") != [(2, "KEY-0001")]
        ]

        assert wrong == []

    def test_used_rows_are_rejected(self):
        rejected = [(2, "KEY-0001", Reason.USED_ROW)]
        wrong = [
            (name, value) for name, value in self.USED if value and read(f"key,{name}\nKEY-0001,{value}\n") != rejected
        ]

        assert wrong == []

    def test_used_rows_are_read_as_used(self):
        data = "key,popped,sold\nKEY-0001,2024-01-01,\nKEY-0002,,yes\nKEY-0003,,\n"

        lines = list(opened(data, used_rows=UsedRows.USED))

        assert [(line.text, line.is_used, line.popped) for line in lines] == [
            ("KEY-0001", True, "2024-01-01"),
            ("KEY-0002", True, ""),
            ("KEY-0003", False, ""),
        ]

    @pytest.mark.parametrize("name", ["customer", "Kunde", "Order No.", "E-Mail", "Acheteur"])
    def test_row_with_a_customer_is_used_even_if_all_have_one(self, name):
        some, all = f"key;{name}\nKEY-0001;A1\nKEY-0002;\n", f"key;{name}\nKEY-0001;A1\nKEY-0002;A2\n"

        assert read(some) == [(2, "KEY-0001", Reason.USED_ROW), (3, "KEY-0002")]
        assert read(all) == [(2, "KEY-0001", Reason.USED_ROW), (3, "KEY-0002", Reason.USED_ROW)]

    def test_customer_after_the_looked_at_rows_makes_a_row_used(self):
        rows = "".join(f"KEY-{number:07},\n" for number in range(30_000))

        assert read(f"key,customer\n{rows}KEY-LAST,Ann\n")[-1] == (30_002, "KEY-LAST", Reason.USED_ROW)

    def test_state_columns_are_ignored_if_told(self):
        file = opened("key,sold\nKEY-0001,yes\n", used_rows=UsedRows.IGNORE)

        assert [(line.text, line.is_used) for line in file] == [("KEY-0001", False)]
        assert file.understood.ignored_columns == ("sold",)

    def test_state_that_only_later_objects_have_is_seen(self):
        lines = [json.dumps({"key": f"KEY-{number:07}"}) for number in range(30_000)]
        data = "\n".join([*lines, json.dumps({"key": "KEY-LAST", "used": 1})])

        assert list(opened(data))[-1].reason == Reason.USED_ROW
