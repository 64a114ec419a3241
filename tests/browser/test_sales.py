"""Licenses and customers as operators work with them. Clicks are counted from the overview."""

import re

import pytest
from django.core import mail
from playwright.sync_api import expect

from accounts.models import Customer
from licensing.models import License
from licensing.services import issue_license
from pools.models import KeyEvent
from tests.cast import add_keys, numbered
from tests.console import page as address


def test_operator_issues_a_license_to_a_new_customer(page, visit, operator, acme, clicks):
    """Task 15: with the key in the clipboard."""
    add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.as_(operator)(address("index"))

    clicks.link("Licenses")
    clicks.link("Issue license")
    clicks.choose("Pool or terms", "Rocket · Pooled")
    page.get_by_label("Customer email").fill("jan@example.com")
    page.get_by_label("Name of a new customer").fill("Jan Novák")
    page.get_by_label("Reference").fill("Order 10780")
    clicks.button("Issue license")
    expect(page.get_by_role("heading", name="License for Jan Novák")).to_be_visible()
    clicks.button("Copy")

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "C1B6DE-39A6E3-59V3"
    license = License.objects.get()
    assert (license.owner.email, license.owner.display_name) == ("jan@example.com", "Jan Novák")
    assert clicks.count <= 6


def test_operator_suspends_a_license_found_by_a_part_of_the_email(page, visit, operator, acme, audit, clicks):
    """Task 16."""
    add_keys(acme.policy, *numbered(3))
    for name in ("customer24", "customer25", "customer26"):
        owner = acme.user("user", email=f"{name}@example.com")
        issue_license(policy=acme.policy, audit=audit, owner=owner)
    visit.as_(operator)(address("index"))

    clicks.link("Licenses")
    page.locator("#searchbar").fill("customer25")
    page.keyboard.press("Enter")
    expect(page.locator("#result_list tbody tr")).to_have_count(1)
    clicks.link("KE…02")
    clicks.link("Suspend")
    expect(page.get_by_text("The license stops working until you reinstate it.")).to_be_visible()
    clicks.button("Suspend")

    expect(page.get_by_text("License of customer25@example.com suspended.")).to_be_visible()
    assert [each.owner.email for each in License.objects.filter(suspended=True)] == ["customer25@example.com"]
    assert clicks.count <= 4


def test_operator_emails_the_key_after_the_issue(page, visit, operator, acme, mailbox, clicks):
    add_keys(acme.policy, "C1B6DE-39A6E3-59V3")
    visit.as_(operator)(address("licensing_license_add", policy=acme.policy.pk))
    page.get_by_label("Customer email").fill("jan@example.com")
    clicks.button("Issue license")

    page.get_by_role("button", name="Email it to jan@example.com").dblclick()

    expect(page.get_by_text("The key is on its way to jan@example.com.")).to_be_visible()
    expect(page.get_by_role("row", name="emailed").first).to_contain_text("jan@example.com")
    assert [message.to for message in mail.outbox] == [["jan@example.com"]]
    assert KeyEvent.objects.filter(event="revealed").count() == 1


def test_operator_reloads_the_result_and_issues_nothing_more(page, visit, operator, acme, mailbox):
    add_keys(acme.policy, *numbered(3))
    visit.as_(operator)(address("licensing_license_add", policy=acme.policy.pk))
    page.get_by_label("Customer email").fill("jan@example.com")
    page.get_by_role("button", name="Issue license").dblclick()
    expect(page.locator("#secret")).to_have_text("KEY-0001")
    result = page.url

    page.reload()
    page.go_back()

    expect(page.get_by_role("heading", name="This form was sent")).to_be_visible()
    page.get_by_role("link", name="See the result").click()
    expect(page).to_have_url(re.compile(re.escape(result)))
    assert (License.objects.count(), Customer.objects.count()) == (1, 1)


def test_operator_goes_from_a_customer_to_another_license(page, visit, operator, acme, audit, clicks):
    add_keys(acme.policy, *numbered(2))
    jan = acme.user("user", email="jan@example.com", first_name="Jan", last_name="Novák")
    issue_license(policy=acme.policy, audit=audit, owner=jan)
    visit.as_(operator)(address("index"))

    clicks.link("Customers")
    page.locator("#searchbar").fill("novák")
    page.keyboard.press("Enter")
    clicks.link("jan@example.com")
    clicks.link("Issue license")
    expect(page.get_by_label("Customer email")).to_have_value("jan@example.com")
    clicks.choose("Pool or terms", "Rocket · Pooled")
    clicks.button("Issue license")

    expect(page.locator("#secret")).to_have_text("KEY-0002")
    assert clicks.count <= 6


@pytest.mark.parametrize("width", [1440, 390])
def test_sales_pages_fit(page, visit, operator, acme, audit, width):
    name = "x" * 255
    add_keys(acme.policy, *numbered(2))
    jan = acme.user("user", email=f"{'j' * 60}@example.com", first_name=name, last_name="\u202eevil")
    license = issue_license(policy=acme.policy, audit=audit, owner=jan, name=name)
    acme.product.platforms = [name]
    acme.product.save()
    page.set_viewport_size({"width": width, "height": 900})
    visit.as_(operator)
    wrong = []
    for path in (
        address("licensing_license_changelist"),
        address("licensing_license_change", license.pk),
        address("licensing_license_suspend", id=license.pk),
        address("licensing_license_add"),
        address("accounts_customer_changelist"),
        address("accounts_customer_change", jan.pk),
        address("licensing_product_changelist"),
        address("licensing_product_change", acme.product.pk),
    ):
        visit(path)
        if not page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"):
            wrong.append(path)

    assert wrong == []
