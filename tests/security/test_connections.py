"""Effects of one request on the next one of its connection: unread bodies, methods, protocols. Over raw sockets."""

import json
import socket
from contextlib import closing

import pytest

from benchmarks.testbed.live_server import live_server
from tests.test_hostile_bodies import MIB, create_pool, post

pytestmark = pytest.mark.sqlite  # it brings its own database


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(scope="module")
def pool(server):
    """The path of a pool with keys."""
    policy = create_pool(server)
    for number in range(3):
        related = {"policy": {"data": {"type": "policies", "id": policy}}}
        post(
            server,
            "keys",
            {"data": {"type": "keys", "attributes": {"key": f"KEY-000{number}"}, "relationships": related}},
        )
    return f"/v1/accounts/acme/policies/{policy}/pool"


class Connection:
    """A connection over which requests are written byte by byte."""

    def __init__(self, server):
        self.server = server
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=30)
        self.file = self.socket.makefile("rb")

    def close(self):
        self.file.close()
        self.socket.close()

    def send(self, method, path, *headers, body=b"", token=True):
        credential = [f"Authorization: Bearer {self.server.token}"] if token else []
        lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *credential, *headers]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode() + body)

    def response(self):
        """Status, headers and body of the next response."""
        status = int(self.file.readline().split()[1])
        headers = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        body = self.file.read(int(headers.get("content-length", 0)))
        return status, headers, body

    def is_closed(self):
        try:
            return self.file.read(1) == b""
        except ConnectionResetError:
            return True


@pytest.fixture
def connection(server):
    with closing(Connection(server)) as opened:
        yield opened


def available(server, pool):
    with closing(Connection(server)) as other:
        other.send("GET", f"{pool}?limit=100")
        return len(json.loads(other.response()[2])["data"])


LARGE = f"Content-Length: {100 * MIB}"


class TestUnreadBodies:
    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("POST", "/v1/accounts/acme/keys", 413),
            ("POST", "/admin/login/", 413),
            ("GET", "/healthz", 413),
            ("POST", "/v1/accounts/acme/policies/00000000-0000-0000-0000-000000000000/pool/actions/import", 401),
        ],
    )
    def test_connection_says_that_it_closes_and_does(self, connection, method, path, status):
        # A transfer is begun to be read before it is refused.
        connection.send(method, path, LARGE, token=False, body=b"x" * (MIB + 1) if "import" in path else b"")

        found, headers, _ = connection.response()

        assert (found, headers.get("connection")) == (status, "close")
        assert connection.is_closed()

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [("POST", "/v1/accounts/acme/keys", 400), ("POST", "/v1/nothing", 404), ("GET", "/healthz", 200)],
    )
    def test_connection_goes_on_after_a_body_that_was_read(self, connection, method, path, status):
        for header, body in [
            (f"Content-Length: {MIB}", b"x" * MIB),
            ("Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (1000, b"x" * 1000)),
        ]:
            connection.send(method, path, header, body=body)
            connection.send("GET", "/healthz")

            found, headers, _ = connection.response()
            following, _, content = connection.response()

            assert (found, "connection" in headers) == (status, False)
            assert (following, content) == (200, b'{"status": "ok"}')

    def test_client_that_expects_to_continue_is_told_so(self, connection):
        body = json.dumps({"data": {"type": "products", "attributes": {"name": "Later"}}}).encode()
        connection.send("POST", "/v1/accounts/acme/products", f"Content-Length: {len(body)}", "Expect: 100-continue")

        assert connection.response()[0] == 100
        connection.socket.sendall(body)
        assert connection.response()[0] == 201

    def test_client_that_expects_to_continue_with_too_much_is_refused(self, connection):
        connection.send("POST", "/v1/accounts/acme/products", LARGE, "Expect: 100-continue")

        assert connection.response()[0] == 413

    @pytest.mark.parametrize("header", ["Content-Length: 100", "Transfer-Encoding: chunked"])
    def test_request_that_is_cut_off_takes_no_key(self, server, pool, header):
        before = available(server, pool)
        for method, path in ("DELETE", pool), ("POST", f"{pool}/actions/pop"):
            with closing(Connection(server)) as cut:
                cut.send(method, path, header, body=b"2\r\n{}\r\n" if "chunked" in header else b"{}")
                cut.socket.shutdown(socket.SHUT_WR)
                cut.is_closed()

        assert available(server, pool) == before == 3


class TestMethods:
    @pytest.mark.parametrize("method", ["delete", "Delete", "dELETE", "get", "post"])
    def test_methods_have_upper_case(self, server, pool, connection, method):
        before = available(server, pool)

        connection.send(method, pool)
        status, _, body = connection.response()

        assert (status, json.loads(body)["errors"][0]["code"]) == (400, "HTTP_METHOD_INVALID")
        assert available(server, pool) == before

    def test_http_2_is_not_spoken(self, connection):
        connection.socket.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")

        try:
            answer = connection.socket.recv(100)
        except ConnectionResetError:
            answer = b""
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


def test_headers_with_underscores_are_dropped(connection, server):
    connection.send(
        "GET", "/v1/accounts/acme/me", f"Authorization_: x\r\nAUTHORI_ZATION: Bearer {server.token}", token=False
    )
    assert connection.response()[0] == 401

    connection.send("GET", "/v1/accounts/acme/me", "Keygen_Version: 0.1")
    assert connection.response()[0] == 200
