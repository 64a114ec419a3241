"""A deletion that is committed while its text tries to come back: before each statement of the attempt, one by one.

A deletion moves a text from one table to another. A query that looks at both in the wrong order, or only at one, finds
it in neither at one of these moments.
"""

from itertools import count
from threading import Event

import pytest
from django.db import connection

from licensing.models import License
from licensing.services import issue_license
from pools.key_files import Line, Reason
from pools.models import Key, UsedText
from pools.services.imports import import_keys, stage_import
from pools.services.keys import reveal_key
from tests.cast import add_keys, make_license, make_policy
from tests.licensing.test_issue_license import license_document
from tests.pools.test_import_races import wait_for
from tests.races import Holder, race, race_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql]

TEXT = "KEY-{:04}"
WAYS = ("by_new_key", "by_changed_key", "by_import")
OTHERS = ["OTHER-0001", "OTHER-0002"]


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"


class Before:
    """Calls a function before the statement of a number, from 1, of a connection: for `execute_wrapper()`."""

    def __init__(self, number, act):
        self.number, self.act, self.seen = number, act, 0

    def __call__(self, execute, *arguments):
        self.seen += 1
        if self.seen == self.number:
            self.act()
        return execute(*arguments)


def attempt(delete, come, number):
    """The result of an attempt while a deletion is committed before its statement of this number.

    Where the attempt waits for the deletion, that is committed too. None: the attempt has fewer statements.
    """
    with Holder(delete) as holder:
        over = Event()
        before = Before(number, lambda: holder.let_go(commit=True))

        def run():
            try:
                with connection.execute_wrapper(before):
                    return come()
            finally:
                over.set()

        def release():
            with connection.cursor() as cursor:
                while not over.wait(0.01):
                    cursor.execute(WAITING)
                    if cursor.fetchone()[0]:
                        holder.let_go(commit=True)

        result, _ = race_of([run, release])
    if isinstance(result, Exception):
        raise result
    return result if before.seen >= number else None


def popped_key(acme, audit, text):
    """A popped key of a pool of its own; deletes its policy."""
    policy = make_policy(acme.product, use_pool=True)
    add_keys(policy, text)
    policy.pool.pop(audit)
    return policy.delete


def popped_keys_row(acme, audit, text):
    """A popped key; deletes its row."""
    policy = make_policy(acme.product, use_pool=True)
    add_keys(policy, text)
    key = policy.pool.pop(audit)
    return lambda: Key.objects.filter(pk=key.pk).delete()


def license_of_its_own(acme, audit, text):
    """A license with a key of its own; deletes it."""
    license = make_license(acme.unpooled, text)
    return lambda: License.objects.filter(pk=license.pk).delete()


def key_document(policy, text):
    linkage = {"policy": {"data": {"type": "policies", "id": str(policy.pk)}}}
    return {"data": {"type": "keys", "attributes": {"key": text}, "relationships": linkage}}


def came(response):
    assert response.status_code in (200, 201, 422), response.content
    return response.status_code != 422


class Attempts:
    """How a text comes back into Acme's pool; each says whether it did."""

    def __init__(self, api, acme, audit):
        self.acme, self.audit, self.api, self.token = acme, audit, api, api(acme.admin).token

    def by_new_key(self, text):
        return came(self.api(self.token).post("keys", key_document(self.acme.policy, text)))

    def by_changed_key(self, text):
        Key.objects.filter(policy=self.acme.policy).delete()
        (key,) = add_keys(self.acme.policy, f"ANOTHER-{text}")
        document = {"data": {"type": "keys", "attributes": {"key": text}}}
        return came(self.api(self.token).patch(f"keys/{key.pk}", document))

    def by_license(self, text):
        document = license_document(self.acme.unpooled, {"key": text})
        return came(self.api(self.token).post("licenses", document))

    def by_import(self, text):
        lines = [Line(number, each) for number, each in enumerate([OTHERS[0], text, OTHERS[1]], 1)]
        Key.objects.filter(key__in=OTHERS).delete()
        report = import_keys(policy=self.acme.policy, files=[lines], audit=self.audit, skip_invalid=True)
        assert Key.objects.filter(key__in=OTHERS).count() == 2
        return report.added != 2


@pytest.mark.parametrize(
    ("use", "way"),
    [
        *((use, way) for use in (popped_key, popped_keys_row) for way in (*WAYS, "by_license")),
        *((license_of_its_own, way) for way in WAYS),  # another license may have its text
    ],
)
def test_a_text_does_not_come_back_while_its_row_is_being_deleted(api, acme, audit, use, way):
    attempts = Attempts(api, acme, audit)
    came_back = []

    for number in count(1):
        text = TEXT.format(number)
        delete = use(acme, audit, text)
        is_back = attempt(delete, lambda text=text: getattr(attempts, way)(text), number)
        if is_back is None:
            break
        if is_back:
            came_back.append(number)

    assert came_back == []
    assert number > 5


@pytest.mark.parametrize("act", ["pop", "reveal"])
def test_a_deletion_that_waits_for_the_use_of_a_key_keeps_its_text(acme, audit, act):
    """The deletion began when the key was not used."""
    (key,) = add_keys(acme.policy, "KEY-0001")
    use = {"pop": lambda: acme.policy.pool.pop(audit), "reveal": lambda: reveal_key(key, audit)}[act]
    with Holder(use) as holder:

        def let_go():
            wait_for(WAITING)
            holder.let_go(commit=True)

        race_of([acme.policy.delete, let_go])

    assert not Key.objects.exists()
    assert UsedText.objects.get().kind == "key"


def test_a_license_that_came_and_went_while_an_import_ran_keeps_its_text_out(acme, audit):
    def come_and_go():
        issue_license(policy=acme.unpooled, audit=audit, key="KEY-0002").delete()

    lines = [Line(number, TEXT.format(number)) for number in (1, 2, 3)]
    with stage_import(policy=acme.policy, files=[lines], audit=audit, skip_invalid=True) as unpublished:
        race(1, come_and_go)
        unpublished.publish()

    assert unpublished.report.reasons == {Reason.USED: 1}
    assert set(Key.objects.values_list("key", flat=True)) == {"KEY-0001", "KEY-0003"}
