"""Keys, fingerprints and codes of an export that spell ids or each other: imported, and named in the report.

A URL finds a license by its id or key, and of two the older one (contract: licenses 4); machines alike (machines 4.1).
"""

from datetime import timedelta
from urllib.parse import quote
from uuid import uuid4

import pytest

from tests.conftest import API
from tests.moving.exports import ACCOUNT_ID, SECRETS, import_fixture, read_export, write_export

SPELLINGS = [str, str.upper, lambda id: id.replace("-", ""), lambda id: id.replace("-", "").title()]
EARLIER, LATER = timedelta(days=-1), timedelta(days=1)


def with_text(class_name, column, spell, age):
    """The export with a row more, whose text spells the id of another row and which is older or newer than that.

    Returns:
        Its bytes, the new row, and the other one.
    """
    rows = read_export()
    other = rows[class_name][0]
    row = other | {"id": str(uuid4()), column: spell(other["id"]), "created_at": other["created_at"] + age}
    rows[class_name].append(row)
    return write_export(rows), row, other


def named(report):
    return [(each.class_name, each.id, each.kept) for each in report.findings]


@pytest.mark.parametrize("age", [EARLIER, LATER], ids=["older", "newer"])
@pytest.mark.parametrize("spell", SPELLINGS)
@pytest.mark.parametrize(("class_name", "column"), [("License", "key"), ("Machine", "fingerprint")])
def test_text_that_spells_the_id_of_another_row_is_named(db, class_name, column, spell, age):
    export, row, other = with_text(class_name, column, spell, age)

    report = import_fixture(export)

    assert named(report) == [(class_name, row["id"], True)]
    assert report.findings[0].problem == (
        f"has a {column} that spells the id of another {class_name.lower()}: a URL with this text leads to the one "
        "that was created first. Give it another one"
    )
    text = row[column]
    assert text not in str(report.findings)
    admin = API(SECRETS["tokens"]["admin"], ACCOUNT_ID)
    found = admin.get(f"{class_name.lower()}s/{quote(text, safe='')}").json()["data"]
    assert found["id"] == (row if age is EARLIER else other)["id"]
    if class_name == "License":
        validated = admin.post("licenses/actions/validate-key", {"meta": {"key": text}}).json()["data"]
        assert validated["id"] == row["id"]


@pytest.mark.parametrize("class_name", ["Product", "Entitlement"])
def test_code_that_spells_an_id_is_named(db, class_name):
    rows = read_export()
    row = rows[class_name][0]
    row["code"] = str(uuid4())

    report = import_fixture(write_export(rows))

    assert named(report) == [(class_name, row["id"], True)]
    assert "has a code that spells an id" in report.findings[0].problem


@pytest.mark.parametrize("spell", [str.lower, lambda key: key.replace("-", "\u2010"), lambda key: key + "\u200b"])
def test_license_key_that_differs_from_another_in_its_spelling_is_named(db, spell):
    rows = read_export()
    [license] = [row for row in rows["License"] if row["key"] == SECRETS["licenses"]["perpetual"]["key"]]
    twin = license | {"id": str(uuid4()), "key": spell(license["key"])}
    twin["created_at"] += LATER
    rows["License"].append(twin)

    report = import_fixture(write_export(rows))

    assert named(report) == [("License", twin["id"], True)]
    assert "differs from that of another license in its spelling only" in report.findings[0].problem
    for row in (license, twin):
        validated = API(account=ACCOUNT_ID).post("licenses/actions/validate-key", {"meta": {"key": row["key"]}})
        assert validated.json()["data"]["id"] == row["id"]


def test_texts_that_name_one_row_only_are_not_named(db):
    """A row's own id, the id of a row of another class, and an id of nothing."""
    rows = read_export()
    for class_name, column in (("License", "key"), ("Machine", "fingerprint")):
        [first, second, third, *_] = rows[class_name]
        first[column] = first["id"].upper()
        second[column] = rows["Policy"][0]["id"]
        third[column] = str(uuid4())

    assert named(import_fixture(write_export(rows))) == []
