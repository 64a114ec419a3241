"""Adding files of keys to a pool: keys that are added, and keys that are rejected and why."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.key_digests import key_digest
from licensing.models import PoolNotSupported
from licensing.services import issue_license
from pools.key_files import Line, NoKeys, Reason
from pools.models import Key, KeyImport
from pools.services.imports import AlreadyImported, import_keys
from pools.services.keys import reveal_key, withdraw_key
from tests.cast import add_keys, make_license, make_policy, numbered

ORIGIN = AuditContext(operator="tests", bearer_type="users")


def lines(*texts):
    return [Line(number, text) for number, text in enumerate(texts, 1)]


def add(policy, *texts, **options):
    return import_keys(policy=policy, files=[lines(*texts)], audit=ORIGIN, **options)


@pytest.fixture
def small_chunks(monkeypatch):
    """So that a few lines are several chunks."""
    monkeypatch.setattr("pools.services.import_chunks.CHUNK_LINES", 3)


def test_import_adds_keys_in_the_order_of_their_lines(pooled_policy, audit, small_chunks):
    report = add(pooled_policy, *reversed(numbered(10)))

    assert (report.lines, report.added, report.rejected) == (10, 10, 0)
    assert [pooled_policy.pool.pop(audit).key for _ in range(10)] == numbered(10)[::-1]


def test_import_writes_keys_as_single_ones_are_written(pooled_policy):
    (single,) = add_keys(pooled_policy, "KEY-0001")
    awkward = 'back\\slash, "quotes", \\N, \\. and ключ'

    add(pooled_policy, awkward)

    key = Key.objects.get(digest=key_digest(awkward))
    assert key.key == awkward
    for field in Key._meta.concrete_fields:
        if field.name not in ("id", "key", "digest", "ending", "created", "updated", "key_import"):
            assert getattr(key, field.attname) == getattr(single, field.attname)
    assert key.created == key.updated
    assert timezone.now() - key.created < timedelta(minutes=1)
    assert key.pk > single.pk


def test_import_says_once_who_brought_the_keys(pooled_policy):
    report = add(pooled_policy, *numbered(2), name="ACME PO 4711", source="keys.txt")

    (key_import,) = KeyImport.objects.all()
    assert report.key_import == key_import
    assert (key_import.name, key_import.source) == ("ACME PO 4711", "keys.txt")
    assert (key_import.added, key_import.rejected, key_import.loading) == (2, 0, None)
    assert (key_import.operator, key_import.bearer_type) == ("tests", "users")
    assert key_import.keys.count() == 2


def taken_texts(policy):
    """Texts that must not be handed out again, and the reason."""
    other = make_policy(policy.product, "Other", use_pool=True)
    unpooled = make_policy(policy.product, "Ordinary")
    add_keys(policy, "popped-key", "issued-key", "waiting-key", "withdrawn-key")
    policy.pool.pop(ORIGIN)
    issue_license(policy=policy, audit=ORIGIN)
    withdraw_key(policy=policy, text="withdrawn-key", audit=ORIGIN)
    add_keys(other, "others-key")
    license = make_license(unpooled, "licenses-key")
    add_used_texts(other, unpooled)
    return {
        "popped-key": Reason.POPPED,
        "issued-key": Reason.POPPED,
        "waiting-key": Reason.AVAILABLE,
        "withdrawn-key": Reason.WITHDRAWN,
        "others-key": Reason.ELSEWHERE,
        "licenses-key": Reason.LICENSE,
        "deleted-key": Reason.USED,
        "deleted-licenses-key": Reason.USED,
        str(license.pk): Reason.LICENSE_ID,
        license.pk.hex.upper(): Reason.LICENSE_ID,
    }


def add_used_texts(policy, unpooled):
    (key,) = add_keys(policy, "deleted-key")
    reveal_key(key, ORIGIN)
    key.delete()
    make_license(unpooled, "deleted-licenses-key").delete()


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("skip_invalid", [False, True])
def test_import_says_why_a_key_cannot_be_added(pooled_policy, small_chunks, dry_run, skip_invalid):
    taken = taken_texts(pooled_policy)
    before = Key.objects.count()
    heard = []

    report = add(
        pooled_policy,
        "KEY-0001",
        *taken,
        "KEY-0002",
        "KEY-0001",
        "KEY-0003",
        "KEY-0003",
        skip_invalid=skip_invalid,
        dry_run=dry_run,
        on_rejected=heard.extend,
    )

    expected = [*enumerate(taken.values(), 2), (13, Reason.REPEATED), (15, Reason.REPEATED)]
    assert [(rejection.line, rejection.reason) for rejection in heard] == expected
    assert report.first == heard
    assert (report.lines, report.good, report.rejected) == (15, 3, 12)
    assert sum(report.reasons.values()) == 12
    added = 3 if skip_invalid and not dry_run else 0
    assert (report.added, Key.objects.count() - before, KeyImport.objects.count()) == (added, added, bool(added))
    assert sum(key.key.startswith("KEY-") for key in pooled_policy.pool.all()) == added


def test_import_says_the_same_of_used_texts_in_a_dry_run(acme, small_chunks):
    add_used_texts(acme.policy, acme.unpooled)
    texts = ["deleted-key", *numbered(3), "deleted-licenses-key", "deleted-key", "deleted-licenses-key"]

    dry = add(acme.policy, *texts, skip_invalid=True, dry_run=True)
    report = add(acme.policy, *texts, skip_invalid=True)

    assert [(found.line, found.reason) for found in report.first] == [(line, Reason.USED) for line in (1, 5, 6, 7)]
    assert dry.first == report.first
    assert report.added == 3


def test_import_says_that_a_license_has_a_key_that_an_earlier_one_had(acme):
    make_license(acme.unpooled, "licenses-key").delete()
    make_license(acme.unpooled, "licenses-key")

    assert add(acme.policy, "licenses-key").reasons == {Reason.LICENSE: 1}


def test_import_does_not_mind_the_keys_of_another_account(pooled_policy, rival):
    add_keys(rival.policy, "KEY-0001")
    make_license(rival.unpooled, "KEY-0002")

    assert add(pooled_policy, "KEY-0001", "KEY-0002").added == 2


def test_the_same_file_again_adds_nothing_and_says_so(pooled_policy, small_chunks):
    add(pooled_policy, *numbered(7))

    report = add(pooled_policy, *numbered(7), skip_invalid=True)

    assert (report.added, report.rejected, report.already_imported) == (0, 7, True)
    assert isinstance(report.refusal, AlreadyImported)
    assert KeyImport.objects.count() == 1


def test_import_goes_on_where_a_part_of_the_file_was_added_before(pooled_policy, audit, small_chunks):
    add(pooled_policy, *numbered(4))

    report = add(pooled_policy, *numbered(9), skip_invalid=True)

    assert (report.added, report.rejected, report.already_imported) == (5, 4, False)
    assert [key.key for key in pooled_policy.pool.available().order_by("id")] == numbered(9)


def test_an_empty_file_is_no_import(pooled_policy):
    for empty in ([], [Line(1, "")]):
        for files in ([empty], [lines("KEY-0001"), empty]):
            with pytest.raises(NoKeys):
                import_keys(policy=pooled_policy, files=files, audit=ORIGIN)

    assert not KeyImport.objects.exists()
    assert not Key.objects.exists()


def test_import_reads_several_files_as_one(pooled_policy):
    files = [lines("KEY-0001", "KEY-0002"), lines("KEY-0003", "KEY-0001")]

    report = import_keys(policy=pooled_policy, files=files, audit=ORIGIN, skip_invalid=True)

    assert report.added == 3
    assert [(rejection.file, rejection.line) for rejection in report.first] == [(1, 2)]


def test_import_keeps_only_the_first_rejections_but_tells_of_all(pooled_policy, monkeypatch):
    monkeypatch.setattr("pools.services.imports.MAX_REPORTED_REJECTIONS", 2)
    flawed = [Line(number, "short", Reason.TOO_SHORT) for number in range(1, 6)]
    heard = []

    report = import_keys(policy=pooled_policy, files=[flawed], audit=ORIGIN, on_rejected=heard.extend)

    assert (len(report.first), len(heard), report.rejected) == (2, 5, 5)


def test_import_refuses_a_policy_without_a_pool(acme):
    with pytest.raises(PoolNotSupported):
        add(acme.unpooled, "KEY-0001")


def broken_file():
    yield Line(1, "KEY-0001")
    yield Line(2, "KEY-0002")
    yield Line(3, "KEY-0003")
    yield Line(4, "KEY-0004")
    raise OSError("the disk is gone")


def test_import_leaves_nothing_of_a_file_that_cannot_be_read_to_its_end(pooled_policy, small_chunks):
    with pytest.raises(OSError, match="the disk is gone"):
        import_keys(policy=pooled_policy, files=[broken_file()], audit=ORIGIN, skip_invalid=True)

    assert not Key.objects.exists()
    assert not KeyImport.objects.exists()
