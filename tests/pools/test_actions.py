"""The actions beside a pool: popping many, returning, withdrawing."""

from uuid import uuid4

import pytest
from django.core.management import call_command
from uuid_utils.compat import uuid7

from accounts.audit import AuditContext
from licensing.services import issue_license
from pools.models import Key, KeyEvent, KeyImport
from pools.services.exports import export_keys
from pools.services.keys import pop_keys_for_operator, reveal_key
from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, bad_request, forbidden, lacks_permission, not_found
from tests.pools.documents import key_object
from tests.pools.test_pool import EMPTY, NOT_SUPPORTED
from tests.tables import each_row

KEY_NOT_FOUND = {"title": "Not found", "detail": "The requested key was not found in the pool", "code": "NOT_FOUND"}


def refused(detail, code=None, member="key"):
    error = {"title": "Unprocessable entity", "detail": detail, "source": {"pointer": f"/meta/{member}"}}
    return error | ({"code": code} if code else {})


HELD = refused("is held by a license", "KEY_ISSUED")
ISSUED = refused("was issued with a license: it stays popped, so pop another key instead", "KEY_ISSUED")
DISCLOSED = refused("was shown to a person: it stays popped, so pop another key instead", "KEY_DISCLOSED")
UNDELIVERED = refused(
    "must be true, to confirm that the key was not delivered; otherwise pop another key instead",
    "UNDELIVERED_REQUIRED",
    "undelivered",
)


@pytest.fixture
def act(api, acme):
    """`act("pop", count=2)` does an action beside Acme's pool, as its admin or somebody else."""

    def post(action, bearer=None, policy=None, **meta):
        pool = f"policies/{(policy or acme.policy).pk}/pool"
        return api(bearer or acme.admin).post(f"{pool}/actions/{action}", {"meta": meta})

    return post


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
        assert_refused(act("pop", count=1, policy=acme.unpooled), 422, NOT_SUPPORTED)

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
    def test_return_needs_the_word_that_nobody_received_the_key(self, act, acme, audit, meta):
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

    # What is wrong with the key itself is said first, whatever the caller says.
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

        def test_return_of_a_key_that_an_earlier_version_revealed(self, act, acme, audit, undelivered):
            add_keys(acme.policy, "KEY-0001")
            key = acme.policy.pool.pop(audit)
            KeyEvent.about(KeyEvent.Event.REVEALED, key, audit).save()

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
            add_keys(acme.policy, "KEY-0001")

    def test_withdraw_takes_what_is_left_of_an_import(self, act, acme, audit):
        key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy, name="ACME PO 4711")
        add_keys(acme.policy, *numbered(4))
        Key.objects.filter(key__in=numbered(3)).update(key_import=key_import)
        acme.policy.pool.pop(audit)

        response = act("withdraw", **{"import": str(key_import.pk)})

        assert (response.status_code, response.json()) == (200, {"meta": {"withdrawn": 2}})
        assert [key.key for key in acme.policy.pool.available()] == ["KEY-0004"]
        assert events() == ["popped", "withdrawn", "withdrawn"]
        assert act("withdraw", **{"import": str(key_import.pk)}).json() == {"meta": {"withdrawn": 0}}

    @pytest.mark.parametrize(("popped", "detail"), [(True, "has already been popped"), (False, "has been withdrawn")])
    def test_withdraw_of_a_key_that_is_gone_is_refused(self, act, acme, audit, popped, detail):
        add_keys(acme.policy, "KEY-0001")
        if popped:
            acme.policy.pool.pop(audit)
        else:
            act("withdraw", key="KEY-0001")

        assert_refused(act("withdraw", key="KEY-0001"), 422, refused(detail))

    def test_withdraw_of_something_unknown_is_not_found(self, act, acme, rival):
        theirs = KeyImport.objects.create(account=rival.account, policy=rival.policy)
        add_keys(rival.policy, "KEY-0001")

        assert_refused(act("withdraw", key="KEY-0001"), 404, KEY_NOT_FOUND)
        for identifier in (theirs.pk, uuid4()):
            assert_refused(act("withdraw", **{"import": str(identifier)}), 404, not_found("import", identifier))

    @pytest.mark.parametrize(
        ("meta", "detail", "pointer"),
        [
            ({}, "must have a key or an import", "/meta"),
            ({"key": "KEY-0001", "import": str(uuid4)}, None, "/meta/import"),
            ({"key": ""}, "cannot be blank", "/meta/key"),
            ({"import": "x"}, "type mismatch (received string expected UUID string)", "/meta/import"),
        ],
    )
    def test_withdraw_refuses_a_malformed_document(self, act, meta, detail, pointer):
        response = act("withdraw", **meta)

        error = response.json()["errors"][0]
        assert (response.status_code, error["source"]) == (400, {"pointer": pointer})
        assert detail in (None, error["detail"])


@pytest.mark.parametrize("action", ["return", "withdraw"])
class TestWho:
    @pytest.mark.parametrize("role", ["admin", "developer"])
    def test_administrators_may(self, act, acme, audit, action, role):
        add_keys(acme.policy, "KEY-0001")
        meta = {}
        if action == "return":
            acme.policy.pool.pop(audit)
            meta["undelivered"] = True

        assert act(action, acme.bearer(role), key="KEY-0001", **meta).status_code == 200

    @each_row(
        ("role", "error"),
        [
            ("sales-agent", forbidden()),
            ("support-agent", forbidden()),
            ("read-only", lacks_permission("read-only")),
            ("product", lacks_permission("product")),
            ("license", lacks_permission("license")),
        ],
    )
    def test_pool_actions_others_may_not(self, act, acme, action, role, error):
        add_keys(acme.policy, "KEY-0001")

        assert_refused(act(action, acme.bearer(role), key="KEY-0001"), 403, error)
        assert acme.policy.pool.available().exists()
