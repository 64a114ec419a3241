"""Two pools against a model that is simple enough to be believed, through hundreds of random lives."""

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from accounts.audit import AuditContext
from keygen_site.db.key_digests import key_digest
from keygen_site.jsonapi.errors import DomainError
from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.key_files import Line
from pools.models import Key, KeyEvent, KeyImport, UsedText
from pools.services.exports import export_keys
from pools.services.import_changes import move_import, undo_import, withdraw_import
from pools.services.imports import import_keys
from pools.services.keys import (
    KeyDisclosed,
    KeyHeldByLicense,
    KeyIssued,
    KeyNotFound,
    KeyNotHeld,
    KeyNotPopped,
    KeyWithdrawn,
    LicenseGone,
    UndeliveredRequired,
    change_key,
    delete_key,
    pop_keys,
    replace_key,
    return_key,
    reveal_key,
    withdraw_key,
)
from tests.cast import add_key, make_company, make_policy, make_product
from tests.fuzzing import examples

ORIGIN = AuditContext(operator="model")
POOLS = st.sampled_from([0, 1])
TEXTS = st.integers(0, 11).map("KEY-{:04}".format)


class Pools(RuleBasedStateMachine):
    """A model of each text's state, compared with the database.

    `place`: text -> (pool, number in the order of arrival), for all keys that were not deleted.
    `popped`, `withdrawn`: the texts of these keys of which that is true.
    `disclosed`: text -> how, for those that someone has seen.
    `batch`: text -> the id of its import.
    `licensed`: text -> the pool that the license's key is from, or None.
    `used`, `once_licensed`: texts of used keys, and of licenses, that are gone.
    `handed`: texts that are in a person's hands, or were in another system. Only a return takes a text out.
    """

    def __init__(self):
        super().__init__()
        company = make_company(f"model-{uuid4().hex[:12]}")
        self.account, self.unpooled = company.account, company.unpooled
        self.policies = [company.policy, make_policy(company.product, "Second", use_pool=True)]
        self.product = company.product
        self.place, self.popped, self.withdrawn, self.disclosed, self.batch = {}, set(), set(), {}, {}
        self.licensed, self.used, self.once_licensed, self.handed = {}, set(), set(), set()
        self.arrivals, self.events = 0, []

    def waiting(self, pool):
        """The texts that wait in a pool, the oldest first."""
        gone = self.popped | self.withdrawn
        return sorted(
            (text for text in self.place if self.place[text][0] == pool and text not in gone), key=self.place.get
        )

    def blocked(self, text):
        """Whether a text can enter no pool."""
        return text in self.place or text in self.licensed or text in self.used | self.once_licensed

    def goes(self, text):
        """The row of a key is deleted, or gets another text."""
        if text in self.popped | self.withdrawn | self.disclosed.keys():
            self.used.add(text)
        self.popped.discard(text)
        self.withdrawn.discard(text)
        self.disclosed.pop(text, None)
        self.batch.pop(text, None)
        return self.place.pop(text)

    def hand_out(self, text, how="popped"):
        """A person gets the key."""
        assert text not in self.handed, f"{text} is in two people's hands"
        self.handed.add(text)
        self.popped.add(text)
        self.disclosed.setdefault(text, how)
        self.events.append(how)

    def expect(self, refusal, act):
        """Run the act: it must raise `refusal`, or succeed if that is None. Returns the act's result."""
        if refusal is None:
            return act()
        with pytest.raises(refusal):
            act()
        return None

    @rule(pool=POOLS, text=TEXTS)
    def add(self, pool, text):
        taken = self.blocked(text)
        self.expect(ValidationError if taken else None, lambda: add_key(self.policies[pool], text))
        if not taken:
            self.arrivals += 1
            self.place[text] = (pool, self.arrivals)

    @rule(
        pool=POOLS,
        texts=st.lists(TEXTS, min_size=1, max_size=5),
        skip_invalid=st.booleans(),
        dry_run=st.booleans(),
        is_used=st.booleans(),
    )
    def import_file(self, pool, texts, skip_invalid, dry_run, is_used):
        used = timezone.now() if is_used else None
        good = [text for text in dict.fromkeys(texts) if not self.blocked(text)]
        lines = [Line(number, text) for number, text in enumerate(texts, 1)]
        report = import_keys(
            policy=self.policies[pool],
            files=[lines],
            audit=ORIGIN,
            skip_invalid=skip_invalid,
            dry_run=dry_run,
            used=used,
        )
        assert (report.good, report.rejected) == (len(good), len(texts) - len(good))
        if not dry_run and (skip_invalid or len(good) == len(texts)):
            assert report.added == len(good)
            if good:
                self.events.append("added")
            for text in good:
                self.arrivals += 1
                self.place[text] = (pool, self.arrivals)
                self.batch[text] = report.key_import.pk
                if is_used:
                    self.popped.add(text)
                    self.handed.add(text)
                    self.disclosed[text] = "used"

    def imports(self, pool):
        """The ids of the imports whose keys are in a pool."""
        return sorted({self.batch[text] for text in self.batch if self.place[text][0] == pool})

    @rule(pool=POOLS, index=st.integers(0, 1))
    def undo(self, pool, index):
        for pk in self.imports(pool)[index : index + 1]:
            gone = [text for text in self.waiting(pool) if self.batch.get(text) == pk and text not in self.disclosed]
            result = undo_import(key_import=KeyImport.objects.get(pk=pk), audit=ORIGIN)
            for text in gone:
                self.goes(text)
            assert result.changed == len(gone)
            assert sum(result.as_dict().values()) - len(gone) == list(self.batch.values()).count(pk)
            self.events += ["removed"] * bool(gone)

    @rule(pool=POOLS, index=st.integers(0, 1))
    def move(self, pool, index):
        for pk in self.imports(pool)[index : index + 1]:
            moved = [text for text in self.waiting(pool) if self.batch.get(text) == pk]
            key_import, destination = KeyImport.objects.get(pk=pk), self.policies[1 - pool]
            result = move_import(key_import=key_import, destination=destination, audit=ORIGIN)
            arrived = KeyImport.objects.filter(policy=destination, moved_from=pk).first()
            for text in moved:
                self.place[text] = (1 - pool, self.place[text][1])
                self.batch[text] = arrived.pk
            assert result.changed == len(moved)
            self.events += ["moved", "added"] * bool(moved)

    @rule(pool=POOLS, index=st.integers(0, 1))
    def withdraw_the_rest(self, pool, index):
        for pk in self.imports(pool)[index : index + 1]:
            rest = [text for text in self.waiting(pool) if self.batch.get(text) == pk]
            result = withdraw_import(key_import=KeyImport.objects.get(pk=pk), audit=ORIGIN, reason="recalled")
            assert result.changed == len(rest)
            self.withdrawn.update(rest)
            self.events += ["withdrawn"] * len(rest)

    @rule(pool=POOLS)
    def pop(self, pool):
        waiting = self.waiting(pool)
        key = self.expect(None if waiting else PoolEmpty, lambda: self.policies[pool].pool.pop(ORIGIN))
        if waiting:
            assert key.key == waiting[0]
            self.hand_out(key.key)

    @rule(pool=POOLS, count=st.integers(1, 4))
    def pop_many(self, pool, count):
        waiting = self.waiting(pool)[:count]
        enough = len(waiting) == count
        policy = self.policies[pool]
        keys = self.expect(None if enough else PoolEmpty, lambda: pop_keys(policy=policy, count=count, audit=ORIGIN))
        if enough:
            assert [key.key for key in keys] == waiting
            for text in waiting:
                self.hand_out(text)

    @rule(pool=POOLS)
    def issue(self, pool):
        waiting = self.waiting(pool)
        policy = self.policies[pool]
        license = self.expect(None if waiting else ValidationError, lambda: issue_license(policy=policy, audit=ORIGIN))
        if waiting:
            assert license.key == waiting[0]
            self.licensed[license.key] = pool
            self.hand_out(license.key, "issued")

    @rule(text=TEXTS)
    def issue_with_a_key(self, text):
        taken = text in self.place or text in self.licensed or text in self.used
        self.expect(
            ValidationError if taken else None,
            lambda: issue_license(policy=self.unpooled, audit=ORIGIN, key=text),
        )
        if not taken:
            self.licensed[text] = None

    @rule(text=TEXTS)
    def delete_a_license(self, text):
        deleted, _ = License.objects.filter(account=self.account, key=text).delete()
        assert bool(deleted) == (text in self.licensed)
        if deleted:
            del self.licensed[text]
            self.once_licensed.add(text)

    @rule(text=TEXTS)
    def delete(self, text):
        key = self.account.keys.available().with_key(text).first()
        assert (key is not None) == (text in self.place and text not in self.popped | self.withdrawn)
        if key:
            delete_key(key, ORIGIN)
            self.goes(text)
            self.events.append("removed")

    @rule(text=TEXTS, other=TEXTS)
    def rename(self, text, other):
        key = self.account.keys.available().with_key(text).first()
        if key is None or text == other:
            return
        self.expect(ValidationError if self.blocked(other) else None, lambda: change_key(key, other, ORIGIN))
        if not self.blocked(other):
            batch = self.batch.get(text)
            self.place[other] = self.goes(text)
            if batch:
                self.batch[other] = batch
            self.events += ["changed", "added"]

    def sees(self, text, how):
        if self.disclosed.get(text, "popped") == "popped":
            self.disclosed[text] = how

    @rule(text=TEXTS)
    def reveal(self, text):
        if key := self.account.keys.with_key(text).first():
            assert reveal_key(key, ORIGIN) == text
            self.sees(text, "revealed")
            self.events.append("revealed")

    @rule(pool=POOLS)
    def export(self, pool):
        exported = [key.key for key in export_keys(policy=self.policies[pool], audit=ORIGIN, state="all")]
        assert set(exported) == {text for text, (its_pool, _) in self.place.items() if its_pool == pool}
        for text in exported:
            self.sees(text, "exported")
        self.events.append("exported")

    @rule(pool=POOLS)
    def delete_the_policy(self, pool):
        self.policies[pool].delete()
        self.policies[pool] = make_policy(self.product, use_pool=True)
        self.lose_pool(pool)

    def lose_pool(self, pool):
        """The rows of a pool's keys, and of the licenses that have them, are deleted."""
        for text in [text for text, (its_pool, _) in self.place.items() if its_pool == pool]:
            self.goes(text)
        for text in [text for text, its_pool in self.licensed.items() if its_pool == pool]:
            del self.licensed[text]

    @rule()
    def delete_the_product(self):
        self.product.delete()
        self.product = make_product(self.account)
        self.unpooled = make_policy(self.product)
        for pool in (0, 1):
            self.policies[pool] = make_policy(self.product, use_pool=True)
            self.lose_pool(pool)
        self.once_licensed.update(self.licensed)  # those with keys of their own
        self.licensed.clear()

    @rule(pool=POOLS, text=TEXTS, suspend=st.booleans())
    def withdraw(self, pool, text, suspend):
        refusal: type[DomainError] | None = None
        if text not in self.place or self.place[text][0] != pool:
            refusal = KeyNotFound
        elif text in self.withdrawn:
            refusal = KeyWithdrawn
        elif suspend and text not in self.licensed:
            refusal = KeyNotHeld
        policy = self.policies[pool]
        self.expect(refusal, lambda: withdraw_key(policy=policy, text=text, audit=ORIGIN, suspend_license=suspend))
        if refusal is None:
            self.withdrawn.add(text)
            self.events.append("withdrawn")
            if suspend:
                assert License.objects.get(account=self.account, key=text).suspended

    @rule(pool=POOLS, text=TEXTS)
    def replace(self, pool, text):
        waiting = self.waiting(pool)
        refusal: type[DomainError] | None = None
        if text not in self.place or self.place[text][0] != pool:
            refusal = KeyNotFound
        elif text in self.withdrawn and text not in self.licensed:
            refusal = KeyWithdrawn
        elif text not in self.popped:
            refusal = KeyNotPopped
        elif text in self.once_licensed and text not in self.licensed:
            refusal = LicenseGone
        elif not waiting:
            refusal = PoolEmpty
        key = self.expect(refusal, lambda: replace_key(policy=self.policies[pool], text=text, audit=ORIGIN))
        if refusal is None:
            assert key.key == waiting[0]
            self.withdrawn.add(text)
            self.events.append("replaced")
            if text in self.licensed:
                self.licensed[key.key] = self.licensed.pop(text)
                self.once_licensed.add(text)
                self.hand_out(key.key, "issued")
            else:
                self.hand_out(key.key)

    @rule(pool=POOLS, text=TEXTS, undelivered=st.booleans())
    def give_back(self, pool, text, undelivered):
        refusal: type[DomainError] | None = None
        if text not in self.place or self.place[text][0] != pool:
            refusal = KeyNotFound
        elif text in self.withdrawn:
            refusal = KeyWithdrawn
        elif text not in self.popped:
            refusal = KeyNotPopped
        elif text in self.licensed:
            refusal = KeyHeldByLicense
        elif self.disclosed[text] == "issued":
            refusal = KeyIssued
        elif self.disclosed[text] != "popped":
            refusal = KeyDisclosed
        elif not undelivered:
            refusal = UndeliveredRequired
        policy = self.policies[pool]
        self.expect(refusal, lambda: return_key(policy=policy, text=text, undelivered=undelivered, audit=ORIGIN))
        if refusal is None:
            self.popped.discard(text)
            self.handed.discard(text)
            del self.disclosed[text]
            self.events.append("returned")

    @invariant()
    def agree(self):
        for pool, policy in enumerate(self.policies):
            keys = policy.pool.available().order_by("id").values_list("key", flat=True)
            assert list(keys) == self.waiting(pool)
        keys = Key.objects.filter(account=self.account)
        assert set(keys.exclude(popped=None).values_list("key", flat=True)) == self.popped
        assert set(keys.exclude(withdrawn=None).values_list("key", flat=True)) == self.withdrawn
        assert dict(keys.exclude(disclosed=None).values_list("key", "disclosure")) == self.disclosed
        licenses = License.objects.filter(account=self.account)
        assert set(licenses.values_list("key", flat=True)) == self.licensed.keys()
        used = UsedText.objects.filter(account_id=self.account.pk).values_list("kind", "digest")
        assert {bytes(found) for kind, found in used if kind == "key"} == set(map(key_digest, self.used))
        assert {bytes(found) for _, found in used} == set(map(key_digest, self.used | self.once_licensed))
        events = KeyEvent.objects.filter(account=self.account).order_by("id").values_list("event", flat=True)
        assert sorted(events) == sorted(self.events)
        assert {key.key: explained_state(key) for key in keys} == {key.key: key.state for key in keys}


def explained_state(key):
    """The state of a key by its events alone."""
    states = {"popped": "popped", "issued": "popped", "returned": "available"}
    states |= {"withdrawn": "withdrawn", "replaced": "withdrawn"}
    found = "popped" if KeyEvent.objects.filter(key_import=key.key_import, details__used=True).exists() else "available"
    for event in KeyEvent.objects.filter(key=key).order_by("id").values_list("event", flat=True):
        found = states.get(event, found)
    return found


@pytest.mark.django_db(transaction=True)
def test_pools_are_as_simple_as_they_seem():
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        Pools,
        settings=settings(max_examples=examples(300), stateful_step_count=25, suppress_health_check=checks),
    )
