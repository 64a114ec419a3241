"""A start with a missing, wrong or malformed encryption key: refused, with one line that names the key."""

import subprocess
import sys

import pytest
from django.conf import settings
from django.test import override_settings

from keygen_site.checks import check_encryption
from keygen_site.db.key_digests import KeyEncryptionError
from keygen_site.encryption_keys import parse_keys
from tests.cast import add_keys
from tests.encryption import configured, encryption, new_key, restored_digest_key
from tests.processes import invocation, manage


class TestStart:
    def test_missing_key_is_reported(self, acme):
        with encryption(new_key("one")):
            pass

        (problem,) = check_encryption(None)

        assert problem.msg == "KEY_ENCRYPTION_KEYS must have the key one: the database is encrypted with it."

    def test_wrong_key_is_reported(self, acme):
        with encryption(new_key("one")):
            pass
        with override_settings(KEY_ENCRYPTION_KEYS=",".join([new_key("one"), *configured()])):
            (problem,) = check_encryption(None)

            assert "The key one of KEY_ENCRYPTION_KEYS is not the one" in problem.msg
            with pytest.raises(KeyEncryptionError):
                add_keys(acme.policy, "KEY-0001")

    def test_right_key_is_accepted(self, acme):
        with encryption(new_key("one")):
            found = check_encryption(None)
        assert [problem for problem in found if problem.is_serious()] == []

    @pytest.mark.parametrize("text", ["one", "one:", "one:AAAA", ":x", "a b:x", "one:€", "off,one"])
    def test_malformed_setting_is_refused(self, text):
        with pytest.raises(ValueError, match=r"(has no id|is not the base64)"):
            parse_keys(text)

    def test_id_occurs_once(self):
        with pytest.raises(ValueError, match="occurs twice"):
            parse_keys(f"{new_key('one')},{new_key('one')}")

    def test_malformed_setting_stops_the_start_without_showing_it(self, transactional_db):
        outcome = manage("check", KEY_ENCRYPTION_KEYS="one:my-secret-secret")

        assert outcome.code != 0
        assert "my-secret" not in outcome.err
        assert "Traceback" not in outcome.err
        (line,) = [line for line in outcome.err.splitlines() if line.startswith("KEY_ENCRYPTION_KEYS: ")]
        assert "base64" in line


class TestProcesses:
    """Real processes, on a database that is encrypted with the key `one`."""

    @pytest.fixture(autouse=True)
    def _encrypted(self, transactional_db):
        with restored_digest_key(), encryption(new_key("one")):
            self.keys = settings.KEY_ENCRYPTION_KEYS
            yield

    def wrong_keys(self):
        missing = ",".join(item for item in self.keys.split(",") if not item.startswith("one:"))
        yield "must have the key one", missing
        yield "The key one of KEY_ENCRYPTION_KEYS is not the one", f"{new_key('one')},{missing}"

    def start(self, keys):
        """Import the application, as a worker of the server does."""
        options = invocation(KEY_ENCRYPTION_KEYS=keys)
        command = [sys.executable, "-c", "import keygen_site.asgi"]
        outcome = subprocess.run(command, cwd=options["cwd"], env=options["env"], capture_output=True, check=False)
        return outcome.returncode, outcome.stderr.decode()

    def test_server_starts_with_the_right_keys_only(self):
        assert self.start(self.keys)[0] == 0
        for message, keys in self.wrong_keys():
            code, error = self.start(keys)
            assert code == 1
            assert message in error.splitlines()[-1]
            assert error.splitlines()[-1].startswith("The server does not start.")
            assert "Traceback" not in error

    def test_commands_run_with_the_right_keys_only(self):
        assert manage("check", KEY_ENCRYPTION_KEYS=self.keys).code == 0
        commands = (["pop_key", "--policy", "x"], ["check"])
        for (message, keys), command in zip(self.wrong_keys(), commands, strict=True):
            outcome = manage(*command, KEY_ENCRYPTION_KEYS=keys)
            assert outcome.code == 1
            assert message in outcome.err
            assert "Traceback" not in outcome.err
