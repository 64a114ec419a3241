"""The shell blocks of the README and of the guides work as they are written, in their order, on a real server.

A block marked `sh` is run; one marked `console` is only shown. A block marked `json` has the last line that the block
before it prints, one marked `text` all lines, where `…` stands for anything, and each duration for every other one.
"""

import json
import os
import re
import socket
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from django.db import connection

from benchmarks.proxies import documented_block

ROOT = Path(__file__).parent.parent
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WITH_EXAMPLES = [path for path in GUIDES if "sh" in dict(BLOCK.findall(path.read_text()))]
DURATION = re.compile(r"\d+\.\d+ s")
# Output of a failed block. The guides show no request that fails without saying so in a `json` block.
FAILED = re.compile(r'"errors":|Traceback|command not found|curl: \(')


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that looks like a clone after `make run`."""
    folder = tmp_path_factory.mktemp("clone")
    (folder / ".venv").mkdir()
    for name in ("bin", "lib", "pyvenv.cfg"):
        (folder / ".venv" / name).symlink_to(ROOT / ".venv" / name)
    (folder / "manage.py").symlink_to(ROOT / "manage.py")
    # An account of keygen-api, for the guide on moving.
    (folder / "example.export").symlink_to(ROOT / "tests" / "moving" / "fixture" / "plain.export")
    (folder / "tokens.csv").symlink_to(ROOT / "tests" / "moving" / "fixture" / "tokens.csv")
    return folder


@pytest.fixture(scope="module")
def environment(folder):
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ENV_FILE": os.devnull,
        "SECRET_KEY": "for these examples only, 0123456789",
        "ALLOWED_HOSTS": "127.0.0.1,localhost,licenses.example.com",
        "DATABASE_URL": f"sqlite:///{folder}/db.sqlite3",
        "MAX_DIRECT_IMPORT_BYTES": "262144",
        "KEY_ENCRYPTION_KEYS": os.environ.get("KEY_ENCRYPTION_KEYS", ""),  # of the database
    }


@pytest.fixture(scope="module")
def database(folder, django_db_setup, django_db_blocker):
    """A copy of the tests' empty database: migrations would take longer than all examples."""
    with django_db_blocker.unblock(), closing(sqlite3.connect(folder / "db.sqlite3")) as copy:
        connection.ensure_connection()
        connection.connection.backup(copy)
    (folder / "db.sqlite3").chmod(0o600)  # as the server makes it


@pytest.fixture(scope="module")
def port(folder, environment, database):
    """The port of a server that serves the demo, to all guides."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    manage = [folder / ".venv" / "bin" / "python", "manage.py"]
    server = subprocess.Popen(
        [*manage, "demo", "--port", str(port), "--workers", "1", "--remember", ".venv/demo.env"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    while "Serving at" not in (line := server.stdout.readline()):
        assert line
    yield port
    server.terminate()
    server.wait(30)


def outputs(blocks, port, folder, environment):
    """The output of each block. One shell runs them one after the other."""
    marks = [f"--- end of block {number} ---" for number in range(len(blocks))]
    script = "set -eu -o pipefail\n"
    for block, mark in zip(blocks, marks, strict=True):
        command = "true" if block.strip() == "make run" else block.replace("127.0.0.1:8000", f"127.0.0.1:{port}")
        script += f"{command}\necho; echo '{mark}'\n"
    outcome = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=300,
    )
    assert outcome.returncode == 0, outcome.stdout[-3000:]
    texts, rest = [], outcome.stdout
    for mark in marks:
        text, _, rest = rest.partition(mark)
        texts.append(text)
    return texts


def pattern_of(example):
    """An example of a response as a pattern: `…` stands for anything, and blanks outside of texts for none."""
    return re.sub(r"(\\?,?\s*)…", ".*", re.sub(r"\\? ", " ", re.escape(" ".join(example.split()))))


@pytest.mark.without_database
@pytest.mark.django_db  # else pytest-django makes no database to copy, if no other test of the session needs one
@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=lambda path: path.name)
def test_examples_work_as_written(path, port, folder, environment):
    found = BLOCK.findall(path.read_text())
    shells = [text for kind, text in found if kind == "sh"]

    texts = iter(outputs(shells, port, folder, environment))
    printed = ""
    for kind, text in found:
        if kind == "sh":
            printed = next(texts)
            assert not FAILED.search(printed), f"{text}\n{printed[-2000:]}"
        elif kind == "json":
            last = json.dumps(json.loads(printed.strip().splitlines()[-1]))
            assert re.search(pattern_of(text), last), f"{text}\n{last}"
        elif kind == "text":
            pattern = re.escape(comparable(text)).replace("…", ".*")
            assert re.fullmatch(pattern, comparable(printed), re.DOTALL), f"{text}\n{printed}"


def comparable(text):
    """A printed text without its durations and the blanks at the ends of its lines."""
    return DURATION.sub("0.0 s", "\n".join(line.rstrip() for line in text.strip().splitlines()))


def test_files_of_a_server_are_those_of_the_guide():
    """`deploy/` has the blocks of `docs/operations.md`, which other tests run."""
    units = {path.name: path.read_text() for path in (ROOT / "deploy").glob("keygen*")}
    found = BLOCK.findall((ROOT / "docs" / "operations.md").read_text())
    blocks = "".join(text for kind, text in found if kind == "ini")
    documented = re.findall(r"^# /etc/systemd/system/(\S+)\n(.*?)(?=\n*^# /etc/systemd/|\Z)", blocks, re.M | re.S)

    assert {name: f"{text.rstrip()}\n" for name, text in documented} == units
    assert (ROOT / "deploy" / "nginx.conf").read_text() == documented_block("nginx")


@pytest.mark.without_database
def test_readme_is_short_and_its_links_lead_somewhere():
    text = (ROOT / "README.md").read_text()

    assert len(text.splitlines()) <= 200
    broken = []
    for path in [*GUIDES, ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]:
        for link, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)", path.read_text()):
            target = path.parent / link if link else path
            if not target.exists() or (anchor and anchor not in anchors_of(target)):
                broken.append((path.name, link, anchor))
    assert broken == []


def anchors_of(path):
    """The anchors of the headings of a guide, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
