"""A form of the console that was opened once acts once; reload and back repeat nothing."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from django.apps import apps
from django.contrib import admin
from django.contrib.sessions.models import Session
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.admin.form_once import FORM_LIFETIME, SECRET_LIFETIME
from accounts.models import Account, Token
from accounts.second_factors import enable_second_factor, start_second_factor
from keygen_site.models import IdempotentResponse
from licensing.models import License
from pools.models import Key, KeyEvent, KeyImport
from tests.cast import add_keys, make_license, make_policy, numbered
from tests.console import page, signed_in, staff, superuser


@dataclass
class Form:
    """A form on a page of the console.

    Attributes:
        secret: a pattern of what its result shows in clear.
        repeatable: whether a second form may do the same again.
    """

    address: str
    values: dict = field(default_factory=dict)
    secret: str = ""
    repeatable: bool = True


def form(address, row, secret="", /, *, repeatable=True, **values):
    return Form(page(address, id=row.pk), values, secret, repeatable)


def with_second_factor(company):
    user = company.user("user", email="lost@acme.test")
    enable_second_factor(start_second_factor(user))
    return user


@pytest.fixture
def forms(acme, audit):
    """Every form of the console that does something to rows, by its name."""
    keys = add_keys(acme.policy, *numbered(20))
    popped = [acme.policy.pool.pop(audit) for _ in range(2)]
    encrypted = make_policy(acme.product, "Encrypted", encrypted=True)
    yearly = make_policy(acme.product, "Yearly", duration=31_556_952)
    plain, suspended = make_license(acme.unpooled), make_license(acme.unpooled, suspended=True)
    renewable = make_license(yearly, expiry=timezone.now())
    banned = acme.user("user", email="banned@acme.test")
    banned.ban()
    key_import = KeyImport.objects.create(account=acme.account, policy=acme.policy)
    Key.objects.filter(pk=keys[-1].pk).update(key_import=key_import)
    issue = page("licensing_license_add")
    generated = "(?:[0-9A-F]{6}-){5}V3"
    return {
        "licensing.license issue": Form(issue, {"policy": acme.policy.pk, "reference": "Order 1"}, r"KEY-\d{4}"),
        "licensing.license issue unpooled": Form(issue, {"policy": acme.unpooled.pk}, generated),
        "licensing.license issue encrypted": Form(issue, {"policy": encrypted.pk}, "[0-9a-f-]{100,}v1"),
        "licensing.license suspend": form("licensing_license_suspend", plain, repeatable=False),
        "licensing.license reinstate": form("licensing_license_reinstate", suspended, repeatable=False),
        "licensing.license renew": form("licensing_license_renew", renewable),
        "licensing.license revoke": form("licensing_license_revoke", make_license(acme.unpooled), repeatable=False),
        "licensing.policy pop": Form(
            page("licensing_policy_pop", acme.policy.pk), {"count": 2}, r"KEY-\d{4}\nKEY-\d{4}"
        ),
        "licensing.product token": form("licensing_product_token", acme.product, "prod-[0-9a-f]+v3", name="Shop"),
        "accounts.user token": form("accounts_user_token", acme.user(), "user-[0-9a-f]+v3"),
        "accounts.user ban": form("accounts_user_ban", acme.user("user", email="new@acme.test"), repeatable=False),
        "accounts.user unban": form("accounts_user_unban", banned, repeatable=False),
        "accounts.user reset-second-factor": form(
            "accounts_user_reset-second-factor", with_second_factor(acme), repeatable=False
        ),
        "accounts.account rotate-signing-keys": form(
            "accounts_account_rotate-signing-keys", acme.account, keys=["ed25519", "ecdsa"]
        ),
        "accounts.token revoke": form("accounts_token_revoke", Token.generate(acme.product)[0], repeatable=False),
        "accounts.account add": Form(
            page("accounts_account_add"),
            {"name": "New", "slug": "new", "status": "SUBSCRIBED", "admin_email": "ann@new.test"},
            "admin-[0-9a-f]+v3",
            repeatable=False,
        ),
        "pools.key reveal": form("pools_key_reveal", keys[5], "KEY-0006", reference="Ticket 1"),
        "pools.key return": form("pools_key_return", popped[0], repeatable=False, undelivered="on"),
        "pools.key withdraw": form("pools_key_withdraw", keys[7], repeatable=False),
        "pools.keyimport withdraw": form("pools_keyimport_withdraw", key_import),
    }


@pytest.fixture
def client(acme):
    return signed_in(superuser())


def state():
    """All rows of all tables, but for what remembers the forms themselves."""
    return {
        model: list(model._base_manager.order_by("pk").values_list())
        for model in apps.get_models()
        if model not in (Session, IdempotentResponse)
    }


def opened(client, form):
    """Open the page of a form: what it would send."""
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
        if name == "pools.keyimport withdraw":
            client.post(each.address, values)  # does the rest, of which there is none
            if Key.objects.filter(withdrawn__isnull=False).count() != 2:
                problems.append(f"{name}: took more")
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
        "licensing.license issue": {"owner": "nobody@acme.test"},
        "licensing.policy pop": {"count": "1000"},
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
    address = page("licensing_policy_pop", acme.policy.pk)

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

    # Sent again, a form still does nothing; and its next act removes what is over.
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
    """Keys of pools and of licenses stand in tables of their own; everything else must not have them."""
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
        if name == "pools.keyimport withdraw":
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

    response = client.post(page("licensing_policy_export", acme.policy.pk), {"state": "all", "format": "csv"})

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
    response = client.post(page("licensing_policy_export", acme.policy.pk), {"state": "all", "format": "text"})

    assert response.status_code == 200
    assert "csv or ndjson" in str(response.context["form"].errors["format"])
