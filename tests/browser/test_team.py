"""Tasks 11 and 12 of the review, with the number of clicks: a token for a shop, and a new colleague."""

from playwright.sync_api import expect

from accounts.models import User, find_token
from tests.accounts.links import NEW, link_of
from tests.console import page as address


def test_a_token_for_a_shop_takes_four_clicks(page, visit, operator, acme, clicks):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    visit.as_(operator)(address("index"))

    clicks.link("API tokens")
    clicks.link("New token")
    page.get_by_label("Name").fill("Shop EU")
    clicks.button("Create token")
    clicks.button("Copy the secret")

    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    token = find_token(page.evaluate("navigator.clipboard.readText()"))
    assert (token.name, token.bearer) == ("Shop EU", acme.product)
    expect(page.get_by_text("curl -H")).to_be_visible()
    assert clicks.count == 4


def test_a_colleague_is_invited_with_four_clicks_and_joins_with_one(page, visit, operator, acme, clicks, mailbox):
    visit.as_(operator)(address("index"))

    clicks.link("Team", exact=True)
    clicks.link("Invite", exact=True)
    page.get_by_label("Email").fill("bob@acme.test")
    clicks(page.get_by_role("radio", name="Support"))
    clicks.button("Send invitation")

    expect(page.get_by_text("bob@acme.test is invited.")).to_be_visible()
    assert clicks.count == 4

    page.context.clear_cookies()
    clicks.count = 0
    visit(link_of(mailbox[0]))
    assert "token" not in page.url
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password again").fill(NEW)
    clicks.button("Join")

    expect(page.get_by_text("Welcome to Acme.")).to_be_visible()
    assert clicks.count == 1
    bob = User.objects.get(email="bob@acme.test")
    assert (bob.role, bob.groups.get().name) == ("support-agent", "Support")


def test_a_forgotten_password_takes_four_clicks(page, visit, operator, mailbox, clicks):
    visit("/admin/")

    clicks.link("Forgot your password?")
    page.get_by_label("Email").fill(operator.email)
    clicks.button("Send link")
    expect(page.get_by_text("a link to choose a new password is on its way")).to_be_visible()
    visit(link_of(mailbox[0]))
    page.get_by_label("New password", exact=True).fill(NEW)
    page.get_by_label("New password again").fill(NEW)
    clicks.button("Change password")
    page.get_by_label("Email").fill(operator.email)
    page.get_by_label("Password").fill(NEW)
    clicks.button("Sign in")

    expect(page.get_by_role("link", name="Team", exact=True).first).to_be_visible()
    assert clicks.count == 4
