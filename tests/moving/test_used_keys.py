"""Used keys of a move: a file is refused where `import_keys` refuses it, and a used key stays used."""

import csv
import json
from io import BytesIO, StringIO
from uuid import UUID, uuid4

import pytest
from django.db import connection

from accounts.audit import AuditContext
from accounts.models import Account, Token
from keygen_site.db.key_digests import key_digest
from keygen_site.jsonapi.errors import DomainError
from keygen_site.management.failures import explain_database
from licensing.models import Policy
from pools.key_files import ReadOptions, UsedRows, find_text_fault, open_key_file
from pools.models import Key, UsedText
from pools.moving.errors import TokensMissing, UsedKeysUncertain
from pools.moving.used_digests import write_used_digests
from pools.services.exports import export_keys
from pools.services.imports import import_keys
from tests.conftest import API
from tests.moving.exports import ACCOUNT_ID, FIXTURE, SECRETS, import_fixture, read_export, write_export
from tests.moving.own_exports import exported, tokens_of
from tests.moving.test_again import newer
from tests.moving.test_no_key_twice import AUDIT, POOL, POOLED, WAITING, add, key_file, pop_all, with_keys
from tests.moving.test_refusals import everything
from tests.pools.test_file_warnings import among, steam
from tests.processes import manage_here

OWN_KEY = SECRETS["licenses"]["own key"]["key"]
GOOD = steam(20)
# Contents of files of keys, some of them good, with the options of their reading.
FILES = {
    "good": ("\n".join(GOOD), {}),
    "a table": ("key;order\n" + "\n".join(f"{key};{number}" for number, key in enumerate(GOOD)), {}),
    "empty": ("", {}),
    "blank": ("\n\n", {}),
    "a header only": ("key,order\n", {}),
    "two columns of keys": ("\n".join(f"{one};{two}" for one, two in zip(GOOD, steam(20, 2), strict=True)), {}),
    "and a chosen one": (
        "\n".join(f"{one};{two}" for one, two in zip(GOOD, steam(20, 2), strict=True)),
        {"column": "2"},
    ),
    "a known name of a column": ("\n".join([*GOOD, "Serial number", *steam(3, 3)]), {}),
    "a heading": ("\n".join(among("Keys of our partner, July")), {}),
    "an order number before each": ("\n".join(f"{number}. {key}" for number, key in enumerate(GOOD, 1)), {}),
    "bullets": ("\n".join(f"* {key}" for key in GOOD), {}),
    "quotes": ("\n".join(f"'{key}'" for key in GOOD), {}),
    "a total": ("\n".join([*GOOD, "Total: 20"]), {}),
    "an address": ("\n".join(among("https://example.com/redeem")), {}),
    "names by turns": ("\n".join(line for key in GOOD for line in ("Ann Miller", key)), {}),
    "a blank before a key": ("\n".join(among(" ABCDE-FGHIJ-KLMNO")), {}),
    "and trimmed": ("\n".join(among(" ABCDE-FGHIJ-KLMNO")), {"trim": True}),
    "a short line": ("\n".join(among("ABC")), {}),
    "a long line": ("\n".join(among("A1" * 600)), {}),
    "a control character": ("\n".join(among("ABCDE-\x07FGHIJ-KLMNO")), {}),
    "a character that cannot be seen": ("\n".join(among("ABCDE-\u200bFGHIJ-KLMNO")), {}),
    "another dash": ("\n".join(among("ABCDE\u2013FGHIJ\u2013KLMNO")), {}),
    "rows of other lengths": ("key,order\n" + "\n".join(f"{key},1" for key in GOOD) + "\nABCDE-FGHIJ,1,2,3\n", {}),
    "rounded numbers": ("\n".join(f"{number}.23457E+15" for number in range(1, 10)), {}),
    "a guess of the encoding": ("\n".join([*GOOD, "SCHL\udcdcSSEL-1"]), {}),
}


def opened(content, options):
    stream = BytesIO(content.encode(errors="surrogateescape"))
    return open_key_file(stream, ReadOptions(used_rows=UsedRows.IGNORE, **options), name="used.txt")


def stopped(action):
    """The text of a refusal, or None."""
    try:
        result = action()
    except DomainError as error:
        return error.detail
    refusal = getattr(result, "refusal", None)
    return refusal.detail if refusal else None


