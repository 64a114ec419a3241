"""POST requests to pages of the console after the session has ended, and the texts that its forms send by GET."""

import re

import pytest
from django.contrib import admin
from django.test import Client
from django.urls import NoReverseMatch, URLResolver

from accounts.admin.ended_sessions import NOTHING_DONE
from accounts.models import Activity
from tests.cast import add_keys, numbered
from tests.console import PASSWORD, page, signed_in, staff, superuser

pytestmark = pytest.mark.without_database

FREE_TEXT = re.compile(r"<textarea|<input(?![^>]*type=[\"']?(?:hidden|submit|checkbox|radio|date|number)\b)")
FORM = re.compile(r"<form(?![^>]*method=[\"']?post)[^>]*>.*?</form>", re.DOTALL | re.IGNORECASE)


def names_of(patterns):
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            yield from names_of(pattern.url_patterns)
        elif pattern.name:
            yield pattern.name


def pages_of(pool):
    """The pages without arguments, and those of a pool."""
    for name in dict.fromkeys(names_of(admin.site.urls[0])):
        for args in ([], [pool.pk]):
            try:
                yield page(name, *args)
            except NoReverseMatch:
                continue


def test_pages_for_posts_only_lead_back_to_where_they_were_sent_from(acme):
    client = signed_in(superuser())
    addresses = [address for address in pages_of(acme.policy) if client.get(address).status_code == 405]
    expected = [("mute_pool", acme.policy.pk), ("activity_csv",), ("pools_key_csv",), ("settings_test_mail",)]
    assert {page(*each) for each in expected} <= set(addresses)

    for address in set(addresses) - {page("logout")}:
        response = Client().post(address, headers={"Referer": f"http://testserver{page('inbox')}?p=2"})
        assert response["Location"] == f"{page('login')}?next={page('inbox')}%3Fp%3D2", address

    for referer in ("http://evil.test/", "http://[", ""):
        elsewhere = Client().post(page("activity_csv"), headers={"Referer": referer})
        assert elsewhere["Location"] == page("login", next=page("index"))

    assert not Activity.objects.exists()


def test_notice_that_nothing_was_done_is_on_the_page_after_the_sign_in(acme):
    staff(acme, email="ann@acme.test", password=PASSWORD)
    client = Client()
    response = client.post(page("activity_csv"), headers={"Referer": f"http://testserver{page('activity')}"})

    sign_in = client.get(response["Location"])
    values = {"username": "ann@acme.test", "password": PASSWORD, "next": sign_in.context["next"]}
    response = client.post(response["Location"], values)

    assert NOTHING_DONE in sign_in.content.decode()
    assert response["Location"] == page("activity")
    assert NOTHING_DONE in client.get(response["Location"]).content.decode()
    assert NOTHING_DONE not in client.get(response["Location"]).content.decode()


def test_no_form_sends_a_text_by_get(acme, audit):
    """A key pasted there would be in the URL, and so in logs and in the history of the browser."""
    add_keys(acme.policy, *numbered(3))
    acme.policy.pool.pop(audit)
    client = signed_in(superuser())
    sent = []
    for address in [*pages_of(acme.policy), page("activity", reference="Order")]:
        text = getattr(client.get(address), "content", b"").decode(errors="replace")
        sent += [(address, form) for form in FORM.findall(text) if FREE_TEXT.search(form)]

    assert sent == []


@pytest.mark.parametrize(("name", "field"), [("index", "pool"), ("activity", "reference")])
def test_a_text_to_filter_by_is_sealed_in_the_url(acme, audit, name, field):
    add_keys(acme.policy, *numbered(3))
    acme.policy.pool.pop(audit)
    client = signed_in(staff(acme))

    response = client.post(page(name), {field: "Nowhere", "empty": ""})

    assert response["Location"].startswith(f"{page(name)}?{field}=~")
    assert not {"Nowhere", "empty"} & set(re.split(r"\W", response["Location"]))
    result = client.get(response["Location"])
    assert 'value="Nowhere"' in result.content.decode()
    assert "Clear filters" in result.content.decode()
