"""`make run`: a port in use is refused before anything is done, and Ctrl-C ends the server."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from keygen_site.ports import port_problem
from tests.processes import invocation, manage

ROOT = Path(__file__).parent.parent


@pytest.fixture
def taken_port():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as granian does
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.mark.without_database
class TestPort:
    def test_port_in_use_is_refused_by_the_makefile_before_anything_is_done(self, taken_port, tmp_path):
        script = [sys.executable, ROOT / "keygen_site" / "ports.py", str(taken_port)]

        outcome = subprocess.run(script, capture_output=True, text=True, check=False, cwd=tmp_path)

        assert outcome.returncode == 1
        assert outcome.stderr.splitlines() == [port_problem(str(taken_port))]
        assert f"PORT={taken_port + 1} make run" in outcome.stderr
        recipe = re.search(r"^run: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
        assert recipe.split()[0] == "free-port"

    @pytest.mark.parametrize("port", ["abc", "0", "99999", "-1", "", "8000.0"])
    def test_port_that_is_none_is_refused(self, port):
        assert "a number from 1 to 65535" in port_problem(port)

    def test_free_port_is_accepted(self):
        assert port_problem(str(free_port())) == ""


@pytest.mark.django_db(transaction=True)
class TestServer:
    def test_port_in_use_is_refused(self, taken_port):
        outcome = manage("demo", "--port", taken_port)

        assert outcome.code != 0
        assert f"Port {taken_port} cannot be used" in outcome.err
        assert "Token" not in outcome.out

    @pytest.mark.parametrize("workers", [1, 2])
    def test_interrupt_of_the_whole_group_ends_it(self, workers, tmp_path):
        """A terminal sends SIGINT to all processes of the foreground group."""
        port = free_port()
        process = subprocess.Popen(
            **invocation("demo", "--port", port, "--workers", workers, "--json"),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        try:
            shown = json.loads(process.stdout.readline())  # when the server is ready
            assert shown["console"] == f"http://127.0.0.1:{port}/admin/"
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as response:
                assert response.status == 200
            os.killpg(process.pid, signal.SIGINT)
            assert process.wait(timeout=30) == 0
        finally:
            process.kill()
        assert wait_until_free(port)

    def test_last_lines_are_what_to_do_next(self):
        port = free_port()
        process = subprocess.Popen(
            **invocation("demo", "--port", port), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        shown = []
        while "Serving at" not in (line := process.stdout.readline()):
            shown.append(line)
        process.terminate()
        process.wait(timeout=30)

        text = "".join(shown)
        assert f"Console   http://127.0.0.1:{port}/admin/" in text
        assert f"curl -X DELETE http://127.0.0.1:{port}/v1/accounts/demo/" in text


def wait_until_free(port):
    """Whether a port becomes free; the kernel needs a short time after the end of a process."""
    for _ in range(100):
        if not port_problem(str(port)):
            return True
        time.sleep(0.05)
    return False
