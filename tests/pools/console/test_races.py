"""Two clicks at the same moment."""

import re
from functools import partial

import pytest
from django.test import Client
from uuid_utils.compat import uuid7

from accounts.models import User
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.services.pending_imports import check_pending_import, create_pending_import, run_pending_import
from tests.cast import add_keys, numbered
from tests.console import page, shown, signed_in, staff
from tests.races import Holder, race, race_of

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_form_pops_once(acme):
    add_keys(acme.policy, *numbered(10))
    client = signed_in(staff(acme))
    cookies = client.cookies
    address, form = page("pools_pool_pop", acme.policy.pk), {"count": 2, "once": uuid7()}

    def send():
        client = Client()
        client.cookies = cookies
        return client.post(address, form)

    answers = race(6, send)

    assert {shown(client, answer) for answer in answers} == {"KEY-0001\nKEY-0002"}
    assert KeyEvent.objects.count() == 2


@pytest.mark.parametrize("name", ["replace", "withdraw"])
def test_two_operators_change_a_key_once(acme, audit, name):
    key, *_ = add_keys(acme.policy, *numbered(10))
    acme.policy.pool.pop(audit)
    clients = [signed_in(staff(acme, email=f"operator-{number}@acme.test")) for number in range(4)]
    address = page(f"pools_key_{name}", id=key.pk)

    answers = race_of([partial(client.post, address, {"once": uuid7()}) for client in clients])

    assert sorted(answer.status_code for answer in answers) == [302, 422, 422, 422]
    assert acme.policy.pool.available().count() == (8 if name == "replace" else 9)


def test_of_a_show_and_a_put_back_one_wins(acme, audit):
    """A key that an operator sees never goes back to the pool."""
    (key,) = add_keys(acme.policy, "KEY-0001")
    acme.policy.pool.pop(audit)
    ann, bob = (signed_in(staff(acme, email=f"{name}@acme.test")) for name in ("ann", "bob"))
    forms = []
    for client, name, values in ((ann, "reveal", {}), (bob, "return", {"undelivered": "on"})):
        address = page(f"pools_key_{name}", id=key.pk)
        seen = re.search('name="seen" value="([^"]+)"', client.get(address).content.decode())[1]
        forms.append(partial(client.post, address, {"once": uuid7(), "seen": seen, **values}))

    shown, returned = race_of(forms)

    assert (shown.status_code == 302) != (returned.status_code == 302)
    assert acme.policy.pool.available().exists() == (returned.status_code == 302)


def test_an_upload_is_imported_once(pooled_policy):
    upload = create_pending_import(
        policy=pooled_policy, operator=User(email="ann@acme.test"), blocks=["\n".join(numbered(100)).encode()]
    )
    check_pending_import(upload)

    race(6, lambda: run_pending_import(PendingImport.objects.get(), skip_invalid=False))

    assert Key.objects.count() == 100
    assert KeyImport.objects.get().added == 100
    assert PendingImport.objects.get().state == "done"


@pytest.mark.postgresql
@pytest.mark.parametrize("commit", [True, False])
def test_a_form_that_is_still_worked_on_is_not_begun_again(acme, commit):
    add_keys(acme.policy, *numbered(10))
    client, second = signed_in(staff(acme)), signed_in(staff(acme))
    address, form = page("pools_pool_pop", acme.policy.pk), {"count": 1, "once": uuid7()}

    with Holder(lambda: client.post(address, form)) as holder:
        waited = second.post(address, form)
        text = second.get(waited["Location"]).content.decode()
        holder.let_go(commit=commit)
    answer = second.post(address, form)

    assert waited["Location"] == f"{address}?once={form['once']}"
    assert "still being worked on" in text
    assert shown(second, answer) == "KEY-0001"
    assert KeyEvent.objects.count() == 1