class TestRefusedFiles:
    """A line that is misread leaves a key that was sold on sale."""

    def test_a_file_is_refused_where_import_keys_refuses_it(self, moved):
        policy = Policy.objects.get(pk=POOL)
        differ, stops = [], []
        for name, (content, options) in FILES.items():

            def as_keys(content=content, options=options):
                return import_keys(policy=policy, files=[opened(content, options)], audit=AUDIT, dry_run=True)

            def as_used(content=content, options=options):
                return import_fixture(newer(), used_keys=[opened(content, options)], dry_run=True)

            if bool(stopped(as_keys)) != bool(stopped(as_used)):
                differ.append(name)
            if stopped(as_used):
                stops.append(name)

        assert differ == []
        assert 15 < len(stops) < len(FILES) - 3

    def test_a_warning_is_that_of_import_keys(self, moved):
        policy, content = Policy.objects.get(pk=POOL), FILES["a heading"][0]
        report = import_keys(policy=policy, files=[opened(content, {})], audit=AUDIT, dry_run=True)

        refused = stopped(lambda: import_fixture(newer(), used_keys=[opened(content, {})], dry_run=True))

        for warning in report.serious_warnings:
            assert warning.message in refused
        assert refused.startswith("Nothing was changed. used.txt: ")
        assert import_fixture(newer(), used_keys=[opened(content, {})], accept_warnings=True, dry_run=True)

    def test_command_has_the_options_that_its_refusals_name(self, transactional_db, tmp_path):
        file = tmp_path / "used.txt"
        ways_out = {
            "two columns of keys": ("--column", "2"),
            "a blank before a key": ("--trim",),
            "a heading": ("--accept-warnings",),
            "a guess of the encoding": ("--encoding", "windows-1252"),
        }
        before = everything()
        for name, way_out in ways_out.items():
            file.write_bytes(FILES[name][0].encode(errors="surrogateescape"))
            call = ("import_account", FIXTURE / "plain.export", "--without-tokens", "--dry-run", "--used-keys", file)

            code, out, err = manage_here(*call)

            assert (code, out) == (1, ""), name
            assert str(file) in err
            assert way_out[0] in err, err
            assert manage_here(*call, *way_out).code == 0, name
        assert everything() == before

    def test_line_with_a_fault_is_named_and_not_quoted(self, transactional_db, tmp_path):
        file = tmp_path / "used.txt"
        file.write_text("\n".join(among(["ABC", "ABD"])))

        code, _, err = manage_here("import_account", FIXTURE / "plain.export", "--used-keys", file)

        assert code == 1
        assert "line 11 cannot be read as a key, the first of 2 such lines: the key is too short" in err
        assert "ABC" not in err
        assert not Account.objects.exists()

    def test_options_without_a_file_are_wrong_usage(self, transactional_db):
        for option in (["--trim"], ["--no-header"], ["--accept-warnings"], ["--column", "1"]):
            code, _, err = manage_here("import_account", FIXTURE / "plain.export", *option)

            assert code == 2
            assert "is about the files of --used-keys" in err


class TestUsedBefore:
    """The account was here before: deleted, or replaced by a newer import."""

    def forget(self, account):
        if connection.vendor == "postgresql":
            connection.cursor().execute("SET CONSTRAINTS ALL DEFERRED")
        Account.objects.get(pk=account.pk).delete()

    def test_keys_that_a_deleted_account_handed_out_are_left_out(self, moved):
        popped = Policy.objects.get(pk=POOL).pool.pop(AUDIT).key
        withdrawn = Key.objects.with_key(WAITING[5]).get()
        withdrawn.disclosed, withdrawn.disclosure, withdrawn.disclosed_to = withdrawn.created, "revealed", "Ann"
        withdrawn.save()
        self.forget(moved)

        report = import_fixture()

        assert [each.problem for each in report.findings] == [
            "was used before, by a key or license that has been deleted"
        ] * 2
        assert {popped, WAITING[5]}.isdisjoint(pop_all())
        assert report.named_left_out == 2

    def test_used_keys_of_the_earlier_import_stay_used(self, moved):
        import_fixture(used_keys=[key_file(WAITING[3])])

        report = import_fixture(newer())

        assert report.replaced
        assert [each.class_name for each in report.findings] == ["Key"]
        assert WAITING[3] not in pop_all()
        assert add(WAITING[3]) == 0

    def test_mark_of_a_license_becomes_one_of_a_key(self, moved):
        text = "MARK-OF-A-LICENSE"
        UsedText.objects.create(account_id=moved.pk, digest=key_digest(text), kind=UsedText.Kind.LICENSE)
        self.forget(moved)

        import_fixture(used_keys=[key_file(text)])

        assert UsedText.objects.with_text(UUID(ACCOUNT_ID), text).get().kind == UsedText.Kind.KEY

    @pytest.mark.parametrize("tokens", [None, b"".join((FIXTURE / "tokens.csv").read_bytes().splitlines(True)[:1])])
    def test_newer_import_without_tokens_is_refused_unless_told(self, moved, tokens):
        before = everything()

        with pytest.raises(TokensMissing) as error:
            import_fixture(newer(), tokens=tokens)

        assert "8 tokens" in error.value.detail
        assert "--without-tokens" in error.value.detail
        assert everything() == before
        report = import_fixture(newer(), tokens=tokens, without_tokens=True)
        assert [each.class_name for each in report.findings] == ["Token"] * 8
        assert not Token.objects.filter(account=ACCOUNT_ID).exists()

    def test_token_that_the_newer_table_lacks_is_named(self, moved):
        lines = (FIXTURE / "tokens.csv").read_bytes().splitlines(True)
        gone = next(csv.DictReader(StringIO(b"".join([lines[0], lines[-1]]).decode())))

        report = import_fixture(newer(), tokens=b"".join(lines[:-1]))

        assert [(each.id, each.kept) for each in report.findings] == [(gone["id"], False)]


