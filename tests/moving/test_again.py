"""Importing an account that moved in before: the same changes nothing, a newer one replaces it or is refused."""

from datetime import UTC, datetime

import pytest

from accounts.models import Account, Token, User
from accounts.services import change_user
from licensing.models import License, Policy
from pools.management.commands.import_account import describe
from pools.models import Key, KeyEvent, Move, UsedText
from pools.moving.errors import AccountExists, AlreadyMoved
from pools.moving.reports import Finding, MoveReport
from tests.conftest import API
from tests.moving.exports import (
    ACCOUNT_ID,
    ENCRYPTED,
    PLAIN,
    SECRETS,
    SHOWN,
    import_fixture,
    read_export,
    write_export,
)
from tests.moving.test_no_key_twice import AUDIT, POOL, WAITING, key_file, pop_all
from tests.moving.test_refusals import everything

KEY = SECRETS["licenses"]["perpetual"]["key"]
USES = {
    "a pop": lambda: Policy.objects.get(pk=POOL).pool.pop(AUDIT),
    "a validation": lambda: API(account=ACCOUNT_ID).post("licenses/actions/validate-key", {"meta": {"key": KEY}}),
    "a change": lambda: change_user(User.objects.get(email="mia@example.com"), {"first_name": "Mia-Maria"}),
    "a deletion": lambda: License.objects.get(pk=SECRETS["licenses"]["counted"]["id"]).delete(),
    "a token": lambda: Token.generate(User.objects.get(email="mia@example.com")),
}


def newer():
    """The export with another name of the account, another key and one license less."""
    rows = read_export()
    rows["Account"][0]["name"] = "Newer"
    rows["Key"][0]["key"] = "A-NEWER-KEY"
    gone = SECRETS["licenses"]["suspended"]["id"]
    for name, column in (("License", "id"), ("Role", "resource_id")):
        rows[name] = [row for row in rows[name] if row[column] != gone]
    return write_export(rows)


class TestSame:
    @pytest.mark.parametrize(("export", "secret"), [(PLAIN, None), (ENCRYPTED, SECRETS["exportSecret"])])
    def test_same_export_changes_nothing(self, moved, export, secret):
        before = everything()

        with pytest.raises(AlreadyMoved):
            import_fixture(export, secret=secret)

        assert everything() == before

    def test_same_export_changes_nothing_after_the_account_was_used(self, moved):
        pop_all()
        before = everything()

        with pytest.raises(AlreadyMoved):
            import_fixture()

        assert everything() == before


class TestNewer:
    def test_newer_export_replaces_an_account_that_was_not_used(self, moved):
        report = import_fixture(newer())

        assert report.replaced
        assert Account.objects.get(pk=ACCOUNT_ID).name == "Newer"
        assert License.objects.filter(account=ACCOUNT_ID).count() == len(SHOWN["licenses"]) - 1
        assert sorted(pop_all()) == sorted([*WAITING[1:], "A-NEWER-KEY"])
        assert Move.objects.count() == KeyEvent.objects.filter(policy=POOL, event="added").count() == 1
        assert API(SECRETS["tokens"]["admin"], ACCOUNT_ID).get("me").status_code == 200

    def test_replacing_leaves_no_used_texts_of_the_earlier_rows(self, moved):
        before = UsedText.objects.count()

        import_fixture(newer())

        assert UsedText.objects.count() == before

    def test_further_tokens_or_used_keys_count_as_newer(self, moved):
        assert import_fixture(tokens=None, without_tokens=True).replaced
        assert import_fixture(used_keys=[key_file(WAITING[0])]).replaced
        assert not Key.objects.with_key(WAITING[0]).exists()

    @pytest.mark.parametrize("use", USES)
    def test_newer_export_is_refused_after_the_account_was_used(self, moved, use):
        USES[use]()
        before = everything()

        with pytest.raises(AccountExists) as error:
            import_fixture(newer())

        assert "was used since" in error.value.detail
        assert everything() == before

    def test_dry_run_says_so_too(self, moved):
        before = everything()

        assert import_fixture(newer(), dry_run=True).replaced

        assert everything() == before
        pop_all()
        with pytest.raises(AccountExists):
            import_fixture(newer(), dry_run=True)


class TestReport:
    def test_move_is_kept_with_its_report(self, moved):
        move = Move.objects.get(account=moved)

        kept = {each["class"]: each["kept"] for each in move.summary}
        assert (kept["License"], kept["Key"], kept["WebhookEndpoint"]) == (17, 19, 0)
        assert move.sha256.startswith("c95c6bde")
        assert move.findings == []

    def test_values_without_a_field_are_named(self, db):
        rows = read_export()
        rows["Machine"][0]["max_processes_override"] = 7
        rows["User"][0]["sso_idp_id"] = "idp"
        rows["License"][0]["invented"] = "x"

        report = import_fixture(write_export(rows))

        named = {(each.class_name, each.label) for each in report.findings}
        assert named == {("Machine", "max_processes_override"), ("User", "sso_idp_id")}
        assert report.named_left_out == 0

    def test_many_rows_of_a_kind_do_not_hide_another_one(self):
        report = MoveReport()
        for number in range(2_000):
            report.leave_out(Finding("Key", str(number), "BETA…7919", "has been used", False), "has been used")
        report.find(Finding("Policy", "last", "Beta", "has no pool", True))

        lines = list(describe(report, 1.0))

        assert (report.findings_count, report.findings[-1].id) == (2_001, "last")
        assert "  Policy last Beta: has no pool" in lines
        assert lines[-1] == f"  and {2_001 - 6:,} more: --report FILE writes all"

    def test_dry_run_has_the_same_report(self, db):
        dry, real = import_fixture(dry_run=True), import_fixture()

        assert dry.summary == real.summary
        assert Account.objects.filter(pk=ACCOUNT_ID).exists()

    def test_settings_that_this_server_knows_are_kept(self, db):
        rows = read_export()
        row = {"account_id": ACCOUNT_ID, "created_at": datetime.now(UTC), "updated_at": datetime.now(UTC)}
        ids = ("10000000-0000-4000-8000-000000000000", "20000000-0000-4000-8000-000000000000")
        rows["AccountSetting"] = [
            row | {"id": ids[0], "key": "default_user_permissions", "value": ["license.validate"]},
            row | {"id": ids[1], "key": "default_license_permissions", "value": ["license.fly"]},
        ]
        rows["RolePermission"] = rows.pop("RolePermission")  # the last class, as in a whole export

        report = import_fixture(write_export(rows))

        assert Account.objects.get(pk=ACCOUNT_ID).setting_values == {"default_user_permissions": ["license.validate"]}
        assert [each.id for each in report.findings] == [ids[1]]
