"""Every change of keys has its events in the ledger."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from keygen_site.db.key_digests import key_digest
from licensing.services import issue_license
from pools.models import Key, KeyEvent
from pools.services import exports
from tests.cast import add_keys, make_policy, numbered
from tests.console import act, signed_in, staff
from tests.pools.documents import key_document
from tests.pools.test_import import add
from tests.tables import each_row


@dataclass
class World:
    """An import of three keys, of which the first is popped and the third disclosed, and another key."""

    admin: Any
    operator: Any
    policy: Any
    other: Any
    batch: Any

    def act(self, action, **meta):
        return self.admin.post(f"policies/{self.policy.pk}/pool/actions/{action}", {"meta": meta})

    def send(self, text, query=""):
        path = f"policies/{self.policy.pk}/pool/actions/import{query}"
        return self.admin.post(path, text.encode(), content_type="text/plain")

    def export(self, query):
        return b"".join(self.admin.get(f"policies/{self.policy.pk}/pool/actions/export{query}"))

    def key(self, text):
        return Key.objects.get(key=text)

    def change(self, text, new):
        document = {"data": {"type": "keys", "attributes": {"key": new}}}
        return self.admin.patch(f"keys/{self.key(text).pk}", document)

    def undo(self):
        return self.act("undo-import", **{"import": str(self.batch.pk)})


EVENTS = {
    "add": (
        lambda world: world.admin.post("keys", key_document(world.policy, "KEY-0009")),
        lambda world: [("added", "KEY-0009", None)],
    ),
    "add a key that is taken": (
        lambda world: world.admin.post("keys", key_document(world.policy, "KEY-0001")),
        lambda world: [],
    ),
    "import": (
        lambda world: world.send("KEY-0008\nKEY-0009"),
        lambda world: [("added", None, {"count": 2})],
    ),
    "import the good lines": (
        lambda world: world.send("KEY-0008\nshort\nKEY-0001", "?skip-invalid"),
        lambda world: [("added", None, {"count": 1})],
    ),
    "import used keys": (
        lambda world: world.send("KEY-0008\nKEY-0009", "?used=true"),
        lambda world: [("added", None, {"count": 2, "used": True})],
    ),
    "import nothing": (lambda world: world.send("KEY-0009\nshort"), lambda world: []),
    "dry run": (lambda world: world.send("KEY-0009", "?dry-run"), lambda world: []),
    "change": (
        lambda world: world.change("KEY-0004", "KEY-0009"),
        lambda world: [("changed", "KEY-0004", None), ("added", "KEY-0009", None)],
    ),
    "change to the same text": (lambda world: world.change("KEY-0004", "KEY-0004"), lambda world: []),
    "change to a text that is taken": (lambda world: world.change("KEY-0004", "KEY-0001"), lambda world: []),
    "delete": (
        lambda world: world.admin.delete(f"keys/{world.key('KEY-0004').pk}"),
        lambda world: [("removed", "KEY-0004", None)],
    ),
    "undo": (lambda world: world.undo(), lambda world: [("removed", None, {"count": 1})]),
    "undo twice": (
        lambda world: (world.undo(), world.undo()),
        lambda world: [("removed", None, {"count": 1})],
    ),
    "pop": (
        lambda world: world.admin.delete(f"policies/{world.policy.pk}/pool"),
        lambda world: [("popped", "KEY-0002", None)],
    ),
    "pop many": (
        lambda world: world.act("pop", count=2),
        lambda world: [("popped", "KEY-0002", None), ("popped", "KEY-0003", None)],
    ),
    "pop too many": (lambda world: world.act("pop", count=9), lambda world: []),
    "return": (
        lambda world: world.act("return", key="KEY-0001", undelivered=True),
        lambda world: [("returned", "KEY-0001", None)],
    ),
    "withdraw": (
        lambda world: world.act("withdraw", key="KEY-0001"),
        lambda world: [("withdrawn", "KEY-0001", None)],
    ),
    "withdraw with a reason": (
        lambda world: world.act("withdraw", key="KEY-0004", reason=" leaked "),
        lambda world: [("withdrawn", "KEY-0004", {"reason": "leaked"})],
    ),
    "withdraw an import": (
        lambda world: world.act("withdraw-import", reason="recalled", **{"import": str(world.batch.pk)}),
        lambda world: [("withdrawn", f"KEY-000{number}", {"reason": "recalled"}) for number in (2, 3)],
    ),
    "replace": (
        lambda world: world.act("replace", key="KEY-0001", reason="defective"),
        lambda world: [
            ("popped", "KEY-0002", None),
            ("replaced", "KEY-0001", {"reason": "defective", "replacement": str(world.key("KEY-0002").pk)}),
        ],
    ),
    "move": (
        lambda world: world.act("move-import", policy=str(world.other.pk), **{"import": str(world.batch.pk)}),
        lambda world: [
            ("moved", None, {"count": 2, "destination": str(world.other.pk)}),
            ("added", None, {"count": 2, "source": str(world.batch.pk)}),
        ],
    ),
    "reveal": (
        lambda world: act(world.operator, "pools_key_reveal", world.key("KEY-0004")),
        lambda world: [("revealed", "KEY-0004", None)],
    ),
    "export": (
        lambda world: world.export(""),
        lambda world: [("exported", None, {"count": 3, "filter": {"state": "available"}})],
    ),
    "export of an import and a time": (
        lambda world: world.export(f"?state=all&format=csv&import={world.batch.pk}&since=2000-01-01&until=2100-01-01"),
        lambda world: [
            (
                "exported",
                None,
                {
                    "count": 3,
                    "filter": {
                        "state": "all",
                        "import": str(world.batch.pk),
                        "since": "2000-01-01T00:00:00+00:00",
                        "until": "2100-01-01T00:00:00+00:00",
                    },
                },
            )
        ],
    ),
    "export of nothing": (
        lambda world: world.export("?state=withdrawn"),
        lambda world: [("exported", None, {"count": 0, "filter": {"state": "withdrawn"}})],
    ),
}


class TestEvents:
    @pytest.fixture
    def world(self, api, acme, audit):
        batch = add(acme.policy, *numbered(3)).key_import
        acme.policy.pool.pop(audit)
        Key.objects.filter(key="KEY-0003").disclose(Key.Disclosure.REVEALED, audit)
        add_keys(acme.policy, "KEY-0004")
        other = make_policy(acme.product, "Other", use_pool=True)
        return World(api(acme.admin), signed_in(staff(acme)), acme.policy, other, batch)

    @each_row("name", EVENTS)
    def test_change_has_its_events(self, world, name):
        before = list(KeyEvent.objects.values_list("pk", flat=True))
        texts = {key_digest(text): text for text in numbered(9)}
        change, expected = EVENTS[name]

        change(world)

        events = KeyEvent.objects.exclude(pk__in=before).order_by("id")
        found = [
            (event.event, texts[bytes(event.key_digest)] if event.key_digest else None, event.details)
            for event in events
        ]
        assert found == expected(world)
        for event in events:
            assert (event.account_id, event.product_id) == (world.policy.account_id, world.policy.product_id)
            assert event.policy_id in (world.policy.pk, world.other.pk)
            # An event is of one key, or of an import, or an export.
            is_of_import = event.key_digest is None and event.event != "exported"
            assert (event.key_id is None, event.key_import_id is not None) == (event.key_digest is None, is_of_import)

    def test_events_of_a_license_name_it(self, api, acme, audit):
        add_keys(acme.policy, *numbered(2))
        license = issue_license(policy=acme.policy, audit=audit)
        admin = api(acme.admin)
        path = f"policies/{acme.policy.pk}/pool/actions"

        admin.post(f"{path}/replace", {"meta": {"key": "KEY-0001"}})
        admin.post(f"{path}/withdraw", {"meta": {"key": "KEY-0002", "suspendLicense": True}})

        events = KeyEvent.objects.order_by("id").values_list("event", "key__key", "license")
        assert list(events) == [
            ("issued", "KEY-0001", license.pk),
            ("issued", "KEY-0002", license.pk),
            ("replaced", "KEY-0001", license.pk),
            ("withdrawn", "KEY-0002", license.pk),
        ]

    def test_export_that_breaks_off_counts_the_keys_it_gave(self, world, monkeypatch):
        monkeypatch.setattr("pools.services.exports.PAGE_SIZE", 1)
        monkeypatch.setattr("pools.key_files.writing._ROWS_PER_BLOCK", 1)
        response = world.admin.get(f"policies/{world.policy.pk}/pool/actions/export")

        lines = iter(response.streaming_content)
        given = [next(lines), next(lines)]

        assert given == [b"KEY-0002\n", b"KEY-0003\n"]
        assert KeyEvent.objects.get(event="exported").details["count"] == 2

    def test_export_does_not_count_a_key_that_was_deleted_meanwhile(self, world, monkeypatch):
        def delete_and_disclose(keys, *arguments):
            Key.objects.filter(key="KEY-0004").delete()
            return disclose(keys, *arguments)

        disclose = exports._disclose
        monkeypatch.setattr(exports, "_disclose", delete_and_disclose)

        assert world.export("") == b"KEY-0002\nKEY-0003\n"
        assert KeyEvent.objects.get(event="exported").details["count"] == 2


DAY = datetime(2026, 3, 1, 12, tzinfo=UTC)