class TestOtherSpellings:
    @pytest.mark.parametrize(
        "change",
        [
            str.lower,
            lambda text: text.replace("-", "\u2013"),
            lambda text: text.replace("-", "\u2212").swapcase(),
            lambda text: text.replace("B", "\uff22"),
        ],
    )
    def test_key_of_a_license_or_a_used_one_in_another_spelling_is_left_out(self, db, change):
        used = change("BETA-USED-0001")

        report = import_fixture(with_keys(change(POOLED[0]), used), used_keys=[key_file("BETA-USED-0001")])

        assert ["in another spelling" in each.problem for each in report.findings] == [True] * 2
        assert not any(each.kept for each in report.findings)
        assert pop_all() == WAITING

    def test_license_key_with_blanks(self, db):
        rows = read_export()
        next(row for row in rows["License"] if row["key"] == OWN_KEY)["key"] = f" {OWN_KEY}\u00a0"
        [last] = [row for row in rows["Key"] if row["key"] == WAITING[-1]]
        rows["Key"].append(last | {"id": str(uuid4()), "key": OWN_KEY})

        import_fixture(write_export(rows))

        assert pop_all() == WAITING

    def test_two_waiting_keys_are_imported_and_named(self, db):
        report = import_fixture(with_keys(WAITING[2].lower()))

        assert [(each.class_name, each.kept) for each in report.findings] == [("Key", True)]
        assert sorted(pop_all()) == sorted([*WAITING, WAITING[2].lower()])

    def test_texts_that_import_keys_refuses_are_left_out_and_named(self, db):
        texts = [
            "",
            "short",
            "x" * 1025,
            "ABCDE\x07FGHIJ",
            "ABCDE\u200bFGHIJ",
            " ABCDE-FGHIJ",
            "actions",
            "ABCDE\nFGHIJ",
        ]
        assert all(map(find_text_fault, texts))

        report = import_fixture(with_keys(*texts))

        assert [each.problem for each in report.findings] == [
            f"the key {find_text_fault(text).reason.value}" for text in texts
        ]
        assert report.counts["Key"].kept == 19
        assert all("\x07" not in each.label and not each.kept for each in report.findings)
        assert pop_all() == WAITING

    def test_keys_under_a_policy_without_a_pool_are_named(self, db):
        rows = read_export()
        policy = next(row for row in rows["Policy"] if not row["use_pool"])
        rows["Key"].append(rows["Key"][0] | {"id": str(uuid4()), "key": "LOST-KEY-0001", "policy_id": policy["id"]})

        report = import_fixture(write_export(rows))

        [finding] = report.findings
        assert (finding.class_name, finding.id, finding.kept) == ("Policy", policy["id"], True)
        assert "1 key under it: imported and listed, and never handed out" in finding.problem


