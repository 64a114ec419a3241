"""Two pools against a model that is simple enough to be believed, through hundreds of random lives."""

from uuid import uuid4

import pytest
from django.core.exceptions import ValidationError
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from accounts.audit import AuditContext
from keygen_site.db.fields import digest
from keygen_site.jsonapi.errors import DomainError
from licensing.models import License, PoolEmpty
from licensing.services import issue_license
from pools.key_files import Line
from pools.models import Key, KeyEvent, UsedText
from pools.services.exports import export_keys
from pools.services.imports import import_keys
from pools.services.keys import (
    KeyDisclosed,
    KeyHeldByLicense,
    KeyIssued,
    KeyNotFound,
    KeyNotPopped,
    KeyPopped,
    KeyWithdrawn,
    UndeliveredRequired,
    delete_key,
    pop_keys,
    return_key,
    reveal_key,
    withdraw_key,
)
from tests.cast import add_keys, make_company, make_policy
from tests.fuzzing import examples

ORIGIN = AuditContext(operator="model")
POOLS = st.sampled_from([0, 1])
TEXTS = st.integers(0, 11).map("KEY-{:04}".format)


class Pools(RuleBasedStateMachine):
    """What is true of each text, beside what the database says.

    `place`: text -> (pool, number in the order of arrival), for all keys that were not deleted.
    `popped`, `withdrawn`, `disclosed`: the texts of these keys of which that is true.
    `licensed`: text -> the pool that the license's key is from, or None.
    `issued`: texts that were ever issued from a pool.
    `used`, `once_licensed`: texts of used keys, and of licenses, that are gone.
    """

    def __init__(self):
        super().__init__()
        company = make_company(f"model-{uuid4().hex[:12]}")
        self.account, self.unpooled = company.account, company.unpooled
        self.policies = [company.policy, make_policy(company.product, "Second", use_pool=True)]
        self.product = company.product
        self.place, self.popped, self.withdrawn, self.disclosed = {}, set(), set(), set()
        self.licensed, self.issued, self.used, self.once_licensed = {}, set(), set(), set()
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
        states = (self.popped, self.withdrawn, self.disclosed)
        if any(text in state for state in states):
            self.used.add(text)
        for state in states:
            state.discard(text)
        return self.place.pop(text)

    def expect(self, refusal, act):
        """The act is refused in this way, or goes well where `refusal` is None; what it returned."""
        if refusal is None:
            return act()
        with pytest.raises(refusal):
            act()
        return None

    @rule(pool=POOLS, text=TEXTS)
    def add(self, pool, text):
        taken = self.blocked(text)
        self.expect(ValidationError if taken else None, lambda: add_keys(self.policies[pool], text))
        if not taken:
            self.arrivals += 1
            self.place[text] = (pool, self.arrivals)

    @rule(pool=POOLS, texts=st.lists(TEXTS, max_size=5), skip_invalid=st.booleans(), dry_run=st.booleans())
    def import_file(self, pool, texts, skip_invalid, dry_run):
        good = [text for text in dict.fromkeys(texts) if not self.blocked(text)]
        lines = [Line(number, text) for number, text in enumerate(texts, 1)]
        report = import_keys(
            policy=self.policies[pool], files=[lines], audit=ORIGIN, skip_invalid=skip_invalid, dry_run=dry_run
        )
        assert (report.good, report.rejected) == (len(good), len(texts) - len(good))
        if not dry_run and (skip_invalid or len(good) == len(texts)):
            assert report.added == len(good)
            for text in good:
                self.arrivals += 1
                self.place[text] = (pool, self.arrivals)

    @rule(pool=POOLS)
    def pop(self, pool):
        waiting = self.waiting(pool)
        key = self.expect(None if waiting else PoolEmpty, lambda: self.policies[pool].pool.pop(ORIGIN))
        if waiting:
            assert key.key == waiting[0]
            self.popped.add(key.key)
            self.events.append("popped")

    @rule(pool=POOLS, count=st.integers(1, 4))
    def pop_many(self, pool, count):
        waiting = self.waiting(pool)[:count]
        enough = len(waiting) == count
        policy = self.policies[pool]
        keys = self.expect(None if enough else PoolEmpty, lambda: pop_keys(policy=policy, count=count, audit=ORIGIN))
        if enough:
            assert [key.key for key in keys] == waiting
            self.popped.update(waiting)
            self.events += ["popped"] * count

    @rule(pool=POOLS)
    def issue(self, pool):
        waiting = self.waiting(pool)
        policy = self.policies[pool]
        license = self.expect(None if waiting else ValidationError, lambda: issue_license(policy=policy, audit=ORIGIN))
        if waiting:
            assert license.key == waiting[0]
            self.popped.add(license.key)
            self.licensed[license.key] = pool
            self.issued.add(license.key)
            self.events.append("issued")

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
            self.events.append("deleted")

    @rule(text=TEXTS, other=TEXTS)
    def rename(self, text, other):
        key = self.account.keys.available().with_key(text).first()
        if key is None or text == other:
            return
        key.key = other
        self.expect(ValidationError if self.blocked(other) else None, lambda: key.save_changes("key"))
        if not self.blocked(other):
            shown = text in self.disclosed
            self.place[other] = self.goes(text)
            if shown:
                self.disclosed.add(other)

    @rule(text=TEXTS)
    def reveal(self, text):
        if key := self.account.keys.with_key(text).first():
            assert reveal_key(key, ORIGIN) == text
            self.disclosed.add(text)
            self.events.append("revealed")

    @rule(pool=POOLS)
    def export(self, pool):
        exported = [key.key for key in export_keys(policy=self.policies[pool], audit=ORIGIN, state="all")]
        assert set(exported) == {text for text, (its_pool, _) in self.place.items() if its_pool == pool}
        self.disclosed.update(exported)
        self.events.append("exported")

    @rule(pool=POOLS)
    def delete_the_policy(self, pool):
        self.policies[pool].delete()
        self.policies[pool] = make_policy(self.product, use_pool=True)
        for text in [text for text, (its_pool, _) in self.place.items() if its_pool == pool]:
            self.goes(text)
        for text in [text for text, its_pool in self.licensed.items() if its_pool == pool]:
            del self.licensed[text]

    @rule(pool=POOLS, text=TEXTS)
    def withdraw(self, pool, text):
        refusal = None
        if text not in self.place or self.place[text][0] != pool:
            refusal = KeyNotFound
        elif text in self.withdrawn:
            refusal = KeyWithdrawn
        elif text in self.popped:
            refusal = KeyPopped
        self.expect(refusal, lambda: withdraw_key(policy=self.policies[pool], text=text, audit=ORIGIN))
        if refusal is None:
            self.withdrawn.add(text)
            self.events.append("withdrawn")

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
        elif text in self.issued:
            refusal = KeyIssued
        elif text in self.disclosed:
            refusal = KeyDisclosed
        elif not undelivered:
            refusal = UndeliveredRequired
        policy = self.policies[pool]
        self.expect(refusal, lambda: return_key(policy=policy, text=text, undelivered=undelivered, audit=ORIGIN))
        if refusal is None:
            self.popped.discard(text)
            self.events.append("returned")

    @invariant()
    def agree(self):
        for pool, policy in enumerate(self.policies):
            keys = policy.pool.available().order_by("id").values_list("key", flat=True)
            assert list(keys) == self.waiting(pool)
        keys = Key.objects.filter(account=self.account)
        assert set(keys.exclude(popped=None).values_list("key", flat=True)) == self.popped
        assert set(keys.exclude(withdrawn=None).values_list("key", flat=True)) == self.withdrawn
        assert set(keys.exclude(disclosed=None).values_list("key", flat=True)) == self.disclosed
        licenses = License.objects.filter(account=self.account)
        assert set(licenses.values_list("key", flat=True)) == self.licensed.keys()
        used = UsedText.objects.filter(account_id=self.account.pk).values_list("kind", "digest")
        assert {bytes(found) for kind, found in used if kind == "key"} == set(map(digest, self.used))
        assert {bytes(found) for _, found in used} == set(map(digest, self.used | self.once_licensed))
        events = KeyEvent.objects.filter(account=self.account).order_by("id").values_list("event", flat=True)
        assert sorted(events) == sorted(self.events)


@pytest.mark.django_db(transaction=True)
def test_pools_are_as_simple_as_they_seem():
    checks = [HealthCheck.too_slow]
    run_state_machine_as_test(
        Pools, settings=settings(max_examples=examples(300), stateful_step_count=25, suppress_health_check=checks)
    )
