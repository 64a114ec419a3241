"""The disclosure of a key: when, how and to whom its text left the database."""

from dataclasses import dataclass
from itertools import product
from typing import Any

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import User
from pools.models import Key, UsedText
from tests.cast import add_keys, make_policy, numbered
from tests.console import act, page, signed_in, staff
from tests.pools.documents import key_document
from tests.pools.test_import import add
from tests.tables import each_row

OPERATOR = "ann@acme.test"


@dataclass
class World:
    """Acme with a pool of two keys, and those who may do something with them."""

    acme: Any
    api: Any
    other: Any

    @property
    def pool(self):
        return f"policies/{self.acme.policy.pk}/pool"

    @property
    def admin(self):
        return self.api(self.acme.admin)

    @property
    def operator(self):
        return signed_in(staff(self.acme, email=OPERATOR))

    def act(self, action, **meta):
        return self.admin.post(f"{self.pool}/actions/{action}", {"meta": meta})

    def issue(self):
        policy = {"data": {"type": "policies", "id": str(self.acme.policy.pk)}}
        return self.admin.post("licenses", {"data": {"type": "licenses", "relationships": {"policy": policy}}})

    def export(self, query=""):
        return b"".join(self.admin.get(f"{self.pool}/actions/export{query}"))

    def console(self, name):
        return act(self.operator, f"pools_key_{name}", self.key, undelivered="on")

    def pop_in_console(self):
        form = {"count": 1, "once": uuid7()}
        return self.operator.post(page("pools_pool_pop", self.acme.policy.pk), form)

    def export_in_console(self):
        form = {"state": "all", "format": "csv"}
        return b"".join(self.operator.post(page("pools_pool_export", self.acme.policy.pk), form))

    def command(self, name, *options):
        call_command(name, "--policy", str(self.acme.policy.pk), *options)

    def change(self):
        document = {"data": {"type": "keys", "attributes": {"key": "KEY-0009"}}}
        return self.admin.patch(f"keys/{self.key.pk}", document)

    def move(self):
        key_import = add(self.acme.policy, "KEY-0008").key_import
        Key.objects.filter(pk=self.key.pk).update(key_import=key_import)
        return self.act("move-import", policy=str(self.other.pk), **{"import": str(key_import.pk)})

    @property
    def key(self):
        """The key that is next in the pool at the beginning."""
        return Key.objects.order_by("id").first()


# The verb, and how and to whom the first key is disclosed. `{0}` is Acme.
VERBS = {
    "popped by an admin": (lambda world: world.admin.delete(world.pool), "popped", "users {0.admin.pk}"),
    "popped by a product": (
        lambda world: world.api(world.acme.product).delete(world.pool),
        "popped",
        "products {0.product.pk}",
    ),
    "popped with others": (lambda world: world.act("pop", count=2), "popped", "users {0.admin.pk}"),
    "popped by a command": (lambda world: world.command("pop_key"), "popped", "manage.py pop_key"),
    "popped in the console": (lambda world: world.pop_in_console(), "revealed", OPERATOR),
    "issued": (lambda world: world.issue(), "issued", "users {0.admin.pk}"),
    "revealed": (lambda world: world.console("reveal"), "revealed", OPERATOR),
    "exported": (lambda world: world.export(), "exported", "users {0.admin.pk}"),
    "exported by a command": (lambda world: world.command("export_keys"), "exported", "manage.py export_keys"),
    "exported in the console": (lambda world: world.export_in_console(), "exported", OPERATOR),
}
# Verbs that disclose nothing.
SILENT = {
    "withdrawn": lambda world: world.act("withdraw", key="KEY-0001"),
    "withdrawn in the console": lambda world: world.console("withdraw"),
    "changed": lambda world: world.change(),
    "moved": lambda world: world.move(),
    "of the export of another state": lambda world: world.export("?state=popped"),
    "shown in the list": lambda world: world.admin.get("keys"),  # available keys, to the staff of the account
    "refused": lambda world: world.act("pop", count=3),
}


@pytest.fixture
def world(acme, api):
    add_keys(acme.policy, *numbered(2))
    return World(acme, api, make_policy(acme.product, "Other", use_pool=True))


def discloser(acme, to):
    """Whom a key is disclosed to, in words that last: an operator by email and user id."""
    operator = User.objects.filter(email=to).first()
    return f"{to} ({operator.pk})" if operator else to.format(acme)


def disclosure_of(key):
    return key.disclosed, key.disclosure, key.disclosed_to


