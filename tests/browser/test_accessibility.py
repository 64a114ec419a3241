"""axe-core finds no violations (WCAG 2.2 AA) on any page, in both themes and at two widths.

Each test has one seeded database. A page is loaded once, and then changed in theme and width.
"""

import pytest
from axe_playwright_python.base import AXE_SCRIPT

from tests.browser.pages import walk
from tests.console import page as address
from tests.console import superuser

ALL = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}
# The other rules do not depend on the theme.
OF_COLOR = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
OF_WIDTH = {"runOnly": {"type": "rule", "values": ["target-size", "color-contrast", "scrollable-region-focusable"]}}
LOOKS = [("light", 1440, ALL), ("light", 390, OF_WIDTH), ("dark", 390, OF_COLOR), ("dark", 1440, OF_COLOR)]
RUN = """async (options) => {
    const results = await axe.run({ ...options, resultTypes: ["violations"], preload: false });
    return results.violations.map(({ id, nodes }) => [id, nodes.slice(0, 3).map(({ html }) => html.slice(0, 160))]);
}"""


def violations(page, looks=LOOKS):
    """Return the violations that axe-core finds on the present page, in each theme and at each width."""
    page.evaluate(AXE_SCRIPT)
    found = []
    for scheme, width, rules in looks:
        page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # without transitions of colors
        page.set_viewport_size({"width": width, "height": 900})
        found += [f"{rule} ({scheme}, {width}): {' | '.join(nodes)}" for rule, nodes in page.evaluate(RUN, rules)]
    return found


def test_every_page_is_accessible(page, visit, operator, everything, live_server):
    """A superuser's walk continues with the kinds of page that an operator does not reach."""
    visited, wrong = set(), {}
    for person in (operator, superuser()):
        visit.as_(person)
        for path in walk(page, live_server.url, visited):
            if found := violations(page):
                wrong[path] = found

    assert not wrong, "\n".join(f"{path}: {found}" for path, found in wrong.items())


def test_empty_console_is_accessible(page, visit, operator, live_server):
    """Before the first pool there are other texts and pages."""
    visit.as_(operator)
    wrong = {}
    for name in ("index", "pools_pool_changelist", "pools_key_changelist", "activity", "accounts_token_changelist"):
        visit(address(name))
        wrong[name] = violations(page)

    assert not any(wrong.values()), wrong


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/nowhere/"])
def test_pages_before_the_sign_in_are_accessible(page, visit, path, acme, complaints):
    visit(path)
    complaints.clear()  # the browser reports the 404

    assert violations(page) == []


def test_open_menus_are_accessible(page, visit, operator, everything):
    visit.as_(operator)(everything[2])
    menus = page.locator("details.person, details.filter, .bottom-bar details")
    wrong = []
    for place in range(menus.count()):
        menus.nth(place).evaluate("menu => menu.open = true")
        wrong += violations(page, [(scheme, width, OF_COLOR) for scheme, width, _ in LOOKS])
        menus.nth(place).evaluate("menu => menu.open = false")

    assert wrong == []


def test_errors_of_forms_are_accessible(page, visit, operator, everything):
    visit.as_(operator)
    wrong = {}
    for path in everything:
        visit(path)
        buttons = page.locator("main form[method=post] [type=submit]:visible")
        if buttons.count() == 0:
            continue
        buttons.last.click()
        page.wait_for_load_state()
        if found := violations(page, [("light", 1440, ALL), ("dark", 390, OF_COLOR)]):
            wrong[path] = found

    assert not wrong, "\n".join(f"{path}: {found}" for path, found in wrong.items())