class TestDigests:
    """An export of this software, with the file of the texts of which only digests are known."""

    @pytest.fixture
    def deleted(self, moved):
        """The account, which has handed out a key whose row is deleted, and another whose row is there."""
        policy = Policy.objects.get(pk=POOL)
        policy.pool.pop(AUDIT).delete()
        policy.pool.pop(AUDIT)
        return moved

    def leave(self, account):
        """Export the account and delete it without a trace, as on another server; its files, as options."""
        digests = StringIO()
        write_used_digests(account, digests)
        files = {"export": exported(account), "tokens": tokens_of(account), "used_digests": digests.getvalue().encode()}
        TestUsedBefore().forget(account)
        UsedText.objects.all().delete()
        return files

    def import_files(self, files, **options):
        files = files | options
        digests = files.pop("used_digests", None)
        return import_fixture(**files, used_digests=digests and BytesIO(digests))

    @pytest.mark.django_db(transaction=True)
    def test_they_are_marked_again(self, deleted):
        files = self.leave(deleted)

        report = self.import_files(files, used_keys=[key_file(WAITING[1])])

        assert report.counts["used digests"].kept >= 1
        assert add(WAITING[0], WAITING[1]) == 0
        assert sorted(pop_all()) == WAITING[2:]

    @pytest.mark.django_db(transaction=True)
    def test_missing_files_are_refused_unless_told(self, deleted):
        files = self.leave(deleted)
        other = {"used_digests": files["used_digests"].replace(ACCOUNT_ID.encode(), str(uuid4()).encode())}
        cases = {
            "--used-digests": {"used_digests": None, "used_keys": [key_file(WAITING[1])]},
            "1 used key without a license, and the files of --used-keys have 0": {},
            "of another account": other,
            "ends too early": {
                "used_digests": files["used_digests"].rpartition(b"end,")[0],
                "used_keys": [key_file(WAITING[1])],
            },
            "not written by export_account": {"used_digests": b"key,a\nABC,b\n"},
            "malformed": {"used_digests": files["used_digests"].replace(b"\nkey,", b"\nkey,x")},
        }
        before = everything()
        for said, options in cases.items():
            with pytest.raises(UsedKeysUncertain) as error:
                self.import_files(files, **options)
            assert said in error.value.detail or said == "malformed", (said, error.value.detail)
        assert everything() == before
        assert self.import_files(files, used_digests=None, accept_unmarked=True)

    @pytest.mark.django_db(transaction=True)
    def test_digests_of_another_server_are_refused_unless_told(self, deleted):
        files = self.leave(deleted)
        lines = files["used_digests"].decode().splitlines()
        lines[2] = "digest key," + "ab" * 32
        files["used_digests"] = "\n".join(lines).encode()

        with pytest.raises(UsedKeysUncertain) as error:
            self.import_files(files, used_keys=[key_file(WAITING[1])])
        assert "only digests are known" in error.value.detail

        report = self.import_files(files, used_keys=[key_file(WAITING[1])], accept_unmarked=True)
        assert any(each.class_name == "used digests" and not each.kept for each in report.findings)

    def test_export_of_keygen_needs_no_such_file(self, db):
        assert import_fixture().named_left_out == 0

    @pytest.mark.django_db(transaction=True)
    def test_commands_write_and_read_the_file(self, deleted, tmp_path):
        names = {"--output": "x.export", "--tokens": "t.csv", "--used-keys": "u.csv", "--used-digests": "d.csv"}
        files = {option: tmp_path / name for option, name in names.items()}
        out = manage_here("export_account", "example-com", *(each for pair in files.items() for each in pair))
        assert out.code == 0, out.err
        assert "usedDigests" in out.err
        assert manage_here("import_account", files["--output"]).code == 1  # used since
        TestUsedBefore().forget(deleted)
        UsedText.objects.all().delete()
        arguments = [each for option, file in files.items() if option != "--output" for each in (option, file)]

        refused = manage_here("import_account", files["--output"], *arguments[:-2])
        assert (refused.code, "--used-digests" in refused.err) == (1, True)
        taken = manage_here("import_account", files["--output"], *arguments, "--json")

        assert taken.code == 0, taken.err
        assert [each["class"] for each in json.loads(taken.out)["classes"]][-2:] == ["used keys", "used digests"]
        assert add(WAITING[0], WAITING[1]) == 0


class TestReading:
    """Every response that shows the text of a waiting key makes the account used."""

    READINGS = {
        "a list by the API": lambda: API(SECRETS["tokens"]["admin"], ACCOUNT_ID).get("keys"),
        "a key by the API": lambda: API(SECRETS["tokens"]["admin"], ACCOUNT_ID).get(
            f"keys/{Key.objects.with_key(WAITING[0]).get().pk}"
        ),
        "a pool by the API": lambda: API(SECRETS["tokens"]["admin"], ACCOUNT_ID).get(f"policies/{POOL}/pool"),
        "an export of keys": lambda: list(
            export_keys(policy=Policy.objects.get(pk=POOL), audit=AuditContext(operator="tests"))
        ),
        "an export of the account": lambda: manage_here("export_account", "example-com", "--output", "/dev/null"),
        "a disclosure": lambda: Key.objects.with_key(WAITING[0]).disclose(Key.Disclosure.REVEALED, AUDIT),
    }

    @pytest.fixture(autouse=True)
    def recorded_use(self, no_recorded_token_use, monkeypatch):
        """Record the use of a token immediately. Production does it shortly after the response."""
        use = lambda token: Token.objects.filter(pk=token.pk).record_use()  # noqa: E731
        monkeypatch.setattr("accounts.token_use.note_use", use)

    @pytest.mark.django_db(transaction=True)
    @pytest.mark.parametrize("reading", READINGS)
    def test_newer_import_is_refused(self, moved, reading):
        self.READINGS[reading]()

        assert "was used since" in (stopped(lambda: import_fixture(newer())) or "")


@pytest.mark.parametrize("message", ["database is locked", "canceling statement due to lock timeout"])
def test_locked_database_is_one_line(message):
    assert "Run the command again" in (explain_database(message) or "")
