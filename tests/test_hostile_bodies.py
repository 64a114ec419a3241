"""Bodies over a real connection: endless ones, chunked ones, cut-off ones, bombs."""

import gzip
import json
import socket
import time
from http.client import HTTPConnection

import pytest

from benchmarks.testbed.live_server import live_server
from keygen_site.jsonapi.negotiation import MAX_DOCUMENT_BYTES

pytestmark = pytest.mark.sqlite  # it brings its own database
MIB = 1 << 20
HUGE = 100 * MIB
# Bytes that may be in buffers of either side if a client writes as fast as it can.
ON_THE_WAY = 16 * MIB


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="module")
def policy(server):
    return create_pool(server)


def create_pool(server):
    """Create a policy with a pool on a running server, and return its id."""
    product = post(server, "products", {"data": {"type": "products", "attributes": {"name": "Rocket"}}})
    document = {
        "data": {
            "type": "policies",
            "attributes": {"name": "Pooled", "usePool": True},
            "relationships": {"product": {"data": {"type": "products", "id": product["data"]["id"]}}},
        }
    }
    return post(server, "policies", document)["data"]["id"]


def post(server, path, document):
    status, body = send(server, path, [json.dumps(document).encode()])
    assert status == 201
    return body


def send(server, path, parts, **headers):
    """POST a body in chunks. Returns the status and the document."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
    headers = {"Authorization": f"Bearer {server.token}"} | {n.replace("_", "-"): v for n, v in headers.items()}
    connection.request("POST", f"/v1/accounts/acme/{path}", iter(parts), headers, encode_chunked=True)
    response = connection.getresponse()
    body = response.read()
    return response.status, json.loads(body) if body else None


def state_after_import(server, document):
    """The state of an import in the background when it has ended."""
    until = time.monotonic() + 60
    while document["data"]["attributes"]["state"] in ("waiting", "running"):
        assert time.monotonic() < until
        time.sleep(0.2)
        connection = HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request(
            "GET", document["data"]["links"]["self"], headers={"Authorization": f"Bearer {server.token}"}
        )
        document = json.loads(connection.getresponse().read())
    return document["data"]["attributes"]["state"]


def pour(server, head, parts):
    """Write a request until the server has had enough; the answer's first line, and how many bytes were written."""
    written, answer = 0, b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        connection.sendall(head)
        try:
            for part in parts:
                connection.sendall(part)
                written += len(part)
        except OSError:
            pass  # it has closed the connection: there was too much
        try:
            while block := connection.recv(65_536):
                answer += block
        except OSError:
            pass
    return answer, written


def head(server, *headers, path="keys"):
    lines = [
        f"POST /v1/accounts/acme/{path} HTTP/1.1",
        "Host: 127.0.0.1",
        f"Authorization: Bearer {server.token}",
        "Content-Type: application/json",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def blocks(size):
    block = b" " * 65_536
    return (block for _ in range(size // len(block)))


def chunked(parts):
    for part in parts:
        yield b"%x\r\n%s\r\n" % (len(part), part)
    yield b"0\r\n\r\n"


class TestChunks:
    def test_chunks_are_read(self, server):
        document = json.dumps({"data": {"type": "products", "attributes": {"name": "In chunks"}}}).encode()

        status, body = send(server, "products", [document[:20], document[20:21], document[21:]])

        assert (status, body["data"]["attributes"]["name"]) == (201, "In chunks")

    def test_chunks_are_read_as_files(self, server, policy):
        lines = [b"CHUNK-0001\nCHU", b"NK-0002\n"]

        status, body = send(server, f"policies/{policy}/pool/actions/import", lines, Content_Type="text/plain")

        assert (status, body["meta"]["added"]) == (200, 2)

    def test_chunks_of_nothing_are_an_empty_body(self, server):
        status, body = send(server, "products", [])

        assert (status, body["errors"][0]["detail"]) == (400, "is missing")


class TestTooMuch:
    @pytest.mark.parametrize("known", [True, False], ids=["of known length", "in chunks"])
    def test_body_that_is_too_large_is_refused_before_it_was_read(self, server, known):
        length = f"Content-Length: {HUGE}" if known else "Transfer-Encoding: chunked"
        parts = blocks(HUGE) if known else chunked(blocks(HUGE))

        answer, written = pour(server, head(server, length, "Connection: close"), parts)

        # The rest never left the client; the answer may be lost when a client goes on writing.
        assert answer.startswith(b"HTTP/1.1 413") or answer == b""
        assert written < ON_THE_WAY

    @pytest.mark.parametrize("known", [True, False], ids=["of known length", "in chunks"])
    def test_body_that_is_too_large_is_answered_to_a_client_that_waits(self, server, known):
        length = f"Content-Length: {HUGE}" if known else "Transfer-Encoding: chunked"
        parts = blocks(MAX_DOCUMENT_BYTES + 65_536)
        parts = parts if known else (part for part in chunked(parts) if part != b"0\r\n\r\n")

        answer, _ = pour(server, head(server, length, "Connection: close"), parts)

        assert answer.startswith(b"HTTP/1.1 413")
        document = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert document["errors"][0]["code"] == "BODY_TOO_LARGE"

    def test_body_that_is_too_large_takes_no_memory(self, server):
        before = server.memory()

        for _ in range(5):
            pour(server, head(server, f"Content-Length: {HUGE}", "Connection: close"), blocks(HUGE))

        assert server.memory() - before < 32 * MIB

    def test_body_that_is_too_large_takes_no_memory_where_it_is_a_file(self, server, policy):
        # A gzip bomb: a megabyte unpacks to a gigabyte.
        before = server.memory()
        bomb = gzip.compress(b"\0" * (256 * MIB))

        path = f"policies/{policy}/pool/actions/import"
        status, body = send(server, path, [bomb, bomb], Content_Type="text/plain")

        assert status == 202
        assert state_after_import(server, body) == "failed"
        assert server.memory() - before < 64 * MIB


class TestCutOff:
    @pytest.mark.parametrize(
        ("header", "part"),
        [("Content-Length: 1000", b'{"data":'), ("Transfer-Encoding: chunked", b'8\r\n{"data":\r\n')],
        ids=["of known length", "in chunks"],
    )
    def test_bodies_do_not_affect_the_next_request(self, server, header, part):
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head(server, header) + part)

        status, _ = send(server, "products", [b'{"data": {"type": "products", "attributes": {"name": "Next"}}}'])

        assert status == 201

    @pytest.mark.parametrize(
        "header",
        [
            "Content-Length: -1",
            "Content-Length: x",
            "Content-Length: 1\r\nContent-Length: 2",
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: gzip",
            "Bad\x01Name: x",
        ],
    )
    def test_or_contradictory_requests_do_not_affect_the_next_request(self, server, header):
        answer, _ = pour(server, head(server, header, "Connection: close"), [b"0\r\n\r\n"])

        assert not answer.startswith(b"HTTP/1.1 5")
        status, _ = send(server, "products", [b'{"data": {"type": "products", "attributes": {"name": "Next"}}}'])
        assert status == 201
