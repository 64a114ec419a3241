"""The server answers the recorded requests as keygen-api 1.8 did (README.md)."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from urllib.parse import unquote_to_bytes

import pytest
from django.db.models import F
from django.test import Client, TestCase
from django.test.utils import override_settings

from accounts.models import SigningKey
from licensing.models import Machine, Process
from tests.conftest import handler
from tests.recordings.compact import read, scenarios
from tests.recordings.replay import NOT_BUILT, Difference, Names, ReplayFailed, Tally, replay, sign_in, sign_up

SCENARIOS = scenarios([])


class InProcess:
    """The server, in this process. Requests have the WSGI environment that `keygen_site.wsgi_bridge` builds."""

    host = "testserver"

    def call(
        self, method: str, path: str, headers: Mapping[str, str | None], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        client = Client(raise_request_exception=False)
        client.handler = handler()
        # White space around a value is no part of it (RFC 9110, 5.5).
        sent = {name: value.strip(" \t") for name, value in headers.items() if value is not None}
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent["Content-Length"] = str(len(body or b""))
        target, _, query = path.partition("?")
        environ = {
            "PATH_INFO": unquote_to_bytes(target).decode("latin-1"),
            "QUERY_STRING": query,
            "RAW_URI": path,
        }
        # Functions that run on commit run as well, though the test never commits.
        with TestCase.captureOnCommitCallbacks(execute=True):
            response = client.generic(method, "/", body or b"", content_type="", headers=sent, **environ)
        return response.status_code, response.headers, response.getvalue()

    def wait(self, seconds: float) -> None:
        """Make machines and processes older, for nothing else that is recorded depends on the time that has passed."""
        age = timedelta(seconds=seconds)
        Process.objects.update(last_heartbeat=F("last_heartbeat") - age)
        Machine.objects.update(
            created=F("created") - age,
            last_heartbeat=F("last_heartbeat") - age,
            heartbeat_reset=F("heartbeat_reset") - age,
        )


@pytest.fixture(scope="module", autouse=True)
def quick_sign_up() -> Iterator[None]:
    """Allow sign-up. Do not record in a thread when tokens are used."""
    with pytest.MonkeyPatch.context() as patch, override_settings(SIGN_UP=True, SIGN_UPS_PER_HOUR=0):
        patch.setattr("accounts.token_use.note_use", lambda token: None)
        yield


@pytest.fixture(scope="module")
def new_account(quick_sign_up: None, module_transaction: None) -> Names:
    """The names of an account with a token of its admin. Each scenario finds it as if it were the first."""
    names = sign_up(InProcess())
    sign_in(InProcess(), names)
    SigningKey.objects.published(names["account"])  # generates all: the server caches keys that it has signed with
    return names


@pytest.mark.django_db
@pytest.mark.parametrize("name", SCENARIOS)
def test_the_answers_are_the_recorded_ones(name: str, new_account: Names, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR")  # a failure shows the traceback of an error, and no line for each request
    scenario, names = read(SCENARIOS[name]), dict(new_account)
    found: list[Difference | str] = []

    with override_settings(ACCOUNT=names["account"] if scenario.get("single") else ""):
        try:
            for difference in replay(InProcess(), scenario, names, NOT_BUILT, Tally()):
                found.append(difference)
        except ReplayFailed as error:
            found.append(f"stopped: {error}")

    if found:
        pytest.fail("\n".join([f"{name}: {len(found)} differences", *map(str, found)]), pytrace=False)
