"""A form of the console that was opened once acts once; reload and back repeat nothing."""

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.admin.form_once import FORM_LIFETIME, SECRET_LIFETIME
from accounts.models import Account
from keygen_site.models import IdempotentResponse
from licensing.models import License
from pools.models import Key, KeyEvent
from tests.cast import add_keys, numbered
from tests.console import page, signed_in, staff, superuser
from tests.console_forms import BATCH_ACTIONS, JOIN_LINK, RESET_LINK, make_forms

MAIL = {True: "django.core.mail.backends.locmem.EmailBackend", False: "django.core.mail.backends.dummy.EmailBackend"}


@pytest.fixture
def forms(acme, audit, mailbox):
    return make_forms(acme, audit)


@pytest.fixture
def client(acme):
    return signed_in(superuser())


def state():
    """All rows of all tables, except sessions and the stored results of the forms."""
    return {
        model: list(model._base_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model not in (Session, IdempotentResponse)
    }


def opened(client, form):
    """Open the page of a form. Returns the values that it would send. Links are shown only if mail is not set up."""
    settings.EMAIL_BACKEND = MAIL[form.secret not in (JOIN_LINK, RESET_LINK)]
    text = client.get(form.address).content.decode()
    (once,) = re.findall(r'<input type="hidden" name="once" value="([^"]+)">', text) or [None]
    return {**form.values, **({"once": once} if once else {})}


def with_once(address, values):
    return f"{address}{'&' if '?' in address else '?'}once={values.get('once', '')}"


def notices(client, address):
    return [str(message) for message in client.get(address).context["messages"]]


def failed(problems):
    return "\n".join(problems)


def test_every_act_is_here(forms):
    acts = {
        f"{model._meta.label_lower} {act.name}"
        for model, model_admin in admin.site._registry.items()
        for act in getattr(model_admin, "confirmed_actions", ())
    }

    assert acts <= set(forms)


def test_each_form_acts_once(forms, client):
    """Sent, reloaded, sent again, opened again by Back: only the first changes anything."""
    problems = []
    for name, each in forms.items():
        before = state()
        values = opened(client, each)
        sent = client.post(each.address, values)
        if sent.status_code != 302 or state() == before:
            problems.append(f"{name}: {sent.status_code}, or nothing was done")
            continue
        after, result = state(), sent["Location"]
        first = client.get(result)
        if each.secret and not re.fullmatch(each.secret, first.context["text"]):
            problems.append(f"{name}: shows {first.context['text']}")
        client.get(result)
        if name in BATCH_ACTIONS:
            keys = list(Key.objects.values("pk", "policy", "withdrawn", "key_import"))
            client.post(each.address, values)  # changes the rest, of which there is none
            if list(Key.objects.values("pk", "policy", "withdrawn", "key_import")) != keys:
                problems.append(f"{name}: changed more")
            continue
        for address in (each.address, with_once(each.address, values)):
            again = client.post(address, values)
            if (again.status_code, again.get("Location")) != (302, result):
                problems.append(f"{name}: sent again {again.status_code}")
            elif not any("nothing was done again" in notice for notice in notices(client, result)):
                problems.append(f"{name}: does not say that it was sent before")
        back = client.get(with_once(each.address, values))
        text = back.content.decode()
        if back.status_code != 200 or '<input type="submit"' in text or f'href="{result}"' not in text:
            problems.append(f"{name}: back shows a form")
        if each.secret and client.get(result).context["text"] != first.context["text"]:
            problems.append(f"{name}: shows something else afterwards")
        if state() != after:
            problems.append(f"{name}: was done again")

    assert not problems, failed(problems)


def test_a_form_sent_again_with_other_values_does_not_show_the_first_result(forms, client):
    """In a second tab of the same form, or after Back: the page would have the key of another customer."""
    problems = []
    for name, each in forms.items():
        values = opened(client, each)
        if "once" not in values:
            continue
        sent, after = client.post(each.address, values), state()
        other = {**values, "reference": "Order of another customer"}
        for address in (each.address, with_once(each.address, values)):
            again = client.post(address, other)
            if (again.status_code, again["Location"]) != (302, with_once(each.address, values)):
                problems.append(f"{name}: leads to {again['Location']}, the first to {sent['Location']}")
            elif not any("with other values" in notice for notice in notices(client, again["Location"])):
                problems.append(f"{name}: does not say that nothing was done")
        if state() != after:
            problems.append(f"{name}: did something")

    assert not problems, failed(problems)


def test_a_new_form_acts_again(forms, client):
    problems = []
    for name, each in forms.items():
        if each.repeatable and each.secret:
            shown = []
            for _ in range(2):
                result = client.post(each.address, opened(client, each))["Location"]
                shown.append((result, client.get(result).context["text"]))
            if shown[0][0] == shown[1][0] or (shown[0][1] == shown[1][1] and name != "pools.key reveal"):
                problems.append(f"{name}: {shown}")

    assert not problems, failed(problems)
    assert KeyEvent.objects.filter(event="revealed").count() == 2


def test_a_form_with_mistakes_does_nothing_and_is_sent_again(forms, client, acme):
    wrong = {
        "licensing.license issue": {"owner": "no email"},
        "pools.pool pop": {"count": "1000"},
        "licensing.product token": {"expiry": "yesterday"},
        "accounts.account add": {"admin_email": ""},
        "pools.key reveal": {"reference": "two\nlines"},
    }
    problems = []
    for name, mistake in wrong.items():
        each, before = forms[name], state()
        values = opened(client, each)
        refused = client.post(each.address, {**values, **mistake})
        if refused.status_code != 200 or f'value="{values["once"]}"' not in refused.content.decode():
            problems.append(f"{name}: {refused.status_code}, or is another form now")
        if state() != before or IdempotentResponse.objects.exists():
            problems.append(f"{name}: did something")
        if client.post(each.address, values).status_code != 302:
            problems.append(f"{name}: was refused afterwards")
        IdempotentResponse.objects.all().delete()

    assert not problems, failed(problems)


def test_an_act_that_is_refused_does_nothing_and_is_sent_again(acme, client):
    values = {"count": 1, "once": str(uuid7())}
    address = page("pools_pool_pop", acme.policy.pk)

    refused = client.post(address, values)
    add_keys(acme.policy, "KEY-0001")
    popped = client.post(address, values)

    assert (refused.status_code, popped.status_code) == (422, 302)
    assert client.get(popped["Location"]).context["text"] == "KEY-0001"


def secrets_of(forms, client):
    """Send each form with a secret: `{name: (secret, address of the result, id of the form)}`."""
    found = {}
    for name, each in forms.items():
        if each.secret:
            values = opened(client, each)
            result = client.post(each.address, values)["Location"]
            found[name] = client.get(result).context["text"], result, values["once"]
    return found


def test_only_the_operator_who_sent_the_form_sees_the_secret(forms, client, acme):
    found = secrets_of(forms, client)
    others = [signed_in(staff(acme)), signed_in(staff(acme, "Auditor"))]
    problems = []
    for name, (secret, result, once) in found.items():
        for other in others:
            response = other.get(result)
            if response.status_code != 404 or secret in response.content.decode():
                problems.append(f"{name}: {response.status_code} for another")
        client.logout()
        if client.get(result).status_code != 302:
            problems.append(f"{name}: shown to the public")
        client.force_login(superuser())  # in another session, the same operator
        if client.get(result).context["text"] != secret:
            problems.append(f"{name}: not shown to its operator")
        # To another operator it is no form that was sent, but one to send.
        if "This form was sent" in others[0].get(with_once(forms[name].address, {"once": once})).content.decode():
            problems.append(f"{name}: another operator's form counts as sent")

    assert not problems, failed(problems)


def test_the_secret_is_shown_for_some_minutes(forms, client):
    found = secrets_of(forms, client)
    problems = []
    for over, expected in ((SECRET_LIFETIME - timedelta(minutes=1), 200), (SECRET_LIFETIME, 410)):
        IdempotentResponse.objects.update(created=timezone.now() - over)
        for name, (secret, result, _) in found.items():
            response = client.get(result)
            if response.status_code != expected or (secret in response.content.decode()) != (expected == 200):
                problems.append(f"{name}: {response.status_code} after {over}")

    # Sent again, a form still does nothing; and the next action removes the expired results.
    before = state()
    for name, (_, result, once) in found.items():
        again = client.post(forms[name].address, {**forms[name].values, "once": once})
        if again["Location"] != result or client.get(result).status_code != 410:
            problems.append(f"{name}: sent again {again['Location']}")
    assert state() == before
    client.post(forms["pools.key reveal"].address, {"once": uuid7()})
    assert IdempotentResponse.objects.exclude(body=b"").count() == 1
    assert not problems, failed(problems)


def test_no_table_and_no_address_has_the_secret(forms, client):
    """Keys of pools and of licenses have their own tables. No other table may have them."""
    found = secrets_of(forms, client)
    own = (Key, License, KeyEvent)
    texts = [
        repr([bytes(value) if isinstance(value, memoryview) else value for value in row])
        for model in apps.get_models()
        for row in model._base_manager.values_list()
        if model not in own
    ]
    texts += [repr(session.get_decoded()) for session in Session.objects.all()]
    licenses = [repr(row) for row in License.objects.values_list()]
    problems = []
    for name, (secret, result, once) in found.items():
        for part in secret.split("\n"):
            if any(part in text for text in texts) or part in result:
                problems.append(f"{name}: the secret lies open")
            if "encrypted" in name and any(part in text for text in licenses):
                problems.append(f"{name}: the secret is in the license")
        if any(once in text or once.replace("-", "") in text for text in texts):
            problems.append(f"{name}: the id of the form, by which the secret is read, lies open")

    assert not problems, failed(problems)


def test_another_secret_key_reads_nothing(forms, client, settings):
    found = secrets_of(forms, client)
    settings.SECRET_KEY = "another one, of the same length or longer than the first, as it should be"
    client.force_login(superuser())  # sessions end with the secret

    assert {client.get(result).status_code for _, result, _ in found.values()} == {410}


def test_a_form_that_was_open_for_too_long_does_nothing(forms, client):
    milliseconds = int((FORM_LIFETIME + timedelta(minutes=1)).total_seconds() * 1000)
    before = state()
    problems = []
    for name, each in forms.items():
        if name in BATCH_ACTIONS:
            continue
        old = str(type(uuid7())(int=uuid7().int - (milliseconds << 80)))
        response = client.post(with_once(each.address, {"once": old}), {**each.values, "once": old})
        if (response.status_code, response["Location"]) != (302, each.address):
            problems.append(f"{name}: {response.status_code} {response.get('Location')}")
        elif not any("open for too long" in notice for notice in notices(client, each.address)):
            problems.append(f"{name}: does not say why")
    assert not problems, failed(problems)
    assert state() == before


def test_old_answers_are_removed(forms, client):
    reveal = forms["pools.key reveal"]
    client.post(reveal.address, opened(client, reveal))
    IdempotentResponse.objects.update(created=timezone.now() - timedelta(hours=25))

    client.post(reveal.address, opened(client, reveal))

    assert IdempotentResponse.objects.count() == 1


def test_an_export_is_a_file_and_never_a_page_to_reload(acme, client):
    add_keys(acme.policy, *numbered(2))

    response = client.post(page("pools_pool_export", acme.policy.pk), {"state": "all", "format": "csv"})

    assert response["Content-Disposition"].startswith("attachment")


def test_pages_of_results_lead_on(forms, client):
    problems = []
    for name, (_, result, _) in secrets_of(forms, client).items():
        for link in re.findall(r'class="button[^"]*" href="([^"]+)"', client.get(result).content.decode()):
            if client.get(urlsplit(link).path).status_code != 200:
                problems.append(f"{name}: {link}")

    assert not problems, failed(problems)
    assert Account.objects.filter(slug="new").exists()


def test_text_of_all_states_is_no_export(acme, client):
    response = client.post(page("pools_pool_export", acme.policy.pk), {"state": "all", "format": "text"})

    assert response.status_code == 200
    assert "csv or ndjson" in str(response.context["form"].errors["format"])
