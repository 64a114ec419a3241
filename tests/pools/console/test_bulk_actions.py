"""Actions on rows chosen in a list: the choice stays on the server; many rows are changed in the background."""

from datetime import timedelta

import pytest
from django.contrib import admin
from django.utils import timezone

from accounts.admin import bulk_actions
from accounts.admin.actions import RowAction
from accounts.admin.bulk_actions import run_bulk_action
from accounts.models import BulkAction
from accounts.services import set_console_access
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff


@pytest.fixture
def keys(acme):
    return add_keys(acme.policy, *numbered(5))


@pytest.fixture
def queued(monkeypatch):
    """Jobs that are put into the background queue. They do not run."""
    jobs = []
    monkeypatch.setattr(bulk_actions._queue, "put", lambda function, *args: jobs.append((function, args)))
    return jobs


@pytest.fixture
def few_at_once(monkeypatch):
    monkeypatch.setattr("accounts.admin.bulk_actions.MAX_ROWS_AT_ONCE", 2)
    monkeypatch.setattr("accounts.admin.base.MAX_ROWS_AT_ONCE", 2)
    monkeypatch.setattr("accounts.admin.bulk_actions.LOADED_ROWS", 2)


def choose(client, keys, action="withdraw", **query):
    """Choose keys in the list, and return the URL of the action's page."""
    response = client.post(
        page("pools_key_changelist", **query), {"action": action, "_selected_action": [key.pk for key in keys]}
    )
    return response["Location"]


def withdrawn():
    return Key.objects.filter(withdrawn__isnull=False).count()


class TestChoice:
    def test_choice_is_not_in_the_url(self, acme, client, keys):
        url = choose(client, keys)

        assert not any(str(key.pk) in url for key in keys)
        assert len(client.get(url).context["rows"]) == 5

    def test_all_rows_of_a_list_are_chosen_beyond_its_page(self, acme, client):
        keys = add_keys(acme.policy, *numbered(60))

        response = client.post(
            page("pools_key_changelist", policy=acme.policy.pk),
            {"action": "withdraw", "select_across": "1", "_selected_action": [keys[0].pk]},
        )

        assert len(client.get(response["Location"]).context["rows"]) == 60

    def test_choice_of_too_many_rows_is_refused(self, acme, client, keys, monkeypatch):
        monkeypatch.setattr("accounts.admin.bulk_actions.MAX_ROWS", 4)

        response = client.post(
            page("pools_key_changelist"),
            {"action": "withdraw", "_selected_action": [key.pk for key in keys]},
            follow=True,
        )

        assert "These are more than 4 rows" in response.content.decode()
        assert not BulkAction.objects.exists()

    def test_choice_is_only_valid_for_its_operator(self, acme, rival, client, keys):
        url = choose(client, keys)

        for other in (staff(acme, email="ben@acme.test"), staff(rival)):
            assert signed_in(other).get(url).status_code == 404

    def test_choice_is_only_valid_for_its_action(self, acme, client, keys):
        url = choose(client, keys)

        assert client.get(url.replace("/withdraw/", "/return/")).status_code == 404

    def test_list_keeps_its_filters_afterwards(self, acme, client, keys):
        url = choose(client, keys[:2], policy=acme.policy.pk, state="available")

        response = client.post(url, {})

        assert response["Location"] == f"{page('pools_key_changelist')}?policy={acme.policy.pk}&state=available"

    def test_search_of_a_list_is_not_stored(self, acme, client, keys):
        choose(client, keys[:2], q="KEY-0001")

        assert "KEY-0001" not in str(BulkAction.objects.values().get())

    def test_old_choices_are_deleted(self, acme, client, keys):
        choose(client, keys)
        BulkAction.objects.update(created=timezone.now() - timedelta(days=8))

        choose(client, keys)

        assert BulkAction.objects.count() == 1


