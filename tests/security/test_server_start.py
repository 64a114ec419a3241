"""How the server is started: the same options everywhere, and examples of operation that leak and open nothing."""

import re
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings

from keygen_site import security_checks
from keygen_site.granian import CONNECTIONS, granian_command
from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.management.commands import serve

pytestmark = pytest.mark.without_database
ROOT = Path(__file__).parent.parent.parent
OPERATIONS = (ROOT / "docs" / "operations.md").read_text()


def option(command, name):
    return command[command.index(name) + 1]


def example(kind):
    return re.search(rf"```{kind}\n(.*?)```", OPERATIONS, re.DOTALL)[1]


class TestOptions:
    def test_options_are_in_one_place(self):
        makefile, unit = (ROOT / "Makefile").read_text(), example("ini")
        starts = {
            "Makefile": re.search(r"^\t@\$\(BIN\)/python (manage.py demo .*)$", makefile, re.MULTILINE)[1],
            "systemd": re.search(r"^ExecStart=\S+/python (manage.py serve .*)$", unit, re.MULTILINE)[1],
        }

        allowed = {"--host", "--port", "--workers", "--remember"}
        assert {name: set(re.findall(r"--\w+", start)) - allowed for name, start in starts.items()} == {
            "Makefile": set(),
            "systemd": set(),
        }
        # No other start of granian: not in the benchmarks, and not in the tests.
        sources = [*ROOT.glob("benchmarks/**/*.py"), *ROOT.glob("tests/*.py"), ROOT / "Makefile", ROOT / ".ci" / "run"]
        assert [path.name for path in sources if '"--interface"' in path.read_text()] == []
        assert not re.search(r"^(ExecStart=|\t)?[\w/$().]*granian ", OPERATIONS + makefile, re.MULTILINE)

    def test_options_hold_slow_clients(self):
        command = granian_command(port=8000, workers=2)

        assert command[:3] == [sys.executable, "-m", "granian"]
        assert option(command, "--http") == "1"
        assert int(option(command, "--backpressure")) >= 2_000
        assert int(option(command, "--http1-header-read-timeout")) <= 20_000
        assert {"--no-ws", "--respawn-failed-workers", "--workers-kill-timeout"} <= set(command)

    def test_options_take_fewer_connections_than_files_may_be_open(self):
        taken = {
            files: int(option(granian_command(port=8000, workers=2, open_files=files), "--backpressure"))
            for files in (256, 1_024, 4_096, 65_536)
        }

        assert taken == {256: 64, 1_024: 768, 4_096: 3_840, 65_536: CONNECTIONS}

    def test_serve_becomes_the_server(self, monkeypatch):
        started = []
        monkeypatch.setattr(serve.os, "execv", lambda program, command: started.append((program, command)))
        monkeypatch.setattr(serve, "raise_file_limit", lambda: 65_536)

        call_command("serve", "--", "--log-level", "warning", port=9, workers=3)

        ((program, command),) = started
        assert program == sys.executable
        assert command == [*granian_command(port=9, workers=3), "--log-level", "warning"]


class TestExamples:
    def test_proxy_logs_no_path_query_or_referer(self):
        nginx = example("nginx")
        (format,) = re.findall(r"log_format keygen (.*);", nginx)

        secret = {"request", "request_uri", "uri", "document_uri", "args", "query_string", "http_referer"}
        assert not secret & set(re.findall(r"\$(\w+)", format))
        assert re.search(r"^ +access_log \S+ keygen;", nginx, re.MULTILINE)
        assert re.search(r"^ +error_log +\S+ crit;", nginx, re.MULTILINE)

    def test_proxy_takes_large_bodies_for_imports_only(self):
        nginx = example("nginx")
        large = re.findall(r"location (.*?) {[^}]*client_max_body_size 256m", nginx)

        assert large == ["~ ^/(v1/.*/pool/actions/import|admin/pools/pendingimport/import/)"]
        assert re.findall(r"client_max_body_size (\w+)", nginx) == ["1m", "256m"]

    def test_proxy_waits_for_what_takes_long(self):
        patterns = re.findall(r"location ~ (\S+) {[^}]*proxy_read_timeout 1h", example("nginx"))
        long = [each.path for each in list_endpoints() if re.search(r"actions/(\w+-)?(import|export)$", each.path)]

        assert len(long) > 5
        assert [path for path in long if not any(re.search(pattern, path) for pattern in patterns)] == []

    def test_proxy_is_strict_with_clients(self):
        nginx = example("nginx")

        wanted = [
            "underscores_in_headers off;",
            "proxy_set_header X-Forwarded-For $remote_addr;",
            "client_header_timeout",
            "client_body_timeout",
            "send_timeout",
            "limit_conn ",
            "proxy_next_upstream off;",
        ]
        assert [line for line in wanted if line not in nginx] == []
        assert "$proxy_add_x_forwarded_for" not in nginx
        # The proxy gives an idle connection up before the server does.
        seconds = int(re.search(r"keepalive_timeout (\d+)s;      # shorter", nginx)[1])
        assert seconds * 1000 < int(option(granian_command(port=1, workers=1), "--http1-header-read-timeout"))

    def test_unit_is_hardened(self):
        unit = set(example("ini").splitlines())

        wanted = {
            *("NoNewPrivileges=true", "ProtectSystem=strict", "ProtectHome=true", "PrivateTmp=true", "UMask=0077"),
            *("CapabilityBoundingSet=", "RestrictSUIDSGID=true", "LockPersonality=true", "LimitNOFILE=65536"),
        }
        assert wanted - unit == set()


class TestChecks:
    def test_check_says_that_a_proxy_is_expected(self, settings):
        for hosts, proxy, found in [
            (["keys.example.com"], False, ["keygen.W004"]),
            (["keys.example.com"], True, []),
            (["localhost"], False, []),
            (["*"], False, ["keygen.W004"]),
        ]:
            settings.ALLOWED_HOSTS, settings.BEHIND_TLS_PROXY = hosts, proxy

            assert [problem.id for problem in security_checks.check_proxy(None)] == found

    def test_check_names_unsafe_settings(self, settings):
        assert security_checks.check_unsafe_settings(None) == []

        unsafe = {
            "ALLOWED_HOSTS": ["*"],
            "STATEMENT_TIMEOUT": 0,
            "IDLE_TRANSACTION_TIMEOUT": 0,
            "METRICS_TOKEN": "short",
        }
        for name, value in unsafe.items():
            with override_settings(**{name: value}):
                (problem,) = security_checks.check_unsafe_settings(None)
            assert name in problem.msg
            assert problem.id == "keygen.W005"
            assert problem.hint

    def test_check_names_a_link_of_mail_that_leads_nowhere(self, settings):
        settings.SITE_URL, settings.EMAIL_BACKEND = "http://*", "django.core.mail.backends.smtp.EmailBackend"

        (problem,) = security_checks.check_unsafe_settings(None)

        assert "SITE_URL" in problem.hint
