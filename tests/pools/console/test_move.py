"""The page about an account that was imported from keygen-api."""

import csv
from uuid import uuid4

from accounts.models import Activity
from tests.cast import add_keys, make_license
from tests.console import GROUPS, page, signed_in, staff, superuser
from tests.moving.moves import KEY, make_move, row
from tests.tables import each_row


def open_page(person, company, **query):
    return signed_in(person).get(page("settings_move", company.account.pk, **query))


def text_of(response):
    assert response.status_code == 200
    return " ".join(response.content.decode().split())


@each_row("group", GROUPS)
def test_everyone_with_a_role_in_the_console_sees_the_report(acme, group):
    make_move(acme, row())

    text = text_of(open_page(staff(acme, group), acme))

    assert "ab" * 32 in text
    assert '<th scope="row">Policies</th><td class="number">11</td>' in text
    assert '<th scope="row">Keys</th><td class="number">1,234</td><td class="number">3</td>' in text
    assert '<th scope="row">Release artifacts</th><td class="number">0</td><td class="number">5</td>' in text
    assert '<th scope="row">Machine processes</th><td class="number">3</td>' in text
    assert '<th scope="row">Used keys</th><td class="number">7</td>' in text
    assert "A license has the same key" in text
    assert "<code>BETA…7919</code>" in text
    assert "Sold twice" in text


def test_other_people_do_not_see_it(acme, rival):
    make_move(acme, row())

    assert open_page(staff(rival), acme).status_code == 404
    assert open_page(acme.user("developer", is_staff=True), acme).status_code == 403
    csv_url = page("settings_move_csv", acme.account.pk)
    assert signed_in(staff(rival)).post(csv_url).status_code == 404
    assert signed_in(acme.user("developer", is_staff=True)).post(csv_url).status_code == 403


def test_an_account_that_was_made_here_has_no_report(acme):
    person = staff(acme)

    assert open_page(person, acme).status_code == 404
    assert "keygen-api" not in text_of(signed_in(person).get(page("settings")))


def test_the_settings_and_the_page_of_the_account_lead_to_the_report(acme):
    make_move(acme)
    link = page("settings_move", acme.account.pk)

    assert link in text_of(signed_in(staff(acme)).get(page("settings")))
    assert link not in text_of(signed_in(acme.user("developer", is_staff=True)).get(page("settings")))
    assert link in text_of(signed_in(superuser()).get(page("accounts_account_change", acme.account.pk)))
    assert "There are none." in text_of(open_page(superuser(), acme))


def test_rows_that_were_imported_lead_to_their_pages(acme, rival):
    (key,) = add_keys(acme.policy, KEY)
    license = make_license(acme.unpooled)
    others = make_license(rival.unpooled)
    rows = [
        row(id=str(key.pk), kept=True),
        row("License", str(license.pk), license.masked, kept=True),
        row("User", "00000000-0000-4000-8000-000000000000", "gone@acme.test", kept=True),
        row("License", str(others.pk), others.masked, kept=True),
    ]
    make_move(acme, *rows)

    text = text_of(open_page(staff(acme), acme))

    assert f'<a href="{page("pools_key_change", key.pk)}"><code>BETA…7919</code></a>' in text
    assert page("licensing_license_change", license.pk) in text
    assert "<bdi>gone@acme.test</bdi>" in text
    assert str(others.pk) not in text
    assert KEY not in text


def test_the_rows_come_in_pages(acme, django_assert_max_num_queries):
    make_move(acme, *(row(label=f"row-{number:03}") for number in range(120)))
    client = signed_in(staff(acme))

    with django_assert_max_num_queries(12):
        second = text_of(client.get(page("settings_move", acme.account.pk, p=2)))

    assert "row-050" in second
    assert "row-099" in second
    assert "row-049" not in second
    assert "row-100" not in second
    assert "51 to 100 of 120" in second
    assert "row-119" in text_of(client.get(page("settings_move", acme.account.pk, p="99999999999999999999")))
    assert "row-000" in text_of(client.get(page("settings_move", acme.account.pk, p="x")))


def test_a_report_that_has_not_all_rows_says_so(acme):
    make_move(acme, row(label="row-1"), count=1235)

    text = text_of(open_page(staff(acme), acme))

    assert "1,234 more are not stored here" in text
    assert "1,235" in text


def test_the_rows_are_exported_as_csv(acme):
    make_move(acme, row(), row("User", label="=1+1@acme.test", kept=True))

    response = signed_in(staff(acme)).post(page("settings_move_csv", acme.account.pk))

    first, second = csv.DictReader(b"".join(response).decode("utf-8-sig").splitlines())
    assert (first["kind"], first["name"], first["imported"], first["reason"]) == (
        "Key",
        "BETA…7919",
        "no",
        "sold twice",
    )
    assert (second["name"], second["imported"]) == ("'=1+1@acme.test", "yes")
    entry = Activity.objects.latest("id")
    assert (entry.event, entry.account_id, entry.details["count"]) == ("exported", acme.account.pk, 2)
    assert signed_in(staff(acme)).get(page("settings_move_csv", acme.account.pk)).status_code == 405


def test_texts_of_the_report_are_escaped(acme):
    make_move(acme, row(label="<b>x", problem="<i>y"))

    text = text_of(open_page(staff(acme), acme))

    assert "<b>x" not in text
    assert "<i>y" not in text.lower()


def test_row_without_a_name_is_shown_with_its_id(acme):
    uuid = str(uuid4())
    make_move(acme, row("License", uuid, ""), row("used keys", "sold.txt:7", ""))

    text = text_of(open_page(staff(acme), acme))

    assert f"<bdi>{uuid}</bdi>" in text
    assert "<bdi>sold.txt:7</bdi>" in text