class TestVerbs:
    @each_row("name", VERBS)
    def test_disclosure_tells_how_and_to_whom(self, acme, world, name):
        verb, disclosure, to = VERBS[name]
        before = timezone.now()

        verb(world)

        key = world.key
        assert (key.disclosure, key.disclosed_to) == (disclosure, discloser(acme, to))
        assert before <= key.disclosed <= timezone.now()

    @each_row("name", SILENT)
    def test_disclosure_is_empty_for_keys_that_no_one_has_seen(self, world, name):
        SILENT[name](world)

        assert disclosure_of(world.key) == (None, None, None)

    def test_disclosure_of_keys_that_are_added(self, acme, world):
        world.admin.post("keys", key_document(acme.policy, "KEY-0003"))
        add(acme.policy, "KEY-0004")
        used = timezone.now()
        add(acme.policy, "KEY-0005", used=used)

        found = {key.key: disclosure_of(key) for key in Key.objects.all()}
        assert found == dict.fromkeys(numbered(4), (None, None, None)) | {"KEY-0005": (used, "used", "")}

    @each_row("name", ["popped by an admin", "popped by a product", "popped with others", "popped by a command"])
    @each_row("give_back", ["api", "console"])
    def test_disclosure_of_a_returned_key_is_gone(self, world, name, give_back):
        VERBS[name][0](world)

        if give_back == "api":
            world.act("return", key="KEY-0001", undelivered=True)
        else:
            world.console("return")

        assert (world.key.state, *disclosure_of(world.key)) == ("available", None, None, None)

    @each_row(("first", "second"), [("popped by an admin", "popped"), ("issued", "issued")])
    def test_disclosure_of_a_replacement_is_that_of_its_pop(self, acme, world, first, second):
        VERBS[first][0](world)
        before = disclosure_of(world.key)

        world.act("replace", key="KEY-0001")

        new = Key.objects.get(key="KEY-0002")
        assert disclosure_of(world.key) == before
        assert (new.disclosure, new.disclosed_to) == (second, f"users {acme.admin.pk}")

    @each_row("name", ["revealed", "exported"])
    def test_disclosure_ends_with_the_text(self, acme, world, name):
        """The old text stays blocked, and no one has seen the new one."""
        VERBS[name][0](world)

        world.change()

        assert (world.key.key, *disclosure_of(world.key)) == ("KEY-0009", None, None, None)
        assert UsedText.objects.with_text(acme.account.pk, "KEY-0001").exists()


class TestFirst:
    """Of several disclosures the first is kept, but a pop gives way: only a key that was popped can be returned."""

    @each_row("first", ["popped in the console", "issued", "revealed", "exported", "exported by a command"])
    @each_row(
        "second", ["popped by an admin", "popped in the console", "issued", "revealed", "exported in the console"]
    )
    def test_first_disclosure_but_a_pop_is_kept(self, world, first, second):
        VERBS[first][0](world)
        before = disclosure_of(world.key)

        VERBS[second][0](world)
        world.export("?state=all&format=csv")

        assert disclosure_of(world.key) == before

    @each_row("name", ["revealed", "exported in the console"])
    def test_disclosure_of_a_popped_key_is_replaced(self, acme, world, name):
        world.admin.delete(world.pool)
        popped = world.key

        if name == "revealed":
            world.console("reveal")
        else:
            world.export_in_console()

        key = world.key
        assert (key.disclosure, key.disclosed_to) == (VERBS[name][1], discloser(acme, OPERATOR))
        assert key.disclosed > popped.disclosed
        assert key.popped == popped.popped

    def test_disclosure_of_a_used_key_is_kept(self, acme, world):
        used = timezone.now()
        Key.objects.all().delete()
        add(acme.policy, "KEY-0001", used=used)

        world.console("reveal")
        world.export("?state=all&format=csv")

        assert disclosure_of(world.key) == (used, "used", "")

    def test_disclosure_survives_a_withdrawal(self, acme, world):
        world.admin.delete(world.pool)
        before = disclosure_of(world.key)

        world.act("withdraw", key="KEY-0001", reason="refunded")

        assert (world.key.state, disclosure_of(world.key)) == ("withdrawn", before)


class TestConstraints:
    """The database refuses a disclosure without its time, manner or receiver, and a popped key without disclosure."""

    def test_constraints_refuse_incomplete_disclosures(self, acme):
        (key,) = add_keys(acme.policy, "KEY-0001")
        now = timezone.now()
        values = {"popped": now, "withdrawn": now, "disclosed": now, "disclosure": "popped", "disclosed_to": ""}
        wrong = []

        for present in product([True, False], repeat=len(values)):
            row = {name: values[name] if is_present else None for name, is_present in zip(values, present, strict=True)}
            parts = {row[name] is not None for name in ("disclosed", "disclosure", "disclosed_to")}
            permitted = len(parts) == 1 and (row["popped"] is None or parts == {True})
            try:
                with transaction.atomic():
                    Key.objects.filter(pk=key.pk).update(**row)
                accepted = True
            except IntegrityError:
                accepted = False
            if accepted != permitted:
                wrong.append(row)

        assert not wrong
