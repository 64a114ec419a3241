"""Low-stock alerts in the console: edited in place, in keys or in days, and tried out."""

from datetime import timedelta

import pytest
from django.utils import timezone

from licensing.models import Policy
from pools.models import Key
from pools.services.low_stock import count_keys_for_days, forget_stock_checks, set_low_stock_alert
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff

pytestmark = pytest.mark.django_db(transaction=True)  # alerts are sent after the commit


@pytest.fixture
def client(acme):
    return signed_in(staff(acme, email="ann@acme.test", role="developer"))


def alert_of(policy):
    policy.refresh_from_db()
    return policy.low_stock_threshold, policy.low_stock_days


def sold(policy, audit, *, count, days_ago):
    """Pop keys as if on another day."""
    for _ in range(count):
        key = policy.pool.pop(audit)
        Key.objects.filter(pk=key.pk).update(popped=timezone.now() - timedelta(days=days_ago))


class TestInPlace:
    def test_alert_is_saved_and_leads_back_to_the_pool(self, acme, client):
        add_keys(acme.policy, *numbered(30))

        response = client.post(page("pools_pool_alert", acme.policy.pk), {"alert_at": "25", "alert_unit": "keys"})

        assert response["Location"] == page("pools_pool_change", acme.policy.pk)
        assert alert_of(acme.policy) == (25, None)
        assert "Alert at 25 keys left" in client.get(response["Location"]).content.decode()

    def test_alert_is_turned_off(self, acme, client):
        set_low_stock_alert(acme.policy, keys=5)

        client.post(page("pools_pool_alert", acme.policy.pk), {"alert_at": "", "alert_unit": "keys"})

        assert alert_of(acme.policy) == (None, None)

    @pytest.mark.parametrize(("number", "unit"), [("x", "keys"), ("-1", "keys"), ("0", "days"), ("9", "weeks")])
    def test_alert_refuses_what_it_does_not_understand(self, acme, client, number, unit):
        response = client.post(page("pools_pool_alert", acme.policy.pk), {"alert_at": number, "alert_unit": unit})

        assert response.status_code == 200
        assert response.context["form"].errors
        assert alert_of(acme.policy) == (None, None)

    @pytest.mark.parametrize("name", ["alert", "test"])
    def test_others_change_no_alert_and_send_no_test(self, acme, mailbox, name):
        client = signed_in(staff(acme, "Support"))

        assert client.post(page(f"pools_pool_{name}", acme.policy.pk), {"alert_at": "5"}).status_code == 403
        assert alert_of(acme.policy) == (None, None)
        assert mailbox == []

    def test_alert_above_the_stock_is_sent_at_once(self, acme, client, mailbox):
        add_keys(acme.policy, *numbered(3))

        client.post(page("pools_pool_alert", acme.policy.pk), {"alert_at": "5", "alert_unit": "keys"})

        assert [message.subject for message in mailbox] == ["Pooled: 3 license keys left"]

    def test_lower_alert_is_sent_again(self, acme, audit, mailbox):
        add_keys(acme.policy, *numbered(4))
        set_low_stock_alert(acme.policy, keys=5)
        set_low_stock_alert(Policy.objects.get(pk=acme.policy.pk), keys=3)
        assert len(mailbox) == 1

        forget_stock_checks()
        Policy.objects.get(pk=acme.policy.pk).pool.pop(audit)

        assert len(mailbox) == 2


class TestMail:
    def test_test_goes_to_the_admins(self, acme, client, mailbox):
        response = client.post(page("pools_pool_test", acme.policy.pk), follow=True)

        assert [(message.to, message.subject) for message in mailbox] == [
            (["admin@acme.test"], "Test: low-stock alert of Pooled")
        ]
        assert "Test sent to admin@acme.test." in response.content.decode()

    def test_pages_say_that_mail_is_not_set_up(self, acme, client, settings):
        settings.EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"
        before = client.get(page("pools_pool_change", acme.policy.pk)).content.decode()
        set_low_stock_alert(acme.policy, keys=5)

        response = client.post(page("pools_pool_test", acme.policy.pk), follow=True)

        assert "Mail is not set up" not in before
        assert "(EMAIL_URL), so no low-stock alerts are sent" in response.content.decode()
        assert "No test was sent: mail is not set up" in response.content.decode()

    def test_test_needs_a_post(self, acme, client, mailbox):
        assert client.get(page("pools_pool_test", acme.policy.pk)).status_code == 405
        assert mailbox == []

    def test_mail_says_when_the_pool_will_be_empty(self, acme, audit, mailbox):
        Policy.objects.filter(pk=acme.policy.pk).update(created=timezone.now() - timedelta(days=20))
        add_keys(acme.policy, *numbered(23))
        for days_ago in range(1, 21):
            sold(acme.policy, audit, count=1, days_ago=days_ago)

        set_low_stock_alert(Policy.objects.get(pk=acme.policy.pk), keys=5)

        assert "has 3 keys left, gone" in mailbox[0].body


class TestDays:
    @pytest.fixture
    def steady(self, acme, audit):
        """A pool of 30 keys that was created ten days ago and has handed out two a day."""
        Policy.objects.filter(pk=acme.policy.pk).update(created=timezone.now() - timedelta(days=10))
        add_keys(acme.policy, *numbered(50))
        for days_ago in range(1, 11):
            sold(acme.policy, audit, count=2, days_ago=days_ago)
        return Policy.objects.get(pk=acme.policy.pk)

    def test_days_are_turned_into_keys_at_the_rate_of_the_pool(self, steady):
        assert count_keys_for_days(steady, 7) == 14
        assert count_keys_for_days(steady, 1) == 2

    def test_new_pool_in_days_alerts_before_it_is_empty(self, acme):
        assert count_keys_for_days(acme.policy, 30) == 1

    def test_alert_in_days_is_shown_and_sent(self, steady, client, mailbox, audit):
        client.post(page("pools_pool_alert", steady.pk), {"alert_at": "14", "alert_unit": "days"})
        text = client.get(page("pools_pool_change", steady.pk)).content.decode()
        assert (alert_of(steady), mailbox) == ((28, 14), [])

        for _ in range(2):
            forget_stock_checks()
            Policy.objects.get(pk=steady.pk).pool.pop(audit)

        assert "Alert at 14 days left (now 28 keys)" in text
        assert [message.subject for message in mailbox] == ["Pooled: 28 license keys left"]

    def test_threshold_follows_the_rate_from_day_to_day(self, steady, audit, mailbox):
        set_low_stock_alert(steady, days=7)
        Policy.objects.filter(pk=steady.pk).update(low_stock_threshold=1)  # as it was when less was sold

        forget_stock_checks()
        Policy.objects.get(pk=steady.pk).pool.pop(audit)

        assert alert_of(steady) == (14, 7)

    def test_pops_cost_no_more_statements_with_an_alert_in_days(self, steady, audit, django_assert_num_queries):
        set_low_stock_alert(steady, days=1)
        counts = []
        for _ in range(3):
            policy = Policy.objects.get(pk=steady.pk)
            with django_assert_num_queries(4, exact=False) as statements:
                policy.pool.pop(audit)
            counts.append(len(statements))

        assert counts[1] == counts[2]  # within a second, the pool is not counted again
        assert counts[1] <= counts[0]
