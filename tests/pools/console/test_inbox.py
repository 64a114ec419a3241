"""The inbox: tasks that wait for the operator. Every page shows their number."""

import re

import pytest
from django.utils import timezone

from accounts.models import User
from licensing.models import Policy
from pools.models import MutedPool, PendingImport
from pools.models.pending_imports import PENDING_IMPORT_LIFETIME
from pools.services.pending_imports import check_pending_import, create_pending_import
from tests.cast import add_keys, make_policy, numbered
from tests.console import page, signed_in, staff, superuser


@pytest.fixture
def stocked(acme):
    """Acme's only pool has keys."""
    return add_keys(acme.policy, *numbered(3))


def upload(acme, operator, *texts):
    lines = "".join(f"{text}\n" for text in texts or ["KEY-9001", "KEY-9002"]).encode()
    pending = create_pending_import(policy=acme.policy, operator=operator, blocks=[lines], source="keys.csv")
    check_pending_import(pending)
    return pending


def text_of(response):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", response.content.decode()))


def inbox(client):
    response = client.get(page("inbox"))
    assert response.status_code == 200
    return response


def count_of(response):
    found = re.search(r'class="bell".*?class="note">([\d,]+)<', response.content.decode())
    return int(found[1].replace(",", "")) if found else 0


def test_it_is_empty_where_nothing_waits(stocked, client):
    assert "Nothing needs you." in text_of(inbox(client))
    assert count_of(inbox(client)) == 0


def test_a_low_pool_is_in_it_and_counted_on_every_page(acme, client):
    make_policy(acme.product, "Other", use_pool=True)

    assert "2 pools need keys" in text_of(inbox(client))
    for name in ("inbox", "index", "pools_key_changelist", "licensing_product_changelist"):
        assert count_of(client.get(page(name))) == 2, name


def test_an_import_that_waits_for_its_operator(acme, stocked, ann, client):
    pending = upload(acme, ann)

    response = inbox(client)

    assert "2 keys wait for your confirmation" in text_of(response)
    assert page("pools_pendingimport_change", pending.pk) in response.content.decode()
    assert count_of(response) == 1


def test_an_import_of_a_colleague_is_shown_and_not_counted(acme, stocked, client):
    upload(acme, staff(acme, email="bob@acme.test"))

    response = inbox(client)

    assert "2 keys wait for the confirmation of bob@acme.test" in text_of(response)
    assert count_of(response) == 0


@pytest.mark.parametrize(
    ("state", "text", "count"),
    [("importing", "Being imported", 0), ("failed", "Stopped", 1), ("done", "Nothing needs you", 0)],
)
def test_imports_in_other_states(acme, stocked, ann, client, state, text, count):
    pending = upload(acme, ann)
    PendingImport.objects.filter(pk=pending.pk).update(state=state)

    assert text in text_of(inbox(client))
    assert count_of(inbox(client)) == count


def test_an_import_that_is_too_old_is_left_out(acme, stocked, ann, client):
    pending = upload(acme, ann)
    PendingImport.objects.filter(pk=pending.pk).update(created=timezone.now() - PENDING_IMPORT_LIFETIME)

    assert "Nothing needs you" in text_of(inbox(client))


def test_mail_that_is_not_set_up_is_named(stocked, client, settings):
    settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
    assert "mail is not set up" in text_of(inbox(client))

    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    assert "mail is not set up" not in text_of(inbox(client))


class TestMute:
    def test_it_takes_the_pool_out_until_it_is_unmuted(self, acme, ann, client):
        response = client.post(page("mute_pool", acme.policy.pk), follow=True)
        assert "Pooled is muted until keys are added" in text_of(response)
        assert "Muted pools" in text_of(response)
        assert count_of(response) == 0
        assert MutedPool.objects.get().operator_id == ann.pk

        response = client.post(page("unmute_pool", acme.policy.pk), follow=True)
        assert count_of(response) == 1
        assert "Muted pools" not in text_of(response)

    def test_it_takes_a_post(self, acme, client):
        for name in ("mute_pool", "unmute_pool"):
            assert client.get(page(name, acme.policy.pk)).status_code == 405
        assert not MutedPool.objects.exists()

    def test_it_takes_a_permission(self, acme):
        client = signed_in(staff(acme, "Support"))

        for name in ("mute_pool", "unmute_pool"):
            assert client.post(page(name, acme.policy.pk)).status_code == 403
        assert "Mute until refill" not in text_of(inbox(client))

    def test_pools_of_others_and_policies_without_one_are_not_found(self, acme, rival, client):
        for policy in (rival.policy, acme.unpooled):
            assert client.post(page("mute_pool", policy.pk)).status_code == 404
        assert not MutedPool.objects.exists()


def test_nothing_of_another_account_is_in_it(acme, rival, stocked, client):
    Policy.objects.filter(pk=rival.policy.pk).update(name="Secret pool")
    upload(rival, User(email="operator@rival.test"))
    signed_in(superuser()).post(page("mute_pool", rival.policy.pk))

    content = inbox(client).content.decode()

    assert "Secret" not in content
    assert "rival" not in content.lower()
    assert count_of(inbox(client)) == 0


def test_a_person_without_a_role_sees_nothing(acme, ann, client):
    ann.groups.clear()

    response = inbox(client)

    assert "Pooled" not in text_of(response)
    assert 'class="bell"' not in response.content.decode()


def test_a_key_of_an_upload_is_not_shown(acme, stocked, ann, client):
    upload(acme, ann, "UPLOADED-SECRET-0001")

    assert "UPLOADED-SECRET" not in inbox(client).content.decode()
