"""The ledger and the imports know an operator by user id: with another email no entry looks like another person's."""

import re
from html import unescape
from uuid import UUID

import pytest

from accounts.audit import AuditContext
from accounts.services import change_user
from pools.models import Key, KeyEvent, KeyImport, PendingImport
from pools.services.import_changes import move_import
from tests.accounts.documents import user_document
from tests.cast import add_keys, make_policy, numbered
from tests.conftest import API
from tests.console import act, page, signed_in, staff, superuser

ANN, ROOT = "ann@acme.test", "root@example.test"


@pytest.fixture
def ann(acme):
    return staff(acme, email=ANN)


@pytest.fixture
def root(db):
    return superuser()


def text_of(response):
    """The text of a page, without tags and repeated blanks."""
    text = re.sub(r"<[^>]+>", " ", response.content.decode())
    return " ".join(unescape(text).split())


def rename(person, email):
    """As the report did: by the API, with a token of the person's own."""
    person.refresh_from_db()
    change_user(person, {"email": email})


def work(acme, person):
    """Do one of each kind in the console: pop, reveal, import."""
    client = signed_in(person)
    client.post(page("pools_pool_pop", acme.policy.pk), {"count": 1})
    act(client, "pools_key_reveal", Key.objects.filter(popped=None).first())
    client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": f"IMPORTED-BY-{person.pk}"})
    pending = PendingImport.objects.get(operator_id=person.pk)
    client.post(page("pools_pendingimport_change", pending.pk), {"all": "yes"})


def pages(acme):
    """The pages that name an operator."""
    yield page("activity")
    yield page("pools_keyimport_changelist")
    yield page("pools_pool_imports", acme.policy.pk)
    yield page("pools_pool_activity", acme.policy.pk)
    yield from (page("pools_keyimport_change", pk) for pk in KeyImport.objects.values_list("pk", flat=True))
    yield from (page("pools_key_change", pk) for pk in Key.objects.exclude(disclosed=None).values_list("pk", flat=True))


def test_no_entry_of_a_renamed_operator_looks_like_that_of_another(acme, ann, root):
    add_keys(acme.policy, *numbered(6))
    rename(ann, ROOT)
    work(acme, ann)
    rename(ann, ANN)
    work(acme, root)

    viewer, wrong, seen = signed_in(staff(acme, "Auditor")), [], 0
    for address in pages(acme):
        text = text_of(viewer.get(address))
        for found in re.finditer(rf"{ROOT}(.{{0,60}})", text):
            seen += 1
            # With the note, or the id, of who it was.
            if not re.match(rf" \((now {ANN}|superuser|{ann.pk}|{root.pk})\)", found[1]):
                wrong.append((address, found[0]))

    assert wrong == []
    assert seen > 12


def test_entries_have_the_id_of_the_operator(acme, ann):
    add_keys(acme.policy, *numbered(3))
    rename(ann, ROOT)
    work(acme, ann)

    assert set(KeyEvent.objects.values_list("operator", "operator_id")) == {(ROOT, ann.pk)}
    assert set(KeyImport.objects.values_list("operator", "operator_id")) == {(ROOT, ann.pk)}
    disclosed = Key.objects.exclude(disclosed=None).values_list("disclosed_to", flat=True)
    assert set(disclosed) == {f"{ROOT} ({ann.pk})"}


def test_an_entry_names_the_present_email_and_a_deleted_operator(acme, ann):
    add_keys(acme.policy, *numbered(3))
    viewer = signed_in(staff(acme, "Auditor"))
    work(acme, ann)
    ledger = page("activity")
    assert f"{ANN} (" not in text_of(viewer.get(ledger))

    rename(ann, "anna@acme.test")
    assert f"{ANN} (now anna@acme.test)" in text_of(viewer.get(ledger))

    pk = ann.pk
    ann.remove()
    assert f"{ANN} (deleted user)" in text_of(viewer.get(ledger))
    assert KeyEvent.objects.get(event="revealed").operator_id == pk


def test_an_email_that_passes_to_another_user_does_not_take_the_entries_along(acme, ann):
    add_keys(acme.policy, *numbered(3))
    viewer = signed_in(staff(acme, "Auditor"))
    work(acme, ann)
    rename(ann, "anna@acme.test")
    API(acme.admin_token).post("users", user_document(email=ANN))

    assert f"{ANN} (now anna@acme.test)" in text_of(viewer.get(page("activity")))


def test_the_page_of_a_key_shows_when_and_to_whom_it_was_disclosed(acme, ann):
    add_keys(acme.policy, "KEY-0001")
    signed_in(ann).post(page("pools_pool_pop", acme.policy.pk), {"count": 1})
    key = Key.objects.get()

    text = text_of(signed_in(ann).get(page("pools_key_change", key.pk)))

    assert f"Seen by {ANN} ( {key.disclosed:%-d %b %Y, %H:%M} UTC )" in text


def test_moved_imports_have_the_id_too(acme, ann):
    add_keys(acme.policy, *numbered(3))
    work(acme, ann)
    other = make_policy(acme.product, "Other", use_pool=True)

    move_import(
        key_import=KeyImport.objects.get(),
        destination=other,
        audit=AuditContext(operator=ANN, operator_id=ann.pk),
    )

    assert KeyImport.objects.get(policy=other).operator_id == ann.pk


def test_the_longest_email_fits_where_a_key_was_disclosed_to(acme):
    add_keys(acme.policy, "KEY-0001")
    email = "a" * 242 + "@acme.test.de"

    key = acme.policy.pool.pop(AuditContext(operator=email, operator_id=UUID(int=7)))

    assert key.disclosed_to == f"{email[:216]} ({UUID(int=7)})"
