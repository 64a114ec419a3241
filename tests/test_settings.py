"""Settings that the server refuses to start with. It reports all errors together."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.without_database


ROOT = Path(__file__).parent.parent
GOOD = {
    "SECRET_KEY": "fQ7-for-a-server-that-never-starts-zK2",
    "ALLOWED_HOSTS": "example.test",
    "DATABASE_URL": "sqlite:///db.sqlite3",
}


def start(program="import keygen_site.settings", **environment):
    """Read the settings in a process of its own. Returns whether it succeeded, and its output."""
    outcome = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": os.environ["PATH"], "ENV_FILE": os.devnull, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_settings_start_with_what_matters():
    assert start(**GOOD) == (True, "")


@pytest.mark.parametrize(
    ("url", "threads"), [("sqlite:///db.sqlite3", 1), ("postgres://user@localhost/keys", 2), ("postgresql:///keys", 2)]
)
def test_threads_depend_on_the_database(url, threads):
    program = "from keygen_site.settings import THREADS; print(THREADS)"

    assert start(program, **GOOD | {"DATABASE_URL": url}) == (True, f"{threads}\n")
    assert start(program, **GOOD | {"DATABASE_URL": url, "THREADS": "3"}) == (True, "3\n")


def test_mail_goes_as_the_explanations_say():
    text = (ROOT / "docs/configuration.md").read_text() + (ROOT / ".env.example").read_text()
    examples = re.findall(r"(\w[\w+]*://user:password@host:587)", text)

    assert len(examples) == 2
    for example in examples:
        program = "from keygen_site import settings; print(settings.EMAIL_HOST, settings.EMAIL_USE_TLS)"
        assert start(program, **GOOD, EMAIL_URL=example) == (True, "host True\n")


def test_debugging_needs_nothing():
    assert start(DEBUG="true") == (True, "")


def test_settings_names_all_that_is_missing():
    started, said = start()

    assert not started
    assert all(name in said for name in GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", ""),
        ("SITE_URL", "keys.example.com"),
        ("SITE_URL", "https://keys.example.com/"),
        ("SITE_URL", "https://*.example.com"),
        ("SITE_URL", "https://keys.example.com:https"),
        ("SECRET_KEY_FALLBACKS", "former,,older"),
        ("SECRET_KEY_FALLBACKS", "former,  ,older"),
        ("SECRET_KEY_FALLBACKS", "former,"),
        ("IDEMPOTENCY_KEYS_PER_HOUR", "-1"),
        ("ALLOWED_HOSTS", ""),
        ("DATABASE_URL", "nonsense://"),
        ("DEBUG", "perhaps"),
        ("BEHIND_TLS_PROXY", "maybe"),
        ("REQUESTS_PER_SECOND", "-1"),
        ("REQUESTS_PER_MINUTE", "many"),
        ("LOCK_TIMEOUT", "soon"),
        ("LOCK_TIMEOUT", "0"),
        ("LOG_LEVEL", "LOUD"),
        ("LOG_FORMAT", "xml"),
        ("STATEMENT_TIMEOUT", "-1"),
        ("IDLE_TRANSACTION_TIMEOUT", "long"),
        ("CONNECTION_POOLER", "pgbouncer"),
        ("EMAIL_URL", "pigeon://home"),
        ("REQUIRE_SECOND_FACTOR", "everybody"),
    ],
)
def test_settings_names_the_malformed_setting(name, value):
    started, said = start(**GOOD | {name: value})

    assert not started
    assert name in said


WEAK_SECRETS = [
    *("x", "secret", "changeme", "replace-me", "secret" * 6, "a" * 50, "31-characters-are-too-few-012345"[:31]),
    *(
        "replace-me-with-a-long-random-text-please",
        "CHANGEME-changeme-CHANGEME-changeme",
        "django-insecure-%s" % ("q7" * 20),
    ),
]


@pytest.mark.parametrize("secret", WEAK_SECRETS)
def test_settings_refuse_a_weak_secret_and_say_how_to_make_one(secret):
    started, said = start(**GOOD | {"SECRET_KEY": secret})

    assert not started
    (line,) = [line for line in said.splitlines() if "SECRET_KEY" in line]
    command = re.search(r"python3 -c '(.*?)'", line)[1]
    made = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    assert start(**GOOD | {"SECRET_KEY": made}) == (True, "")
    assert start(**GOOD | {"SECRET_KEY": secret, "DEBUG": "true"}) == (True, "")


def test_settings_refuse_the_examples_of_the_documentation():
    texts = (
        (ROOT / "docs/configuration.md").read_text()
        + (ROOT / ".env.example").read_text()
        + (ROOT / "docs/operations.md").read_text()
    )
    examples = re.findall(r"SECRET_KEY=(\S+)", texts)

    assert examples
    assert [secret for secret in examples if start(**GOOD | {"SECRET_KEY": secret})[0]] == []


def test_settings_have_an_url_for_mail():
    program = "from keygen_site import settings; print(settings.SITE_URL)"
    for more, url in [
        ({}, "http://example.test"),
        ({"BEHIND_TLS_PROXY": "true"}, "https://example.test"),
        ({"ALLOWED_HOSTS": ".example.com,other"}, "http://example.com"),
        ({"SITE_URL": "https://keys.example.com:8443"}, "https://keys.example.com:8443"),
    ]:
        assert start(program, **GOOD | more) == (True, f"{url}\n")


def test_settings_are_all_explained():
    source = (ROOT / "keygen_site" / "settings.py").read_text()
    names = set(re.findall(r'(?:env\.\w+\(|require\(env\.\w+,)\s*"([A-Z_]+)"', source))

    assert {"SECRET_KEY", "LOCK_TIMEOUT", "EMAIL_URL"} <= names
    for text in ((ROOT / "docs/configuration.md").read_text(), (ROOT / ".env.example").read_text()):
        assert [name for name in names if name not in text] == []
