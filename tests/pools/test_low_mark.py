"""Low marks: one message for each refill."""

from threading import Thread

import pytest
from django.core import mail

from licensing.models import Policy
from licensing.services import issue_license
from pools.formats import Line
from pools.marks import forget_looks
from pools.models import Key
from pools.services import import_keys
from tests.cast import add_keys, numbered

pytestmark = pytest.mark.django_db(transaction=True)  # who is told is decided after the commit


class AtOnce(Thread):
    start = Thread.run


@pytest.fixture
def mailbox(settings, monkeypatch):
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    monkeypatch.setattr("accounts.services.Thread", AtOnce)
    mail.outbox = []
    return mail.outbox


def marked(policy, mark):
    policy.low_mark = mark
    policy.save_changes("low_mark")
    return policy


def pop(policy, origin):
    """Pop as a request does: with the policy as it is now, and a second after the last one."""
    forget_looks()
    return Policy.objects.get(pk=policy.pk).pool.pop(origin)


def test_tells_the_admins_once(acme, origin, mailbox, caplog):
    add_keys(marked(acme.policy, 2), *numbered(5))
    acme.user("admin", email="second@acme.test")
    acme.user("admin", email="gone@acme.test").ban()
    acme.user("developer")

    told = []
    for _ in range(5):
        pop(acme.policy, origin)
        told.append(len(mailbox))

    assert told == [0, 0, 2, 2, 2]
    assert {message.to[0] for message in mailbox} == {"admin@acme.test", "second@acme.test"}
    assert mailbox[0].subject == "Pooled: 2 license keys left"
    assert (
        caplog.messages.count(f"pool is low: 2 keys left, mark 2, policy {acme.policy.pk}, account {acme.account.pk}")
        == 1
    )


def test_tells_again_after_an_import(acme, origin, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(2))
    pop(acme.policy, origin)
    lines = [Line(number, text) for number, text in enumerate(["NEXT-0001", "NEXT-0002"], 1)]

    import_keys(policy=acme.policy, files=[lines], origin=origin)
    told = []
    for _ in range(3):
        pop(acme.policy, origin)
        told.append(len(mailbox))

    assert told == [1, 2, 2]


def test_tells_again_after_a_key_was_added(acme, api, origin, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(2))
    pop(acme.policy, origin)

    for text in ("ADDED-0001", "ADDED-0002"):
        api(acme.admin).post(
            "keys",
            {
                "data": {
                    "type": "keys",
                    "attributes": {"key": text},
                    "relationships": {"policy": {"data": {"type": "policies", "id": str(acme.policy.pk)}}},
                }
            },
        )
    told = []
    for _ in range(2):
        pop(acme.policy, origin)
        told.append(len(mailbox))

    assert told == [1, 2]


def test_tells_of_licenses_too(acme, origin, mailbox):
    add_keys(marked(acme.policy, 0), "KEY-0001")

    issue_license(policy=acme.policy, origin=origin)

    assert [message.subject for message in mailbox] == ["Pooled: 0 license keys left"]


def test_looks_at_a_pool_once_a_second(acme, origin, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(4))
    pop(acme.policy, origin)

    Policy.objects.get(pk=acme.policy.pk).pool.pop(origin)
    Policy.objects.get(pk=acme.policy.pk).pool.pop(origin)

    assert mailbox == []


def test_a_policy_without_a_mark_costs_no_statement(acme, origin, django_assert_max_num_queries):
    add_keys(acme.policy, *numbered(2))
    policy = Policy.objects.get(pk=acme.policy.pk)

    with django_assert_max_num_queries(4) as statements:
        policy.pool.pop(origin)

    assert not any("low_" in statement["sql"] for statement in statements.captured_queries)


def test_a_message_that_fails_takes_no_key_back(acme, origin, monkeypatch):
    add_keys(marked(acme.policy, 5), *numbered(2))
    monkeypatch.setattr("pools.marks._tell", lambda *args: 1 / 0)

    pop(acme.policy, origin)

    assert Key.objects.filter(popped__isnull=False).count() == 1


def test_sends_nothing_where_no_mail_is_set_up(acme, origin):
    add_keys(marked(acme.policy, 5), *numbered(2))

    pop(acme.policy, origin)

    assert Policy.objects.get(pk=acme.policy.pk).low_told is not None
