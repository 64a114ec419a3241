"""The second factor in a browser, with and without scripts: nothing of the pages breaks the content security policy."""

import pytest

from accounts.models import SecondFactor
from tests.console import PASSWORD, superuser
from tests.security.second_factors import code_at


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def browser_context_args(browser_context_args, request):
    phone = {"viewport": {"width": 390, "height": 800}}
    return {**browser_context_args, **phone, "java_script_enabled": request.param}


def sign_in(page):
    page.fill("[name=username]", "root@example.test")
    page.fill("[name=password]", PASSWORD)
    page.click("main [type=submit]")


def test_second_factor_from_the_first_sign_in_to_the_next_one(page, visit, settings):
    settings.REQUIRE_SECOND_FACTOR = "superusers"
    superuser(PASSWORD)
    visit("/admin/")
    sign_in(page)
    assert "You need a second factor" in page.content()

    page.fill("[name=password]", PASSWORD)
    page.click("main [type=submit]")
    assert page.locator("svg.qr").bounding_box()["width"] > 150
    assert page.locator("[name=code]").bounding_box()["width"] < 390 - 20
    page.fill("[name=code]", code_at(SecondFactor.objects.get()))
    page.click("main [type=submit]")
    with page.expect_download() as download:
        page.click("text=Download")
    codes = download.value.path().read_text().split()
    assert page.locator("#secret").inner_text().split() == codes

    page.context.clear_cookies()
    visit("/admin/pools/key/")
    sign_in(page)
    page.fill("[name=code]", codes[0])
    page.click("main [type=submit]")
    assert page.url.endswith("/admin/pools/key/")
