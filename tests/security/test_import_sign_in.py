"""Keys that are sent after the end of a session: they are kept for their operator, and nothing else is possible."""

import re

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from pools.models import Key, PendingImport
from tests.console import PASSWORD, page, signed_in, staff, superuser


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def address(acme):
    return page("pools_pendingimport_import", acme.policy.pk)


def strict():
    """A browser whose CSRF token is gone, or is that of another session."""
    return Client(enforce_csrf_checks=True)


def opened(person, address):
    """The hidden values of a page's form."""
    text = signed_in(person).get(address).content.decode()
    return {"form": re.search(r'name="form" value="([^"]+)"', text)[1]}


def sign_in(client, location):
    """Sign in on the page that a response leads to, and follow it."""
    response = client.get(location)
    assert response.status_code == 302
    client.handler.enforce_csrf_checks = False
    values = {"username": "ann@acme.test", "password": PASSWORD, "next": location}
    return client.post(response["Location"], values, follow=True)


def test_pasted_keys_survive_the_end_of_the_session(acme, ann, address):
    client, form = strict(), opened(ann, address)

    sent = client.post(address, {**form, "keys": "KEY-0001\nKEY-0002\n", "name": "Batch"})
    assert (sent.status_code, Key.objects.exists()) == (302, False)
    pending = PendingImport.objects.get()
    assert (pending.state, pending.operator_id, pending.name) == ("received", ann.pk, "Batch")
    response = sign_in(client, sent["Location"])

    assert "<code>KEY-0001</code>" in response.content.decode()
    client.post(sent["Location"], {"all": "yes"})
    assert [key.key for key in Key.objects.order_by("id")] == ["KEY-0001", "KEY-0002"]


def test_files_survive_it_too(acme, ann, address):
    client, form = strict(), opened(ann, address)

    sent = client.post(address, {**form, "file": SimpleUploadedFile("keys.txt", b"KEY-0001\n")})

    assert PendingImport.objects.get().files[0]["name"] == "keys.txt"
    assert "<code>KEY-0001</code>" in sign_in(client, sent["Location"]).content.decode()


def test_pool_that_was_chosen_survives_it(acme, ann):
    start = page("pools_pendingimport_start")
    form = opened(ann, start)

    strict().post(start, {**form, "pool": acme.policy.pk, "keys": "KEY-0001\n"})

    assert PendingImport.objects.get().policy == acme.policy


def test_sign_in_in_another_window_changes_nothing(acme, ann, address):
    """It changes the CSRF token of open forms."""
    client = strict()
    client.force_login(ann)

    response = client.post(address, {**opened(ann, address), "keys": "KEY-0001\n"})

    assert (response.status_code, PendingImport.objects.get().state) == (302, "checked")


def test_keys_of_the_last_form_are_not_shown_to_who_signs_in_next(acme, ann, address):
    form = opened(ann, address)
    bob = strict()
    bob.force_login(staff(acme, email="bob@acme.test"))

    sent = bob.post(address, {**form, "keys": "KEY-0001\n"})
    text = bob.get(sent["Location"]).content.decode()

    assert PendingImport.objects.get().operator_id == ann.pk
    assert "KEY-0001" not in text
    assert PendingImport.objects.get().state == "received"


def tampered(form):
    return {"form": form["form"][:-1] + ("A" if form["form"][-1] != "A" else "B")}


@pytest.mark.parametrize("change", [tampered, lambda form: {}, lambda form: {"form": "x"}, lambda form: {"form": ":"}])
def test_nothing_is_kept_without_the_signature(acme, ann, address, change):
    client = strict()

    response = client.post(address, {**change(opened(ann, address)), "keys": "KEY-0001\n"})

    assert response.status_code in (302, 403)
    assert not PendingImport.objects.exists()


def test_signature_of_an_operator_does_not_replace_the_csrf_token_of_another(acme, ann, address):
    """Otherwise a site of Ann's could have Bob's browser import for Bob."""
    bob = staff(acme, email="bob@acme.test")
    client = strict()
    client.force_login(bob)

    client.post(address, {**opened(ann, address), "keys": "KEY-0001\n"})

    assert not PendingImport.objects.filter(operator_id=bob.pk).exists()


@pytest.mark.parametrize("end", ["password", "ban", "console", "group", "account"])
def test_signature_ends_with_the_rights_of_its_operator(acme, ann, address, end):
    form = opened(ann, address)
    match end:
        case "password":
            ann.set_password("another one")
            ann.save()
        case "ban":
            ann.ban()
        case "console":
            ann.is_staff = False
            ann.save()
        case "group":
            ann.groups.clear()
        case "account":
            acme.account.status = "CANCELED"
            acme.account.save()

    strict().post(address, {**form, "keys": "KEY-0001\n"})

    assert not PendingImport.objects.exists()


def test_pools_of_other_accounts_are_out_of_reach(acme, rival, ann, address):
    form = opened(ann, address)

    response = strict().post(page("pools_pendingimport_import", rival.policy.pk), {**form, "keys": "KEY-0001\n"})
    chosen = strict().post(page("pools_pendingimport_start"), {**form, "pool": rival.policy.pk, "keys": "KEY-0001\n"})

    assert (response.status_code, chosen.status_code) == (404, 302)
    assert not PendingImport.objects.exists()


def test_second_factor_is_required_before_the_preview(acme, ann, address, settings):
    form = opened(ann, address)
    settings.REQUIRE_SECOND_FACTOR = "staff"
    client = strict()
    client.force_login(ann)

    sent = client.post(address, {**form, "keys": "KEY-0001\n"})

    assert PendingImport.objects.get().state == "received"
    assert client.get(sent["Location"])["Location"] == page("second_factor")


def test_retry_without_a_session_keeps_the_files(acme, ann, address):
    client = signed_in(ann)
    client.post(address, {"keys": "", "file": SimpleUploadedFile("keys.txt", b"KEY-0001\n")})
    first = PendingImport.objects.get()

    strict().post(address, {**opened(ann, address), "retry": first.pk, "kept": ["0"], "keys": "KEY-0002\n"})

    kept = PendingImport.objects.exclude(pk=first.pk).get()
    assert [each["name"] for each in kept.files] == ["", "keys.txt"]
    assert PendingImport.objects.filter(pk=first.pk).exists()


def test_superusers_too(acme, address):
    root = superuser()

    strict().post(address, {**opened(root, address), "keys": "KEY-0001\n"})

    assert PendingImport.objects.get().operator_id == root.pk
