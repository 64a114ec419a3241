"""Imports in the console: the list, with those that are not finished, and the page of each with its actions."""

import pytest
from django.contrib.auth.models import Permission
from django.utils import timezone

from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.models.pending_imports import INTERRUPTED_AFTER, PENDING_IMPORT_LIFETIME
from pools.services.import_outlook import count_batch
from pools.services.pending_imports import check_pending_import, create_pending_import, run_pending_import
from tests.cast import make_policy, numbered
from tests.console import act, page, signed_in, staff, superuser
from tests.pools.background import send


@pytest.fixture
def batch(acme, audit):
    """An import of six keys, of which one was handed out and one was shown."""
    lines = [text.encode() for text in numbered(6)]
    pending = create_pending_import(policy=acme.policy, operator=acme.admin, blocks=[b"\n".join(lines)], name="Batch 1")
    check_pending_import(pending)
    run_pending_import(pending, skip_invalid=False)
    acme.policy.pool.pop(audit)
    Key.objects.filter(key="KEY-0002").disclose(Key.Disclosure.REVEALED, audit)
    return KeyImport.objects.get()


def text_of(client, batch):
    return client.get(page("pools_keyimport_change", batch.pk)).content.decode()


def texts(policy):
    return sorted(policy.pool.available().values_list("key", flat=True))


class TestOpenImports:
    def upload(self, acme, ann, data=b"KEY-0001\nKEY-0002\n", **fields):
        pending = create_pending_import(policy=acme.policy, operator=ann, blocks=[data], name="PO 4711")
        check_pending_import(pending)
        PendingImport.objects.filter(pk=pending.pk).update(**fields)
        return pending

    def listed(self, client):
        return client.get(page("pools_keyimport_changelist")).context["open_imports"]

    @pytest.mark.parametrize(
        ("fields", "state", "verb"),
        [
            ({}, "2 keys to confirm", "Review"),
            ({"state": "received"}, "Not looked at yet", "Preview"),
            ({"state": "importing", "lines": 1}, "Adding: 1 of 2 lines", "Watch"),
            ({"state": "importing", "queued": timezone.now()}, "Waits for another import", "Watch"),
            ({"state": "importing", "alive": timezone.now() - 2 * INTERRUPTED_AFTER}, "Interrupted", "Resume"),
            ({"state": "failed"}, "Needs a fix", "Review"),
        ],
    )
    def test_unfinished_imports_are_listed(self, acme, ann, client, fields, state, verb):
        pending = self.upload(acme, ann, **fields)

        (each,) = self.listed(client)

        assert (each["pending"].pk, each["state"], each["verb"]) == (pending.pk, state, verb)
        text = client.get(page("pools_keyimport_changelist")).content.decode()
        assert page("pools_pendingimport_change", pending.pk) in text
        assert "KEY-0001" not in text

    def test_finished_imports_are_not_listed(self, acme, ann, client):
        self.upload(acme, ann, state="done")

        assert self.listed(client) == []

    def test_imports_of_the_api_are_listed_while_they_run(self, acme, api, client):
        send(api(acme.admin), f"policies/{acme.policy.pk}/pool/actions", b"KEY-0001\n", "?background")

        (each,) = self.listed(client)

        assert each["state"] == "Waits for another import"

    def test_those_of_other_accounts_are_not(self, rival, client):
        self.upload(rival, staff(rival))

        assert self.listed(client) == []
        assert len(self.listed(signed_in(superuser()))) == 1

    def test_only_who_may_import_sees_them(self, acme, ann):
        self.upload(acme, ann)

        for group in ("Support", "Auditor"):
            response = signed_in(staff(acme, group)).get(page("pools_keyimport_changelist"))
            assert response.context["open_imports"] == []
            assert "Import keys</a>" not in response.content.decode()

    def test_a_restart_loses_nothing(self, acme, ann, client):
        """The process ended after the file had arrived, and before it was checked."""
        pending = create_pending_import(policy=acme.policy, operator=ann, blocks=[b"KEY-0001\n"])

        text = client.get(page("pools_pendingimport_change", pending.pk)).content.decode()

        assert "Add 1 key" in text


