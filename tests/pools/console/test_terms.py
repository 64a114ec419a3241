"""The terms of a pool in the console: plain words, and durations and sizes with units."""

import re

import pytest
from django.core.exceptions import ValidationError

from licensing.admin.quantities import (
    DURATIONS,
    HEARTBEATS,
    SIZES,
    DurationField,
    HeartbeatField,
    SizeField,
    describe_duration,
)
from licensing.admin.term_words import HELP_TEXTS, LABELS, MEANINGS, TERMS
from licensing.durations import DAY, HOUR, MINUTE, MONTH, WEEK, YEAR
from licensing.models import Policy
from tests.console import form_values, page, signed_in, staff
from tests.tables import each_row


def form_of(client, policy):
    """The values that the form of the terms sends if the operator changes nothing."""
    return form_values(client, page("pools_pool_terms", policy.pk))


@each_row(
    ("seconds", "number", "unit", "words"),
    [
        (None, None, "years", "Never expires"),
        (YEAR, 1, "years", "1 year"),
        (3 * MONTH, 3, "months", "3 months"),
        (WEEK, 1, "weeks", "1 week"),
        (30 * DAY, 30, "days", "30 days"),
        (365 * DAY, 365, "days", "365 days"),
        (100_000, 100_000, "seconds", "100,000 seconds"),
    ],
)
def test_durations_have_the_largest_unit_that_fits(seconds, number, unit, words):
    assert DURATIONS.split(seconds) == (number, unit)
    assert describe_duration(seconds) == words


@each_row(
    ("units", "amount", "number", "unit", "words"),
    [
        (HEARTBEATS, 90, 90, "seconds", "90 seconds"),
        (HEARTBEATS, 10 * MINUTE, 10, "minutes", "10 minutes"),
        (HEARTBEATS, HOUR, 1, "hours", "1 hour"),
        (HEARTBEATS, 14 * DAY, 14, "days", "14 days"),
        (SIZES, 1, 1, "bytes", "1 byte"),
        (SIZES, 16 * 2**30, 16, "GB", "16 GB"),
        (SIZES, 1_500 * 2**20, 1_500, "MB", "1,500 MB"),
        (SIZES, 2**40, 1, "TB", "1 TB"),
    ],
)
def test_amounts_have_the_largest_unit_that_fits(units, amount, number, unit, words):
    assert units.split(amount) == (number, unit)
    assert units.describe(amount) == words


@each_row(
    ("values", "result"),
    [
        (["1", "years", False], YEAR),
        (["30", "days", False], 30 * DAY),
        (["100000", "seconds", False], 100_000),
        (["", "years", True], None),
        (["1", "years", True], "Clear “never expires”, or the number."),
        (["", "years", False], "Enter a number, or tick “never expires”."),
        ([None, None, False], "Enter a number, or tick “never expires”."),
        (["5", "seconds", False], "At least 1 day."),
        (["0", "years", False], "At least 1."),
        (["x", "years", False], "Enter a whole number."),
        (["100", "years", False], "At most 68 years."),
    ],
)
def test_durations_are_read(values, result):
    if isinstance(result, str):
        with pytest.raises(ValidationError) as refused:
            DurationField().clean(values)
        assert refused.value.messages == [result]
    else:
        assert DurationField().clean(values) == result


@each_row(
    ("field", "values", "result"),
    [
        (HeartbeatField(), ["10", "minutes"], 10 * MINUTE),
        (HeartbeatField(), ["", "minutes"], None),
        (HeartbeatField(), ["30", "seconds"], "At least 1 minute."),
        (HeartbeatField(), ["100000", "days"], "At most 24,855 days."),
        (SizeField(), ["8", "GB"], 8 * 2**30),
        (SizeField(), ["", "GB"], None),
        (SizeField(), ["0", "GB"], "At least 1."),
        (SizeField(), ["9000000", "TB"], "At most 8,388,607 TB."),
    ],
)
def test_amounts_are_read(field, values, result):
    if isinstance(result, str):
        with pytest.raises(ValidationError) as refused:
            field.clean(values)
        assert refused.value.messages == [result]
    else:
        assert field.clean(values) == result


def test_every_field_of_a_policy_has_its_place():
    named = {*TERMS, "metadata"}
    others = {"id", "created", "updated", "account", "product", "use_pool", "scheme", "encrypted"}
    others |= {"low_stock_threshold", "low_stock_days", "low_stock_alerted"}

    assert {field.name for field in Policy._meta.concrete_fields} == named | others
    assert set(LABELS) == set(TERMS)
    assert set(HELP_TEXTS) <= set(TERMS)
    for name, meanings in MEANINGS.items():
        assert set(meanings) == {value for value, _ in Policy._meta.get_field(name).choices}


