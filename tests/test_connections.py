"""Connections to SQLite, kept between the requests of a server (a real one: tests keep theirs anyway)."""

import json
import os
import sqlite3
import time
from contextlib import suppress
from http.client import HTTPConnection
from pathlib import Path

import pytest

from benchmarks.testbed.live_server import live_server

pytestmark = pytest.mark.sqlite


@pytest.fixture
def server(tmp_path):
    with live_server(tmp_path) as running:
        yield running


@pytest.fixture
def database(server, tmp_path):
    return tmp_path / "live.sqlite3"


def ask(server, method, path, body=None, media_type="application/vnd.api+json"):
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}", "Content-Type": media_type}
    connection.request(method, f"/v1/accounts/acme/{path}", body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, json.loads(content) if content else None


def create(server, path, attributes, **relationships):
    data = {"type": path, "attributes": attributes, "relationships": relationships}
    status, made = ask(server, "POST", path, json.dumps({"data": data}))
    assert status == 201, made
    return made["data"]["id"]


def pooled_policy(server, keys):
    product = {"data": {"type": "products", "id": create(server, "products", {"name": "Rocket"})}}
    policy = create(server, "policies", {"name": "Pooled", "usePool": True}, product=product)
    if keys:
        status, report = ask(server, "POST", f"policies/{policy}/pool/actions/import", "\n".join(keys), "text/plain")
        assert (status, report["meta"]["added"]) == (200, len(keys))
    return policy


def pop(server, policy):
    status, answer = ask(server, "DELETE", f"policies/{policy}/pool")
    return answer["data"]["attributes"]["key"] if status == 200 else status


def open_files(server):
    """Return how often each file is open in the server's worker."""
    threads = Path(f"/proc/{server.process.pid}/task").iterdir()
    (worker,) = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    links = []
    for link in Path(f"/proc/{worker}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile, as the connection of the last request is
            links.append(os.readlink(link))
    return {name: links.count(name) for name in links}


def wait_for_use(database):
    """Wait until the server has recorded that its token was used, in the background."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    deadline = time.monotonic() + 30
    while not connection.execute("SELECT count(*) FROM accounts_token WHERE last_used IS NOT NULL").fetchone()[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    connection.close()


def test_one_is_kept_for_the_next_request(server, database):
    policy = pooled_policy(server, [])
    for key in ("KEY-0001", "KEY-0002"):
        create(server, "keys", {"key": key}, policy={"data": {"type": "policies", "id": policy}})

    wait_for_use(database)
    opened = []
    for _ in range(3):
        ask(server, "GET", f"policies/{policy}")
        opened.append(open_files(server).get(str(database)))

    # That of the requests; and SQLite keeps the file of the closed one that recorded the use of the token.
    assert opened == [2, 2, 2]
    assert [pop(server, policy), pop(server, policy), pop(server, policy)] == ["KEY-0001", "KEY-0002", 422]


def test_one_is_closed_after_an_import_with_its_temporary_tables(server, database):
    policy = pooled_policy(server, [])
    for _ in range(6):  # more than there are threads for imports
        ask(server, "POST", f"policies/{policy}/pool/actions/import?dry-run=true", "KEY-0001", "text/plain")

    # That of the thread for other requests; and SQLite keeps the file of a closed one open while there is another.
    assert open_files(server)[str(database)] <= 2


def test_one_sees_what_another_process_writes(server, database):
    policy = pooled_policy(server, ["KEY-0001", "KEY-0002"])
    assert ask(server, "GET", f"policies/{policy}/pool")[0] == 200

    with sqlite3.connect(database) as other:
        other.execute("UPDATE pools_key SET withdrawn = created WHERE key = 'KEY-0001'")
    other.close()

    assert pop(server, policy) == "KEY-0002"


def test_one_is_given_up_when_a_backup_takes_the_place_of_its_file(server, database, tmp_path):
    # A rename does this. Rows written into the replaced file would be lost.
    policy = pooled_policy(server, ["KEY-0001", "KEY-0002", "KEY-0003"])
    assert pop(server, policy) == "KEY-0001"
    before, after = sqlite3.connect(database), sqlite3.connect(tmp_path / "backup.sqlite3")
    before.backup(after)
    before.close(), after.close()
    assert pop(server, policy) == "KEY-0002"

    for suffix in ("-wal", "-shm"):
        database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)
    (tmp_path / "backup.sqlite3").rename(database)

    assert pop(server, policy) == "KEY-0002"
    with sqlite3.connect(database) as now:
        popped = now.execute("SELECT key FROM pools_key WHERE popped IS NOT NULL ORDER BY key").fetchall()
    now.close()
    assert popped == [("KEY-0001",), ("KEY-0002",)]
    assert pop(server, policy) == "KEY-0003"


def test_one_is_given_up_when_its_file_is_gone(server, database):
    policy = pooled_policy(server, ["KEY-0001", "KEY-0002"])
    assert pop(server, policy) == "KEY-0001"

    for suffix in ("", "-wal", "-shm"):
        database.with_name(f"{database.name}{suffix}").unlink(missing_ok=True)

    assert ask(server, "DELETE", f"policies/{policy}/pool")[0] == 500
