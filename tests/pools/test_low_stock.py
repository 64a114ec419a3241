"""Low marks: one message for each refill."""

import pytest
from django.core.management import call_command

from licensing.models import Policy
from pools.key_files import Line
from pools.models import Key
from pools.services.imports import import_keys
from pools.services.keys import pop_keys_for_operator
from pools.services.low_stock import forget_stock_checks
from tests.cast import add_keys, make_policy, numbered
from tests.licensing.test_issue_license import license_document

pytestmark = pytest.mark.django_db(transaction=True)  # who is told is decided after the commit


def marked(policy, mark):
    policy.low_stock_threshold = mark
    policy.save_changes("low_stock_threshold")
    return policy


def pop(policy, audit):
    """Pop as a request does: with the policy as it is now, and a second after the last one."""
    forget_stock_checks()
    return Policy.objects.get(pk=policy.pk).pool.pop(audit)


def test_low_stock_alert_tells_the_admins_once(acme, audit, mailbox, caplog):
    add_keys(marked(acme.policy, 2), *numbered(5))
    acme.user("admin", email="second@acme.test")
    acme.user("admin", email="gone@acme.test").ban()
    acme.user("developer")

    told = []
    for _ in range(5):
        pop(acme.policy, audit)
        told.append(len(mailbox))

    assert told == [0, 0, 2, 2, 2]
    assert {message.to[0] for message in mailbox} == {"admin@acme.test", "second@acme.test"}
    assert mailbox[0].subject == "Pooled: 2 license keys left"
    assert (
        caplog.messages.count(
            f"pool is low: 2 keys left, threshold 2, policy {acme.policy.pk}, account {acme.account.pk}"
        )
        == 1
    )


def test_low_stock_alert_tells_again_after_an_import(acme, audit, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(2))
    pop(acme.policy, audit)
    lines = [Line(number, text) for number, text in enumerate(["NEXT-0001", "NEXT-0002"], 1)]

    import_keys(policy=acme.policy, files=[lines], audit=audit)
    told = []
    for _ in range(3):
        pop(acme.policy, audit)
        told.append(len(mailbox))

    assert told == [1, 2, 2]


def test_every_way_to_take_keys_out_sends_the_alert(acme, api, audit, mailbox):
    """Also the ways that hand out no key."""
    admin = api(acme.admin)

    def act(pool_of, action, **meta):
        return admin.post(f"policies/{pool_of.pk}/pool/actions/{action}", {"meta": meta})

    ways = {
        "delete": lambda policy, key, batch: admin.delete(f"keys/{key.pk}"),
        "withdraw": lambda policy, key, batch: act(policy, "withdraw", key=key.key),
        "undo-import": lambda policy, key, batch: act(policy, "undo-import", **{"import": batch}),
        "withdraw-import": lambda policy, key, batch: act(policy, "withdraw-import", **{"import": batch}),
        "move-import": lambda policy, key, batch: act(
            policy, "move-import", **{"import": batch, "policy": str(acme.policy.pk)}
        ),
    }
    wrong = []
    for number, (name, take) in enumerate(ways.items()):
        policy = marked(make_policy(acme.product, name, use_pool=True), 2)
        lines = [Line(line, f"KEY-{number}-{line:04}") for line in (1, 2, 3)]
        report = import_keys(policy=policy, files=[lines[:1]], audit=audit)
        add_keys(policy, *(line.text for line in lines[1:]))
        mailbox.clear()
        forget_stock_checks()
        response = take(policy, policy.pool.earliest("id"), str(report.key_import.pk))
        if response.status_code not in (200, 204) or [name in each.subject for each in mailbox] != [True]:
            wrong.append((name, response.status_code, [each.subject for each in mailbox]))

    assert wrong == []


def test_low_stock_alert_tells_again_after_a_key_was_added(acme, api, audit, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(2))
    pop(acme.policy, audit)

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
        pop(acme.policy, audit)
        told.append(len(mailbox))

    assert told == [1, 2]


def test_every_way_to_pop_sends_the_alert(acme, api, audit, mailbox):
    admin = api(acme.admin)
    ways = {
        "request": lambda policy: admin.delete(f"policies/{policy.pk}/pool"),
        "request for several": lambda policy: admin.post(
            f"policies/{policy.pk}/pool/actions/pop", {"meta": {"count": 1}}
        ),
        "license": lambda policy: admin.post("licenses", license_document(policy)),
        "command": lambda policy: call_command("pop_key", "--policy", str(policy.pk)),
        "console": lambda policy: pop_keys_for_operator(policy=policy, count=1, audit=audit),
    }

    for name, pop_one in ways.items():
        policy = make_policy(acme.product, name, use_pool=True, low_stock_threshold=0)
        add_keys(policy, f"KEY-OF-{name}")
        pop_one(policy)

    assert [message.subject for message in mailbox] == [f"{name}: 0 license keys left" for name in ways]


def test_low_stock_alert_looks_at_a_pool_once_a_second(acme, audit, mailbox):
    add_keys(marked(acme.policy, 1), *numbered(4))
    pop(acme.policy, audit)

    Policy.objects.get(pk=acme.policy.pk).pool.pop(audit)
    Policy.objects.get(pk=acme.policy.pk).pool.pop(audit)

    assert mailbox == []


def test_a_policy_without_a_mark_costs_no_statement(acme, audit, django_assert_max_num_queries):
    add_keys(acme.policy, *numbered(2))
    policy = Policy.objects.get(pk=acme.policy.pk)

    with django_assert_max_num_queries(4) as statements:
        policy.pool.pop(audit)

    assert not any("low_" in statement["sql"] for statement in statements.captured_queries)


def test_a_message_that_fails_takes_no_key_back(acme, audit, monkeypatch):
    add_keys(marked(acme.policy, 5), *numbered(2))
    monkeypatch.setattr("pools.services.low_stock._send_alert", lambda *args: 1 / 0)

    pop(acme.policy, audit)

    assert Key.objects.filter(popped__isnull=False).count() == 1


def test_low_stock_alert_sends_nothing_where_no_mail_is_set_up(acme, audit):
    add_keys(marked(acme.policy, 5), *numbered(2))

    pop(acme.policy, audit)

    assert Policy.objects.get(pk=acme.policy.pk).low_stock_alerted is not None