def test_each_action_on_several_rows_can_run_in_the_background():
    for model_admin in admin.site._registry.values():
        for action in getattr(model_admin, "confirmed_actions", ()):
            assert isinstance(action, RowAction) or not action.for_many, action


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("few_at_once")
class TestBackground:
    def begin(self, client, keys, **values):
        """Confirm the retirement of keys, and return the bulk action."""
        response = client.post(choose(client, keys), values)
        bulk = BulkAction.objects.get()
        assert response["Location"] == page("bulk_action", bulk.pk)
        return bulk

    def test_many_rows_are_changed_in_the_background(self, acme, client, ann, keys, queued):
        bulk = self.begin(client, keys, reason="leaked", reference="T-1")
        assert withdrawn() == 0
        assert "0 of 5 done" in client.get(page("bulk_action", bulk.pk)).content.decode()

        for function, args in queued:
            function(*args)

        assert withdrawn() == 5
        events = KeyEvent.objects.filter(event="withdrawn", reference="T-1", operator_id=ann.pk)
        assert [event.details["reason"] for event in events] == ["leaked"] * 5
        assert client.get(page("bulk_action_progress", bulk.pk)).json()["running"] is False

    def test_rows_that_a_rule_refuses_are_counted_by_the_reason(self, acme, client, keys, queued):
        bulk = self.begin(client, keys)
        client.post(page("pools_key_withdraw", id=keys[0].pk))
        keys[1].delete()

        run_bulk_action(bulk.pk, 1)

        bulk.refresh_from_db()
        assert (bulk.done, bulk.changed) == (5, 3)
        assert sorted(bulk.refused.values()) == [1, 1]
        for reason in bulk.refused:
            assert reason in client.get(page("bulk_action", bulk.pk)).content.decode()

    def test_action_goes_on_where_another_process_ended(self, acme, client, keys, queued, monkeypatch):
        bulk = self.begin(client, keys)
        apply = bulk_actions._run_on_row
        calls = []

        def end_after_three(*args):
            calls.append(args)
            if len(calls) > 3:
                raise SystemExit
            apply(*args)

        monkeypatch.setattr(bulk_actions, "_run_on_row", end_after_three)
        with pytest.raises(SystemExit):
            run_bulk_action(bulk.pk, 1)
        monkeypatch.setattr(bulk_actions, "_run_on_row", apply)
        assert withdrawn() == 3
        queued.clear()

        client.get(page("bulk_action_progress", bulk.pk))
        assert queued == []  # the other process may still be at work
        BulkAction.objects.update(alive=timezone.now() - timedelta(minutes=1))
        client.get(page("bulk_action_progress", bulk.pk))
        client.get(page("bulk_action_progress", bulk.pk))
        ((function, args),) = queued
        function(*args)

        bulk.refresh_from_db()
        assert (withdrawn(), bulk.changed, bulk.refused) == (5, 5, {})

    def test_process_that_was_replaced_changes_nothing_more(self, acme, client, keys, queued):
        bulk = self.begin(client, keys)
        BulkAction.objects.update(claims=2)

        run_bulk_action(bulk.pk, 1)

        assert withdrawn() == 0

    def test_banned_operator_changes_nothing_more(self, acme, client, ann, keys, queued):
        bulk = self.begin(client, keys)
        ann.banned = timezone.now()
        ann.save()

        run_bulk_action(bulk.pk, 1)

        assert withdrawn() == 0
        assert BulkAction.objects.get().finished

    def test_row_that_was_deleted_after_it_was_loaded_is_counted(self, acme, audit, client, keys, queued, monkeypatch):
        licenses = [issue_license(policy=acme.policy, audit=audit) for _ in range(3)]
        ids = sorted(license.pk for license in licenses)
        choice = {"action": "revoke", "_selected_action": ids}
        client.post(client.post(page("licensing_license_changelist"), choice)["Location"], {})
        change_row = bulk_actions._run_on_row

        def delete_the_next_before(*args):
            License.objects.filter(pk=ids[1]).delete()
            change_row(*args)

        monkeypatch.setattr(bulk_actions, "_run_on_row", delete_the_next_before)
        bulk = BulkAction.objects.get()
        run_bulk_action(bulk.pk, 1)

        bulk.refresh_from_db()
        assert (bulk.done, bulk.changed, bulk.refused) == (3, 2, {"was deleted meanwhile": 1})

    @pytest.mark.parametrize("loss", ["group", "access"])
    def test_operator_who_loses_the_permission_changes_nothing_more(
        self, acme, client, ann, keys, queued, monkeypatch, loss
    ):
        bulk = self.begin(client, keys)
        change_row = bulk_actions._run_on_row

        def lose_it_afterwards(*args):
            change_row(*args)
            if loss == "group":
                ann.groups.clear()
            else:
                set_console_access(ann, None)

        monkeypatch.setattr(bulk_actions, "_run_on_row", lose_it_afterwards)
        run_bulk_action(bulk.pk, 1)

        assert withdrawn() == 2  # those that were loaded before
        assert list(BulkAction.objects.get().refused.values()) == [3]

    def test_form_that_is_sent_twice_runs_once(self, acme, client, keys, queued):
        url = choose(client, keys)
        once = str(client.get(url).context["once"])

        client.post(url, {"once": once})
        client.post(url, {"once": once})
        client.post(url, {})

        assert len(queued) == 1

    def test_progress_is_only_shown_to_its_operator(self, acme, client, keys, queued):
        bulk = self.begin(client, keys)

        other = signed_in(staff(acme, email="ben@acme.test"))

        assert other.get(page("bulk_action", bulk.pk)).status_code == 404
        assert other.get(page("bulk_action_progress", bulk.pk)).status_code == 404
