"""A real browser in front of a real server: `make test-browser`. Left out of `make test`: it needs Chromium."""

import os
import shutil
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone
from uuid_utils.compat import uuid7

from accounts.models import Token
from licensing.services import issue_license
from tests.accounts.groups import make_group
from tests.browser.clicks import Clicks
from tests.cast import add_keys, numbered
from tests.console import page as address
from tests.console import signed_in, staff
from tests.licensing.entitlements import attach, make_entitlement
from tests.licensing.machines import make_component, make_machine, make_process
from tests.moving.moves import make_move, row

# Playwright has an event loop in the thread of the tests, where Django would rather not see statements.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser_type_launch_args():
    return {"executable_path": CHROMIUM, "args": ARGUMENTS}


@pytest.fixture(autouse=True)
def real_transactions(transactional_db):
    """Commit what a test creates: the server is another thread."""


@pytest.fixture
def browser_context_args(browser_context_args):
    return {**browser_context_args, "viewport": {"width": 1280, "height": 900}}


@pytest.fixture
def operator(acme):
    return staff(acme, email="ann@acme.test")


@pytest.fixture
def visit(page, live_server, complaints):
    """`visit(path)` opens a page of the server; `visit.as_(person)` signs a user in first."""

    class Visit:
        def __call__(self, path):
            return page.goto(live_server.url + path)

        def as_(self, person):
            cookie = signed_in(person).cookies[settings.SESSION_COOKIE_NAME].value
            page.context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": live_server.url}])
            return self

    return Visit()


@pytest.fixture
def complaints(page):
    """The problems that the browser reported: script errors, content security policy violations, missing files."""
    heard = []
    page.on("console", lambda message: heard.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: heard.append(str(error)))
    yield heard
    assert heard == []


@pytest.fixture
def clicks(page):
    return Clicks(page)


@pytest.fixture
def everything(acme, audit, operator):
    """Pages of each kind, with something on them."""
    acme.policy.low_stock_threshold = 10
    acme.policy.save()
    key, *_ = add_keys(acme.policy, *numbered(5))
    Token.generate(acme.product, name="Old shop", expiry=timezone.now() + timedelta(days=3))
    license = issue_license(policy=acme.policy, audit=audit, name="Ann's license")
    group, entitlement = make_group(acme.account, max_licenses=1), make_entitlement(acme.account)
    buyer = acme.user("user", email="buyer@acme.test", first_name="Eva", group=group)
    hardware = {"cores": 8, "memory": 16 * 2**30, "disk": 2**40, "platform": "macOS 15"}
    machine = make_machine(license, "C5:3A:11", ago=30, name="Studio", owner=buyer, group=group, **hardware)
    lost = make_machine(license, "C5:3A:12", ago=86_400)
    make_component(machine)
    make_process(machine)
    attach(license, entitlement)
    attach(acme.policy, make_entitlement(acme.account, "CLOUD", "Cloud storage"))
    make_move(acme, row(), row("License", str(license.pk), license.masked, kept=True))
    token = address("licensing_product_token", id=acme.product.pk, once=uuid7())
    shown = signed_in(operator).post(token, {"once": token.rpartition("=")[2]})["Location"]
    return [
        token,
        shown,
        address("licensing_license_changelist", e="1"),
        address("index"),
        address("inbox"),
        address("pools_key_changelist"),
        address("pools_key_changelist", q="nothing"),
        address("pools_key_change", key.pk),
        address("activity"),
        address("settings_move", acme.account.pk),
        address("pools_keyimport_changelist"),
        address("pools_pendingimport_import", acme.policy.pk),
        address("licensing_license_changelist"),
        address("licensing_license_change", license.pk),
        address("licensing_license_add"),
        address("licensing_license_group", id=license.pk),
        address("licensing_license_entitlements", id=license.pk),
        address("licensing_machine_changelist"),
        address("licensing_machine_change", machine.pk),
        address("licensing_machine_deactivate", id=lost.pk),
        address("licensing_machine_reset-heartbeat", id=machine.pk),
        address("licensing_entitlement_changelist"),
        address("licensing_entitlement_change", entitlement.pk),
        address("licensing_entitlement_add"),
        address("accounts_group_changelist"),
        address("accounts_group_change", group.pk),
        address("accounts_group_add"),
        address("accounts_customer_change", buyer.pk),
        address("pools_pool_change", acme.policy.pk),
        *(address(f"pools_pool_{name}", acme.policy.pk) for name in ("imports", "activity", "usage", "terms", "alert")),
        address("pools_pool_changelist"),
        address("pools_pool_add"),
        address("pools_pool_export_all"),
        address("licensing_policy_changelist"),
        address("licensing_policy_change", acme.unpooled.pk),
        address("licensing_policy_add"),
        address("pools_pool_pop", acme.policy.pk),
        address("pools_pool_export", acme.policy.pk),
        address("licensing_product_change", acme.product.pk),
        address("accounts_user_change", acme.admin.pk),
        address("accounts_token_changelist"),
        address("password_change"),
    ]
