"""The actions on a pool: popping many, returning, withdrawing."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from licensing.models import License
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from pools.services.exports import export_keys
from pools.services.keys import pop_keys_for_operator, reveal_key
from tests.cast import add_key, add_keys, make_policy, numbered
from tests.errors import assert_refused, bad_request, explained, forbidden, lacks_permission
from tests.pools.documents import key_object
from tests.pools.test_pool import EMPTY, NOT_SUPPORTED
from tests.tables import each_row

KEY_NOT_FOUND = {"title": "Not found", "detail": "The requested key was not found in the pool", "code": "NOT_FOUND"}


def refused(detail, code=None, member="key"):
    error = {"title": "Unprocessable entity", "detail": detail, "source": {"pointer": f"/meta/{member}"}}
    return explained(error | {"code": code}) if code else error


HELD = refused("is held by a license", "KEY_ISSUED")
ISSUED = refused("was issued with a license: it stays popped, so pop another key instead", "KEY_ISSUED")
DISCLOSED = refused("was shown to a person: it stays popped, so pop another key instead", "KEY_DISCLOSED")
UNDELIVERED = refused(
    "must be true, to confirm that the key was not delivered; otherwise pop another key instead",
    "UNDELIVERED_REQUIRED",
    "undelivered",
)


def events():
    return [event.event for event in KeyEvent.objects.order_by("id")]


class TestPopMany:
    def test_pop_many_takes_the_oldest_in_order(self, act, acme):
        keys = add_keys(acme.policy, *numbered(5))

        response = act("pop", count=3)

        assert (response.status_code, response.json()) == (200, {"data": [key_object(key) for key in keys[:3]]})
        assert [key.key for key in acme.policy.pool.available().order_by("id")] == numbered(5)[3:]
        assert events() == ["popped"] * 3

    def test_pop_many_takes_all_or_none(self, act, acme):
        add_keys(acme.policy, *numbered(2))

        response = act("pop", count=3)

        assert_refused(response, 422, EMPTY | {"detail": "pool has fewer keys than asked for"})
        assert acme.policy.pool.available().count() == 2
        assert events() == []

    def test_pop_many_of_nothing_is_refused_like_a_pop(self, act, acme):
        assert_refused(act("pop", count=1), 422, EMPTY)
        assert_refused(act("pop", count=1, of=acme.unpooled), 422, NOT_SUPPORTED)

    def test_pop_many_takes_a_hundred_at_most(self, act, acme):
        add_keys(acme.policy, *numbered(100))

        assert len(act("pop", count=100).json()["data"]) == 100

    @pytest.mark.parametrize("count", [0, -1, 101, 10**12])
    def test_pop_many_refuses_a_count(self, act, acme, count):
        add_keys(acme.policy, "KEY-0001")

        error = bad_request(f"must be a number between 1 and 100 (got {count})", "/meta/count")
        assert_refused(act("pop", count=count), 400, error)
        assert acme.policy.pool.available().exists()

    @pytest.mark.parametrize(
        ("meta", "detail", "pointer"),
        [
            ({}, "is missing", "/meta/count"),
            ({"count": "3"}, "type mismatch (received string expected integer)", "/meta/count"),
            ({"count": None}, "cannot be null", "/meta/count"),
            ({"count": 1, "foo": 1}, "unpermitted parameter", "/meta/foo"),
        ],
    )
    def test_pop_many_refuses_a_malformed_document(self, act, meta, detail, pointer):
        assert_refused(act("pop", **meta), 400, bad_request(detail, pointer))

    def test_pop_many_is_for_those_who_may_pop(self, act, acme):
        add_keys(acme.policy, *numbered(2))

        assert act("pop", acme.product, count=2).status_code == 200
        assert_refused(act("pop", acme.user("sales-agent"), count=1), 403, forbidden())
        assert_refused(act("pop", acme.user("read-only"), count=1), 403, lacks_permission("read-only"))


class TestReturn:
    def test_return_puts_the_key_back_to_its_place(self, act, acme, audit):
        keys = add_keys(acme.policy, *numbered(3))
        for _ in range(2):
            acme.policy.pool.pop(audit)

        response = act("return", key="KEY-0001", undelivered=True)

        assert (response.status_code, response.json()) == (200, {"data": key_object(keys[0])})
        assert [acme.policy.pool.pop(audit).key for _ in range(2)] == ["KEY-0001", "KEY-0003"]
        assert events() == ["popped", "popped", "returned", "popped", "popped"]

    @pytest.mark.django_db(transaction=True)
    def test_return_makes_it_the_next_to_go_at_once(self, act, acme, audit):
        # With the hint of a pop that was committed: the claim would begin behind the key.
        add_keys(acme.policy, *numbered(3))
        for _ in range(2):
            acme.policy.pool.pop(audit)

        act("return", key="KEY-0001", undelivered=True)

        assert acme.policy.pool.pop(audit).key == "KEY-0001"

    def test_return_of_a_key_that_was_popped_by_a_command_puts_it_back(self, act, acme, capsys):
        add_keys(acme.policy, "KEY-0001")
        call_command("pop_key", "--policy", str(acme.policy.pk))

        assert act("return", key="KEY-0001", undelivered=True).status_code == 200

    @pytest.mark.parametrize("meta", [{}, {"undelivered": False}, {"undelivered": None}])
    def test_return_needs_a_confirmation_that_the_key_was_not_delivered(self, act, acme, audit, meta):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)

        assert_refused(act("return", key="KEY-0001", **meta), 422, UNDELIVERED)
        assert Key.objects.get().popped

    @pytest.mark.parametrize("undelivered", ["true", 1, []])
    def test_return_refuses_a_word_that_is_no_boolean(self, act, acme, audit, undelivered):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)

        response = act("return", key="KEY-0001", undelivered=undelivered)

        assert response.status_code == 400
        assert response.json()["errors"][0]["source"] == {"pointer": "/meta/undelivered"}
        assert Key.objects.get().popped

    # An error of the key itself is reported first, with or without `undelivered`.
    @pytest.mark.parametrize("undelivered", [True, False])
    class TestIsRefused:
        def refused(self, act, undelivered, error, status=422):
            popped = Key.objects.values_list("popped")
            before = list(popped)
            assert_refused(act("return", key="KEY-0001", undelivered=undelivered), status, error)
            assert list(popped) == before

        def test_return_of_a_waiting_key(self, act, acme, undelivered):
            add_keys(acme.policy, "KEY-0001")

            self.refused(act, undelivered, refused("is still waiting in the pool"))

        def test_return_of_a_withdrawn_key(self, act, acme, undelivered):
            add_keys(acme.policy, "KEY-0001")
            act("withdraw", key="KEY-0001")

            self.refused(act, undelivered, refused("has been withdrawn"))

        def test_return_of_an_issued_key_also_when_its_license_is_gone(self, act, acme, audit, undelivered):
            add_keys(acme.policy, "KEY-0001")
            license = issue_license(policy=acme.policy, audit=audit)

            self.refused(act, undelivered, HELD)
            license.delete()
            self.refused(act, undelivered, ISSUED)

        def test_return_of_a_key_that_was_revealed_after_its_pop(self, act, acme, audit, undelivered):
            add_keys(acme.policy, "KEY-0001")
            reveal_key(acme.policy.pool.pop(audit), audit)

            self.refused(act, undelivered, DISCLOSED)

        def test_return_of_a_key_that_was_revealed_before_its_pop(self, act, acme, audit, undelivered):
            (key,) = add_keys(acme.policy, "KEY-0001")
            reveal_key(key, audit)
            acme.policy.pool.pop(audit)

            self.refused(act, undelivered, DISCLOSED)

        def test_return_of_a_key_that_was_popped_in_the_console(self, act, acme, undelivered):
            add_keys(acme.policy, "KEY-0001")
            pop_keys_for_operator(
                policy=acme.policy, count=1, audit=AuditContext(operator="ann@acme.test", request_id=str(uuid7()))
            )

            self.refused(act, undelivered, DISCLOSED)

        @pytest.mark.parametrize("state", ["available", "all"])
        def test_return_of_a_key_that_was_exported_before_its_pop(self, act, acme, audit, undelivered, state):
            add_keys(acme.policy, "KEY-0001")
            list(export_keys(policy=acme.policy, audit=audit, state=state))
            acme.policy.pool.pop(audit)

            self.refused(act, undelivered, DISCLOSED)

        @pytest.mark.parametrize("state", ["popped", "all"])
        def test_return_of_a_key_that_was_exported_after_its_pop(self, act, acme, audit, undelivered, state):
            add_keys(acme.policy, "KEY-0001")
            acme.policy.pool.pop(audit)
            list(export_keys(policy=acme.policy, audit=audit, state=state))

            self.refused(act, undelivered, DISCLOSED)

    def test_return_of_a_key_of_another_pool_is_not_found(self, act, acme, rival, audit):
        other = make_policy(acme.product, use_pool=True)
        for policy in (other, rival.policy):
            add_keys(policy, "KEY-0001")
            policy.pool.pop(audit)

        for text in ("KEY-0001", "nothing"):
            assert_refused(act("return", key=text), 404, KEY_NOT_FOUND)
        assert not Key.objects.available().exists()


class TestWithdraw:
    def test_withdraw_takes_a_key_out_of_circulation(self, api, act, acme, audit):
        key = add_keys(acme.policy, *numbered(2))[0]

        response = act("withdraw", key="KEY-0001")

        assert (response.status_code, response.json()) == (200, {"data": key_object(key)})
        assert api(acme.admin).get(f"keys/{key.pk}").status_code == 404
        assert acme.policy.pool.pop(audit).key == "KEY-0002"
        assert events() == ["withdrawn", "popped"]

    def test_withdraw_keeps_its_text_taken(self, act, acme):
        add_keys(acme.policy, "KEY-0001")
        act("withdraw", key="KEY-0001")

        with pytest.raises(Exception, match="has already been taken"):
            add_key(acme.policy, "KEY-0001")

    @pytest.mark.parametrize("issued", [True, False])
    def test_withdraw_retires_a_key_that_was_handed_out(self, act, acme, audit, issued):
        add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit) if issued else acme.policy.pool.pop(audit) and None

        response = act("withdraw", key="KEY-0001", reason="refunded")

        assert response.status_code == 200
        key = Key.objects.get()
        assert (key.state, key.popped is not None) == ("withdrawn", True)
        event = KeyEvent.objects.get(event="withdrawn")
        assert (event.details, event.license_id) == ({"reason": "refunded"}, license and license.pk)
        assert not License.objects.filter(suspended=True).exists()

    def test_withdraw_suspends_the_license_if_asked_to(self, act, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        license = issue_license(policy=acme.policy, audit=audit)

        assert act("withdraw", key="KEY-0001", suspendLicense=True).status_code == 200

        license.refresh_from_db()
        assert license.suspended

    def test_withdraw_of_a_suspended_license_is_no_error(self, act, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        issue_license(policy=acme.policy, audit=audit).suspend()

        assert act("withdraw", key="KEY-0001", suspendLicense=True).status_code == 200

    def test_withdraw_that_should_suspend_a_license_needs_one(self, act, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        acme.policy.pool.pop(audit)

        response = act("withdraw", key="KEY-0001", suspendLicense=True)

        assert_refused(response, 422, refused("is not held by a license, so no license can be suspended"))
        assert Key.objects.get().withdrawn is None

    def test_withdraw_of_a_withdrawn_key_is_refused(self, act, acme):
        add_keys(acme.policy, "KEY-0001")
        act("withdraw", key="KEY-0001")

        assert_refused(act("withdraw", key="KEY-0001"), 422, refused("has been withdrawn"))

    def test_withdraw_of_something_unknown_is_not_found(self, act, acme, rival):
        add_keys(rival.policy, "KEY-0001")

        assert_refused(act("withdraw", key="KEY-0001"), 404, KEY_NOT_FOUND)

    @each_row(
        ("action", "meta", "pointer"),
        [
            ("withdraw", {}, "/meta/key"),
            ("withdraw", {"key": ""}, "/meta/key"),
            ("withdraw", {"key": "KEY-0001", "reason": "x" * 256}, "/meta/reason"),
            ("withdraw", {"key": "KEY-0001", "reason": "two\nlines"}, "/meta/reason"),
            ("withdraw", {"key": "KEY-0001", "suspendLicense": "x"}, "/meta/suspendLicense"),
            ("replace", {}, "/meta/key"),
            ("replace", {"key": "KEY-0001", "reason": "x" * 256}, "/meta/reason"),
            ("undo-import", {}, "/meta/import"),
            ("undo-import", {"import": "x"}, "/meta/import"),
            ("withdraw-import", {"import": "x"}, "/meta/import"),
            ("move-import", {"import": str(uuid4())}, "/meta/policy"),
            ("move-import", {"import": str(uuid4()), "policy": 1}, "/meta/policy"),
        ],
    )
    def test_pool_action_refuses_a_malformed_document(self, act, action, meta, pointer):
        response = act(action, **meta)

        assert (response.status_code, response.json()["errors"][0]["source"]) == (400, {"pointer": pointer})


class TestReplace:
    def test_replace_hands_out_the_next_key_for_the_same_reference(self, api, act, acme):
        add_keys(acme.policy, *numbered(2))
        admin = api(acme.admin)
        admin.delete(f"policies/{acme.policy.pk}/pool", Keygen_Reference="Order 4711")

        response = act("replace", key="KEY-0001", reason="defective")

        old, new = Key.objects.order_by("id")
        assert (response.status_code, response.json()) == (200, {"data": key_object(new)})
        assert (old.state, new.state) == ("withdrawn", "popped")
        events = list(KeyEvent.objects.order_by("id").values_list("event", "key__key", "reference", "details"))
        assert events == [
            ("popped", "KEY-0001", "Order 4711", None),
            ("popped", "KEY-0002", "Order 4711", None),
            ("replaced", "KEY-0001", "Order 4711", {"reason": "defective", "replacement": str(new.pk)}),
        ]

    def test_replace_exchanges_the_key_of_the_license(self, api, act, acme, audit):
        add_keys(acme.policy, *numbered(2))
        license = issue_license(policy=acme.policy, audit=audit)

        act("replace", key="KEY-0001")

        license.refresh_from_db()
        assert license.key == "KEY-0002"
        admin = api(acme.admin)
        assert admin.get("licenses/KEY-0002").json()["data"]["id"] == str(license.pk)
        assert admin.get("licenses/KEY-0001").status_code == 404
        assert Key.objects.get(key="KEY-0002").disclosure == "issued"
        events = list(KeyEvent.objects.order_by("id").values_list("event", "license"))
        assert events == [("issued", license.pk), ("issued", license.pk), ("replaced", license.pk)]

    def test_replace_with_an_idempotency_key_runs_once(self, act, acme, audit):
        add_keys(acme.policy, *numbered(3))
        acme.policy.pool.pop(audit)

        first, second = (act("replace", key="KEY-0001", idempotency_key="one") for _ in range(2))

        assert first.json()["data"] == second.json()["data"]
        assert Key.objects.available().count() == 1

    def test_replace_gives_a_license_another_key_than_a_withdrawn_one(self, act, acme, audit):
        """The license would keep a leaked key otherwise."""
        add_keys(acme.policy, *numbered(2))
        license = issue_license(policy=acme.policy, audit=audit)
        assert act("withdraw", key="KEY-0001").status_code == 200

        assert act("replace", key="KEY-0001").status_code == 200

        license.refresh_from_db()
        assert license.key == "KEY-0002"
        assert act("replace", key="KEY-0001").status_code == 422

    def test_replace_of_the_key_of_a_deleted_license_is_refused(self, act, acme, audit):
        add_keys(acme.policy, *numbered(2))
        issue_license(policy=acme.policy, audit=audit).delete()

        detail = "was issued with a license that no longer has it: replace the key that the license has now"
        assert_refused(act("replace", key="KEY-0001"), 422, refused(detail, "KEY_ISSUED"))
        assert acme.policy.pool.available().count() == 1

    def test_replace_from_an_empty_pool_changes_nothing(self, act, acme, audit):
        add_keys(acme.policy, "KEY-0001")
        issue_license(policy=acme.policy, audit=audit)

        response = act("replace", key="KEY-0001")

        assert response.status_code == 422
        assert response.json()["errors"][0]["detail"] == "pool is empty"
        assert Key.objects.get().withdrawn is None
        assert events() == ["issued"]

    def test_replace_needs_a_key_that_was_handed_out(self, act, acme, rival):
        add_keys(acme.policy, "KEY-0001")
        add_keys(rival.policy, "KEY-0002")

        assert_refused(act("replace", key="KEY-0001"), 422, refused("is still waiting in the pool"))
        act("withdraw", key="KEY-0001")
        assert_refused(act("replace", key="KEY-0001"), 422, refused("has been withdrawn"))
        assert_refused(act("replace", key="KEY-0002"), 404, KEY_NOT_FOUND)
