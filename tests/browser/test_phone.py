"""The console at 390 px."""

from django.conf import settings

from tests.browser.pages import walk
from tests.console import page as address
from tests.console import superuser

# The visible links, and whether the page fits the width.
LINKS = """links => links
    .filter((link) => link.checkVisibility() && link.getBoundingClientRect().right <= innerWidth)
    .map((link) => new URL(link.href).pathname)"""
FITS = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"


def menu_of(person):
    entries = [entry for group in settings.CONSOLE_MENU for entry in group]
    return {
        address(name)
        for _, name, permission, _ in entries
        if not permission or (person.is_superuser if permission == "superuser" else person.has_perm(permission))
    }


def test_every_page_fits_a_phone_and_leads_to_every_menu_entry(page, visit, operator, everything, live_server):
    """A superuser's walk continues with the kinds of page that an operator does not reach."""
    page.set_viewport_size({"width": 390, "height": 844})
    visited, wrong = set(), {}
    for person in (operator, superuser()):
        visit.as_(person)
        menu = menu_of(person)
        for path in walk(page, live_server.url, visited):
            page.locator(".bottom-bar summary").click()
            missing = menu - set(page.eval_on_selector_all(".bottom-bar a", LINKS))
            if missing or not page.evaluate(FITS):
                wrong[path] = missing or "too wide"

    assert wrong == {}
    assert len(visited) > 50
