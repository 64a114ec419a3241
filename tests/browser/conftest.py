"""A real browser in front of a real server: `make test-browser`. Left out of `make test`: it needs Chromium."""

import os
import shutil

import pytest
from django.conf import settings

from tests.console import signed_in, staff

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
