"""The triggers that keep used texts, in the database that the migrations have made."""

import re
from datetime import timedelta

import pytest
from django.core.checks import run_checks
from django.db import connection, models, transaction
from django.utils import timezone

from accounts.audit import AuditContext
from keygen_site.db.key_digests import key_digest
from licensing.models import License
from licensing.services import issue_license
from pools import checks
from pools.models import Key, UsedText
from pools.services.keys import pop_keys
from pools.triggers import TRIGGERS, create_triggers, drop_triggers, missing_triggers
from tests.cast import add_keys, make_license, numbered

pytestmark = pytest.mark.django_db
CONSOLE = AuditContext(operator="ann@acme.test")


def used():
    """(kind, text) of all rows, of the texts that these tests use."""
    texts = {key_digest(text): text for text in [*numbered(9), "LICENSE-0001"]}
    return sorted((row.kind, texts[bytes(row.digest)]) for row in UsedText.objects.all())


def problems():
    return [problem for problem in run_checks(tags=["database"], databases=["default"]) if problem.id == "pools.E001"]


class TestCheck:
    def test_trigger_check_finds_nothing_in_a_migrated_database(self):
        assert missing_triggers(connection) == []
        assert problems() == []

    @pytest.mark.parametrize("trigger", TRIGGERS, ids=lambda trigger: trigger.name)
    def test_trigger_check_finds_a_trigger_that_is_gone(self, trigger):
        on = f" ON {trigger.table}" if connection.vendor == "postgresql" else ""
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TRIGGER {trigger.name}{on}")

        (problem,) = problems()

        assert problem.is_serious()
        assert trigger.name in problem.msg
        exec(re.search(r'shell -c "(.*)"', problem.hint)[1])  # the hint can be pasted
        assert problems() == []

    @pytest.mark.postgresql
    def test_trigger_check_finds_a_trigger_that_is_disabled(self):
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE licensing_license DISABLE TRIGGER USER")

        (problem,) = problems()

        assert "pools_used_license_deleted, pools_used_license_changed" in problem.msg

    @pytest.mark.sqlite
    @pytest.mark.django_db(transaction=True)
    def test_trigger_check_finds_what_remaking_a_table_has_taken_away(self):
        field = License._meta.get_field("uses")
        with connection.schema_editor() as editor:
            wider = models.BigIntegerField(default=0)
            wider.set_attributes_from_name("uses")
            wider.model = License
            editor.alter_field(License, field, wider)
        lost = missing_triggers(connection)
        with connection.schema_editor() as editor:
            editor.alter_field(License, wider, field)
            create_triggers(editor.connection)

        assert lost == ["pools_used_license_deleted", "pools_used_license_changed"]
        assert problems() == []

    def test_trigger_check_says_nothing_before_the_migration(self, monkeypatch):
        drop_triggers(connection)
        assert problems()
        monkeypatch.setattr(checks, "TRIGGER_MIGRATION", ("pools", "0099_not_applied"))

        assert problems() == []


class TestTriggers:
    def test_triggers_keep_the_texts_of_all_rows_of_a_statement(self, acme, audit):
        add_keys(acme.policy, *numbered(4))
        pop_keys(policy=acme.policy, count=2, audit=audit)
        Key.objects.with_key("KEY-0003").update(withdrawn=timezone.now())

        Key.objects.all().delete()

        assert used() == [("key", text) for text in numbered(3)]

    def test_triggers_keep_nothing_of_a_rolled_back_deletion(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)

        with transaction.atomic():
            acme.policy.delete()
            assert used() == [("key", "KEY-0001")]
            transaction.set_rollback(True)

        assert used() == []

    def test_triggers_make_a_text_of_a_license_one_of_a_key_and_never_the_other_way(self, acme, audit):
        (key,) = add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit)

        license.delete()
        assert used() == [("license", "KEY-0001")]
        key.delete()
        assert used() == [("key", "KEY-0001")]
        make_license(acme.unpooled, "KEY-0001").delete()
        assert used() == [("key", "KEY-0001")]

    def test_triggers_do_not_mind_other_changes(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        key = acme.policy.pool.pop(audit)
        license = make_license(acme.unpooled, "LICENSE-0001")

        key.save()
        license.save()
        Key.objects.update(digest=key_digest("KEY-0001"))
        acme.policy.delete()

        assert used() == [("key", "KEY-0001")]

    def test_triggers_note_when(self, acme):
        make_license(acme.unpooled, "LICENSE-0001").delete()

        assert abs(UsedText.objects.get().created - timezone.now()) < timedelta(minutes=1)

    def test_triggers_do_not_keep_an_account_from_being_deleted(self, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        issue_license(policy=acme.policy, audit=audit)

        acme.account.delete()

        assert used() == [("key", "KEY-0001")]