class TestTerms:
    def test_terms_are_changed_and_stay_on_their_page(self, acme, client):
        values = form_of(client, acme.policy)
        values.pop("duration_never")

        response = client.post(
            page("pools_pool_terms", acme.policy.pk),
            {
                **values,
                "name": "Renamed",
                "duration_number": "6",
                "duration_unit": "months",
                "expiration_strategy": "ALLOW_ACCESS",
                "require_check_in": "on",
                "check_in_interval": "week",
                "check_in_interval_count": "2",
            },
        )

        assert response["Location"] == page("pools_pool_terms", acme.policy.pk)
        policy = Policy.objects.get(pk=acme.policy.pk)
        assert (policy.name, policy.duration, policy.expiration_strategy) == ("Renamed", 6 * MONTH, "ALLOW_ACCESS")
        assert (policy.require_check_in, policy.check_in_interval, policy.check_in_interval_count) == (True, "week", 2)
        assert policy.use_pool

    def test_terms_that_are_sent_as_they_are_change_nothing(self, acme, client):
        before = Policy.objects.filter(pk=acme.policy.pk).values().get()

        client.post(page("pools_pool_terms", acme.policy.pk), form_of(client, acme.policy))

        assert Policy.objects.filter(pk=acme.policy.pk).values().get() == before

    def test_terms_leave_the_alert_alone(self, acme, client):
        values = form_of(client, acme.policy)
        Policy.objects.filter(pk=acme.policy.pk).update(low_stock_threshold=7)

        client.post(page("pools_pool_terms", acme.policy.pk), {**values, "name": "Renamed"})

        policy = Policy.objects.get(pk=acme.policy.pk)
        assert (policy.name, policy.low_stock_threshold) == ("Renamed", 7)

    def test_terms_obey_the_rules_of_policies(self, acme, client):
        values = form_of(client, acme.policy)

        response = client.post(page("pools_pool_terms", acme.policy.pk), {**values, "require_check_in": "on"})

        assert "must be one of: day, week, month, year" in response.content.decode()

    def test_choices_are_sentences_with_the_value_of_the_api(self, acme, client):
        text = client.get(page("pools_pool_terms", acme.policy.pk)).content.decode()

        for meanings in MEANINGS.values():
            for value, meaning in meanings.items():
                assert re.search(rf"{re.escape(meaning)} <code class=\"quiet\">{value}</code>", text), value

    def test_terms_of_machines_are_changed(self, acme, client):
        values = form_of(client, acme.policy)
        machines = {"floating": "on", "max_machines": "3", "max_cores": "64", "strict": "on"}
        machines |= {"max_memory_number": "16", "max_memory_unit": "GB", "max_disk_number": "1", "max_disk_unit": "TB"}
        heartbeats = {"require_heartbeat": "on", "heartbeat_duration_number": "2", "heartbeat_duration_unit": "hours"}
        strategies = {"overage_strategy": "ALLOW_2X_OVERAGE", "machine_leasing_strategy": "PER_USER"}

        client.post(page("pools_pool_terms", acme.policy.pk), values | machines | heartbeats | strategies)

        policy = Policy.objects.get(pk=acme.policy.pk)
        assert (policy.floating, policy.max_machines, policy.max_cores, policy.strict) == (True, 3, 64, True)
        assert (policy.max_memory, policy.max_disk) == (16 * 2**30, 2**40)
        assert (policy.require_heartbeat, policy.heartbeat_duration) == (True, 2 * HOUR)
        assert (policy.overage_strategy, policy.machine_leasing_strategy) == ("ALLOW_2X_OVERAGE", "PER_USER")

    @each_row(
        ("sent", "said"),
        [
            ({"max_machines": "2"}, "must be equal to 1 for non-floating policy"),
            ({"floating": "on", "max_machines": "0"}, "must be greater than or equal to 1 for floating policy"),
            ({"overage_strategy": "ALLOW_1_5X_OVERAGE"}, "cannot use ALLOW_1_5X_OVERAGE for node-locked policy"),
            ({"heartbeat_resurrection_strategy": "ALWAYS_REVIVE"}, "must be KEEP_DEAD when resurrection strategy"),
            ({"heartbeat_duration_number": "5", "heartbeat_duration_unit": "seconds"}, "At least 1 minute."),
            ({"max_memory_number": "x"}, "Enter a whole number."),
        ],
    )
    def test_terms_of_machines_that_do_not_fit_are_refused(self, acme, client, sent, said):
        before = Policy.objects.filter(pk=acme.policy.pk).values().get()

        response = client.post(page("pools_pool_terms", acme.policy.pk), {**form_of(client, acme.policy), **sent})

        assert said in response.content.decode()
        assert Policy.objects.filter(pk=acme.policy.pk).values().get() == before

    def test_no_term_is_said_to_have_no_effect(self, acme, client):
        response = client.get(page("pools_pool_terms", acme.policy.pk))

        shown = [name for section in response.context["adminform"] for name in section.fields]
        assert shown == [*TERMS, "metadata"]
        assert "effect" not in response.content.decode()

    @pytest.mark.parametrize("group", ["Support", "Auditor"])
    def test_others_read_the_terms_as_sentences(self, acme, group):
        acme.policy.duration = YEAR
        acme.policy.save()
        client = signed_in(staff(acme, group))

        text = client.get(page("pools_pool_terms", acme.policy.pk)).content.decode()
        refused = client.post(page("pools_pool_terms", acme.policy.pk), {"name": "Renamed"})

        assert "<dt>Valid for</dt><dd><bdi>1 year</bdi>" in text
        assert MEANINGS["renewal_basis"]["FROM_EXPIRY"] in text
        assert "<dt>Machines of a license, at most</dt><dd><bdi>1</bdi>" in text
        assert "<dt>A machine is dead without a heartbeat for</dt><dd><bdi>10 minutes</bdi>" in text
        assert "Save terms" not in text
        assert refused.status_code == 403
        assert Policy.objects.get(pk=acme.policy.pk).name == "Pooled"
