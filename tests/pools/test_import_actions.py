"""The actions on imports: undo, move and withdraw; and who may do the actions of a pool."""

import pytest

from pools.key_files import Line
from pools.models import Key, KeyEvent, KeyImport
from pools.services.imports import import_keys
from pools.services.keys import reveal_key
from tests.cast import add_keys, make_policy, numbered
from tests.errors import assert_refused, forbidden, lacks_permission, not_found
from tests.pools.test_actions import events
from tests.tables import each_row


def import_of(policy, audit, *texts):
    lines = [Line(number, text) for number, text in enumerate(texts, 1)]
    return import_keys(policy=policy, files=[lines], audit=audit, name="ACME PO 4711").key_import


class TestImports:
    def test_undo_import_removes_the_keys_that_no_one_has_seen(self, act, acme, audit):
        key_import = import_of(acme.policy, audit, *numbered(5))
        acme.policy.pool.pop(audit)
        act("withdraw", key="KEY-0002")
        reveal_key(Key.objects.get(key="KEY-0003"), audit)
        add_keys(acme.policy, "KEY-0009")

        response = act("undo-import", **{"import": str(key_import.pk)})

        numbers = {"changed": 2, "popped": 1, "withdrawn": 1, "disclosed": 1}
        assert (response.status_code, response.json()) == (200, {"meta": numbers})
        left = ["KEY-0001", "KEY-0002", "KEY-0003", "KEY-0009"]
        assert list(Key.objects.order_by("id").values_list("key", flat=True)) == left
        assert import_of(acme.policy, audit, "KEY-0004", "KEY-0005").added == 2
        event = KeyEvent.objects.get(event="removed")
        assert (event.details, event.key_import_id) == ({"count": 2}, key_import.pk)
        assert act("undo-import", **{"import": str(key_import.pk)}).json()["meta"] == numbers | {"changed": 0}

    def test_move_import_hands_them_out_from_the_other_pool(self, act, acme, audit):
        other = make_policy(acme.product, "Other", use_pool=True)
        key_import = import_of(acme.policy, audit, *numbered(3))
        add_keys(other, "KEY-0009")
        acme.policy.pool.pop(audit)

        response = act("move-import", policy=str(other.pk), **{"import": str(key_import.pk)})

        assert response.json() == {"meta": {"changed": 2, "popped": 1, "withdrawn": 0, "disclosed": 0}}
        moved = other.key_imports.get()
        assert (moved.moved_from, moved.added, moved.name) == (key_import, 2, "ACME PO 4711")
        assert [other.pool.pop(audit).key for _ in range(3)] == ["KEY-0002", "KEY-0003", "KEY-0009"]
        assert not acme.policy.pool.available().exists()
        found = KeyEvent.objects.filter(event__in=["moved", "added"]).order_by("id").values_list("event", "details")
        assert list(found) == [
            ("added", {"count": 3}),
            ("moved", {"count": 2, "destination": str(other.pk)}),
            ("added", {"count": 2, "source": str(key_import.pk)}),
        ]

    def test_move_import_again_goes_on_with_the_same_import(self, act, acme, audit, monkeypatch):
        other = make_policy(acme.product, "Other", use_pool=True)
        key_import = import_of(acme.policy, audit, *numbered(3))
        popped = acme.policy.pool.pop(audit)
        meta = {"policy": str(other.pk), "import": str(key_import.pk)}
        act("move-import", **meta)
        act("return", key=popped.key, undelivered=True)

        act("move-import", **meta)

        assert (other.key_imports.get().added, other.pool.available().count()) == (3, 3)

    def test_move_import_needs_another_pool_of_the_account(self, act, acme, rival, audit):
        key_import = import_of(acme.policy, audit, *numbered(3))

        for policy, status in ((acme.policy, 422), (acme.unpooled, 422), (rival.policy, 404)):
            response = act("move-import", policy=str(policy.pk), **{"import": str(key_import.pk)})

            assert (response.status_code, policy.pk) == (status, policy.pk)
        assert acme.policy.pool.available().count() == 3
        assert KeyImport.objects.count() == 1

    def test_withdraw_import_withdraws_the_unused_keys(self, act, acme, audit):
        key_import = import_of(acme.policy, audit, *numbered(3))
        add_keys(acme.policy, "KEY-0004")
        acme.policy.pool.pop(audit)

        response = act("withdraw-import", reason="recalled", **{"import": str(key_import.pk)})

        numbers = {"changed": 2, "popped": 1, "withdrawn": 2, "disclosed": 0}
        assert (response.status_code, response.json()) == (200, {"meta": numbers})
        assert [key.key for key in acme.policy.pool.available()] == ["KEY-0004"]
        assert events() == ["added", "popped", "withdrawn", "withdrawn"]

    @each_row("action", ["undo-import", "withdraw-import", "move-import"])
    def test_import_of_another_pool_is_not_found(self, act, acme, rival, audit, action):
        other = make_policy(acme.product, "Other", use_pool=True)
        extra = {"policy": str(other.pk)} if action == "move-import" else {}
        for key_import in (import_of(rival.policy, audit, "KEY-0001"), import_of(other, audit, "KEY-0002")):
            response = act(action, **{"import": str(key_import.pk)}, **extra)

            assert_refused(response, 404, not_found("import", key_import.pk))


@pytest.mark.parametrize("action", ["return", "withdraw", "replace", "undo-import", "move-import", "withdraw-import"])
class TestWho:
    @pytest.fixture
    def meta(self, acme, audit, action):
        """The `meta` that the action needs to succeed."""
        key_import = import_of(acme.policy, audit, *numbered(2))
        if action in ("return", "replace"):
            acme.policy.pool.pop(audit)
        if action.endswith("-import"):
            other = make_policy(acme.product, "Other", use_pool=True)
            extra = {"policy": str(other.pk)} if action == "move-import" else {}
            return {"import": str(key_import.pk)} | extra
        return {"key": "KEY-0001"} | ({"undelivered": True} if action == "return" else {})

    @pytest.mark.parametrize("role", ["admin", "developer"])
    def test_administrators_may(self, act, acme, action, meta, role):
        assert act(action, acme.bearer(role), **meta).status_code == 200

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
    def test_pool_actions_others_may_not(self, act, acme, action, meta, role, error):
        before = list(Key.objects.order_by("id").values())

        assert_refused(act(action, acme.bearer(role), **meta), 403, error)
        assert list(Key.objects.order_by("id").values()) == before