class TestPage:
    def test_it_says_what_became_of_the_keys(self, client, batch):
        counts = client.get(page("pools_keyimport_change", batch.pk)).context["counts"]

        assert (counts.available, counts.removable, counts.popped, counts.withdrawn) == (5, 4, 1, 0)

    def test_buttons_have_numbers(self, client, batch):
        text = text_of(client, batch)

        for button in ("Undo import: remove 4 unused keys", "Move 5 unused keys", "Retire 5 unused keys"):
            assert button in text

    def test_without_unused_keys_there_is_no_button(self, client, batch):
        act(client, "pools_keyimport_withdraw", batch)

        text = text_of(client, batch)

        assert "No unused keys are left in this batch" in text
        assert "acts/" not in text

    @pytest.mark.parametrize("group", ["Support", "Auditor"])
    def test_others_see_no_button(self, acme, batch, group):
        text = text_of(signed_in(staff(acme, group)), batch)

        assert "Batch 1" in text
        assert "acts/" not in text

    def test_large_imports_are_counted_up_to_a_bound(self, batch, monkeypatch):
        monkeypatch.setattr("pools.services.import_outlook.MAX_COUNTED_KEYS", 3)

        counts = count_batch(batch)

        assert (counts.available, counts.removable, counts.more, counts.popped) == (4, 3, True, None)


class TestUndo:
    def test_unused_keys_are_removed_and_can_come_again(self, acme, client, batch):
        act(client, "pools_keyimport_undo", batch, reference="Wrong file")

        assert texts(acme.policy) == ["KEY-0002"]  # a person has seen it
        event = KeyEvent.objects.latest("id")
        assert (event.event, event.operator, event.reference, event.details["count"]) == (
            "removed",
            "ann@acme.test",
            "Wrong file",
            4,
        )
        client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "KEY-0003\nKEY-0004\n"})
        assert PendingImport.objects.first().report["good"] == 2

    def test_it_goes_on_in_further_requests(self, acme, client, batch, monkeypatch):
        monkeypatch.setattr("pools.services.import_changes.BATCH_SIZE", 3)
        monkeypatch.setattr("pools.admin.import_actions.SECONDS", 1e-9)
        address = f"{page('pools_keyimport_undo')}?id={batch.pk}"
        done, requests = {}, 0
        while True:
            response = client.post(address, {"reference": "Wrong", **done})
            requests += 1
            if response.status_code == 302:
                break
            assert ("reference", "Wrong") in response.context["values"]
            done = {"done": response.context["done"]}

        assert requests > 1
        assert texts(acme.policy) == ["KEY-0002"]
        messages = [str(message) for message in client.get(response["Location"]).context["messages"]]
        assert messages[0].startswith("Import undone: 4 keys removed.")


class TestMove:
    def test_keys_are_handed_out_from_the_other_pool(self, acme, client, batch):
        other = make_policy(acme.product, "Other", use_pool=True)

        response = act(client, "pools_keyimport_move", batch, destination=other.pk)

        assert texts(other) == ["KEY-0002", "KEY-0003", "KEY-0004", "KEY-0005", "KEY-0006"]
        assert texts(acme.policy) == []
        assert response["Location"] == page("pools_keyimport_change", KeyImport.objects.get(policy=other).pk)

    def test_the_list_of_the_moved_keys_has_them(self, acme, client, batch):
        """They are older than the import that they are in now."""
        other, last = (make_policy(acme.product, name, use_pool=True) for name in ("Other", "Last"))
        act(client, "pools_keyimport_move", batch, destination=other.pk)
        act(client, "pools_keyimport_move", KeyImport.objects.get(policy=other), destination=last.pk)

        moved = KeyImport.objects.get(policy=last)
        response = client.get(page("pools_key_changelist", policy=last.pk) + f"&import={moved.pk}")

        assert response.context["cl"].result_count == 5

    def test_pools_of_other_accounts_are_no_choice(self, acme, rival, client, batch):
        for pool in (rival.policy, acme.unpooled, acme.policy):
            response = act(client, "pools_keyimport_move", batch, destination=pool.pk)
            assert response.status_code == 200
            assert "Select a valid choice" in response.content.decode()
        assert len(texts(acme.policy)) == 5

    def test_it_takes_both_permissions(self, acme, client, ann, batch):
        ann.groups.clear()
        ann.user_permissions.set(Permission.objects.filter(codename__in=["view_keyimport", "withdraw_key"]))

        assert act(client, "pools_keyimport_move", batch).status_code == 403
        assert "Move 5" not in text_of(client, batch)


def test_name_of_an_import_without_one_is_no_uuid(acme):
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy)

    assert str(key_import).startswith("Import of ")


def test_keys_of_an_expired_pending_import_are_deleted(acme, ann, client):
    pending = create_pending_import(policy=acme.policy, operator=ann, blocks=[b"KEY-0001\n"])
    PendingImport.objects.update(created=timezone.now() - PENDING_IMPORT_LIFETIME)

    assert client.get(page("pools_pendingimport_change", pending.pk)).status_code == 404
    client.get(page("pools_keyimport_changelist"))

    assert not PendingImport.objects.exists()
