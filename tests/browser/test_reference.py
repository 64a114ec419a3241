"""The page of the API at /docs in a browser."""

from playwright.sync_api import expect

from tests.browser.test_accessibility import violations


def test_reference_page_finds_operations_by_their_texts(visit, page):
    visit("/docs")

    page.keyboard.press("/")
    page.keyboard.type("withdraw permanently")

    expect(page.locator("#pool_withdraw")).to_be_visible()
    expect(page.locator("#pool_pop")).to_be_hidden()
    expect(page.locator("nav a[href='#pool_pop']")).to_be_hidden()

    page.keyboard.press("Escape")

    expect(page.locator("#pool_pop")).to_be_visible()


def test_reference_page_fits_on_a_phone(visit, page):
    page.set_viewport_size({"width": 390, "height": 844})

    visit("/docs")

    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_reference_page_is_accessible(visit, page):
    visit("/docs")
    # One section is enough, and all of them take minutes.
    page.evaluate("for (const chapter of document.querySelectorAll('.chapter:not(:has(#pool_pop))')) chapter.remove()")
    page.evaluate("for (const section of document.querySelectorAll('.operation:not(#pool_pop)')) section.remove()")
    page.evaluate("for (const details of document.querySelectorAll('#pool_pop details')) details.open = true")

    assert list(violations(page)) == []
