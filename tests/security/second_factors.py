"""Helpers of the tests of second factors: people who have one, and their codes."""

import base64
import re
import time
from uuid import uuid4

from django.test import Client
from django.urls import URLPattern, get_resolver
from django_otp.oath import TOTP

from accounts.models import SecondFactor
from accounts.second_factors import enable_second_factor, start_second_factor
from tests.console import PASSWORD

# A time in the middle of a step, so that only the code of this step is accepted. Sessions still last then.
NOON = int(time.time()) // 30 * 30 + 15
LOGIN, SECOND_STEP = "/admin/login/", "/admin/login/code/"
SETTINGS = "/admin/second-factor/"
SET_UP, NEW_CODES, TURN_OFF = (f"{SETTINGS}{page}/" for page in ("set-up", "new-codes", "turn-off"))


def code_at(factor, timestamp=None):
    """Return the code that the app of a second factor shows at a time."""
    totp = TOTP(base64.b32decode(factor.secret))
    totp.time = time.time() if timestamp is None else timestamp
    return f"{totp.token():06}"


def wrong_code(factor):
    """Return a code that the app does not show now, nor before."""
    valid = {code_at(factor, time.time() - 30 * steps) for steps in range(2)}
    return next(code for code in ("000000", "111111", "222222") if code not in valid)


def enable(person):
    """Turn on the second factor of a user, and return it with its recovery codes."""
    codes = enable_second_factor(start_second_factor(person))
    return SecondFactor.objects.get(user=person), codes


def first_step(person, client=None, password=PASSWORD, **values):
    """Return a client that has sent email and password, and the response."""
    client = client or Client()
    return client, client.post(LOGIN, {"username": person.email, "password": password, **values})


def sign_in(person, code, password=PASSWORD, **values):
    """Return a client that has gone through both steps, and the last response."""
    client, _ = first_step(person, password=password, **values)
    return client, client.post(SECOND_STEP, {"code": code})


def is_in(client):
    return client.get("/admin/").status_code == 200


def console_urls():
    """Return the name of every URL of the console, by the URL, with ids that do not exist."""
    found = {}

    def walk(patterns, prefix):
        for pattern in patterns:
            path = f"{prefix}{pattern.pattern}"
            if isinstance(pattern, URLPattern):
                path = re.sub(r"\^\(\?P<app_label>.*", "accounts/", path)
                url = re.sub(r"<[^>]*>|\(\?P.*", lambda match: str(uuid4()), path)
                found[url] = pattern.name
            else:
                walk(pattern.url_patterns, path)

    console = next(each for each in get_resolver().url_patterns if getattr(each, "app_name", "") == "admin")
    walk(console.url_patterns, "/admin/")
    return found
