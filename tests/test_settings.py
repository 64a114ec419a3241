"""What the server refuses to start with, and that it says all of it at once."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.without_database


ROOT = Path(__file__).parent.parent
GOOD = {"SECRET_KEY": "secret", "ALLOWED_HOSTS": "example.test", "DATABASE_URL": "sqlite:///db.sqlite3"}


def start(program="import keygen_site.settings", **environment):
    """Read the settings in a process of its own: whether it got through, and what it said."""
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


def test_mail_goes_as_the_explanations_say():
    text = (ROOT / "README.md").read_text() + (ROOT / ".env.example").read_text()
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
        ("SECRET_KEY_FALLBACKS", "former,,older"),
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
    ],
)
def test_settings_names_what_is_malformed(name, value):
    started, said = start(**GOOD | {name: value})

    assert not started
    assert name in said


def test_settings_are_all_explained():
    source = (ROOT / "keygen_site" / "settings.py").read_text()
    names = set(re.findall(r'(?:env\.\w+\(|require\(env\.\w+,)\s*"([A-Z_]+)"', source))

    assert {"SECRET_KEY", "LOCK_TIMEOUT", "EMAIL_URL"} <= names
    for text in ((ROOT / "README.md").read_text(), (ROOT / ".env.example").read_text()):
        assert [name for name in names if name not in text] == []
