"""The classes of an export may come in any order, once the account has come."""

from io import BytesIO
from random import Random

import pytest
from django.db import transaction

from accounts.models import Token, User
from pools.models import Key, UsedText
from pools.moving import completeness
from pools.moving.classes import CLASSES
from pools.moving.completeness import MAY_LACK_ITS_END
from pools.moving.errors import ExportIncomplete
from pools.moving.format import ExportMalformed, ExportWriter
from tests.moving.exports import ACCOUNT_ID, import_fixture, read_export

ACCOUNT, *LATER = read_export().items()
CHUNKS = [(name, rows[start : start + 7]) for name, rows in LATER for start in range(0, len(rows), 7)]


def write_chunks(chunks):
    out = BytesIO()
    writer = ExportWriter(out)
    for name, rows in chunks:
        writer.write(name, rows)
    return out.getvalue()


def rotated(chunks):
    return [chunks[start:] + chunks[:start] for start in range(len(chunks))]


def shuffled(chunks, seed):
    chunks = list(chunks)
    Random(seed).shuffle(chunks)
    return chunks


def is_last_a_permission(chunks):
    return chunks[-1][0] == "RolePermission"


def imported(chunks, **options):
    """The rows and the findings after importing the account and chunks; nothing of it stays in the database."""
    with transaction.atomic():
        report = import_fixture(write_chunks([ACCOUNT, *chunks]), **options)
        models = [*(each.model for each in CLASSES), Token]
        rows = {model: {row.pk: values_of(row) for row in model._base_manager.all()} for model in models}
        used = set(UsedText.objects.filter(account_id=ACCOUNT_ID).values_list("digest", "kind"))
        transaction.set_rollback(True)
    counts = {name: (each.read, each.kept) for name, each in report.counts.items()}
    return (rows, used, counts), [each.problem for each in report.findings]


def values_of(row):
    values = {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}
    # These are other ones each time.
    if type(row) is Key:
        del values["key_import_id"]
    if type(row) is User and not row.has_usable_password():
        del values["password"]
    return values


@pytest.fixture
def in_order(db):
    found, findings = imported(LATER)
    assert findings == []
    return found


def test_classes_may_come_in_any_order(in_order):
    orders = [*rotated(LATER), LATER[::-1], *(shuffled(LATER, seed) for seed in range(4))]

    for order in orders:
        found, findings = imported(order)

        assert found == in_order, [name for name, _ in order]
        assert findings == ([] if is_last_a_permission(order) else [MAY_LACK_ITS_END]), order


def test_chunks_of_classes_may_be_mixed(in_order):
    for order in (CHUNKS[::-1], *(shuffled(CHUNKS, seed) for seed in range(4))):
        found, findings = imported(order)

        assert found == in_order
        assert findings == ([] if is_last_a_permission(order) else [MAY_LACK_ITS_END])


def test_export_that_is_whole_by_its_digest_needs_no_order(in_order):
    export = write_chunks([ACCOUNT, *LATER[::-1]])
    report = import_fixture(export, dry_run=True)

    assert [each.problem for each in report.findings] == [MAY_LACK_ITS_END]
    assert import_fixture(export, sha256=report.sha256, dry_run=True).findings == []


def test_missing_permissions_are_noticed_in_any_order(db):
    """One chunk of permissions has a few roles: that of the last one may not be there."""
    permissions = dict(LATER)["RolePermission"]
    last = permissions[-1]["role_id"]
    cut = [(name, [row for row in rows if row.get("role_id") != last]) for name, rows in LATER]

    for order in (cut, cut[::-1], shuffled(cut, 1)):
        with pytest.raises(ExportIncomplete) as error:
            imported(order)
        assert "a role has no permissions" in error.value.detail


@pytest.mark.parametrize("size", [1, 5, 100])
def test_samples_notice_nothing_missing_in_a_whole_export(db, monkeypatch, size):
    """More roles than a sample has, in any order."""
    monkeypatch.setattr(completeness, "_SAMPLE_SIZE", size)

    for seed in range(4):
        imported(shuffled(CHUNKS, seed), dry_run=True)


@pytest.mark.parametrize("size", [1, 5, 100])
def test_samples_notice_that_all_permissions_are_missing(db, monkeypatch, size):
    monkeypatch.setattr(completeness, "_SAMPLE_SIZE", size)

    with pytest.raises(ExportIncomplete):
        imported([(name, rows) for name, rows in CHUNKS if name != "RolePermission"])


def test_account_must_be_the_first(db):
    for order in rotated([ACCOUNT, *LATER])[1:]:
        with pytest.raises(ExportMalformed) as error:
            import_fixture(write_chunks(order))
        assert "must begin with its account, and have no other one; all else may come in any" in error.value.detail
