"""The server behind a real nginx, with the configuration of `docs/operations.md`, on another port than 443."""

import base64
import email
import hashlib
import json
import socket
import ssl
import time
from http.client import HTTPConnection, HTTPSConnection
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import pytest
import requests

from benchmarks.proxies import find_nginx, free_ports, nginx
from benchmarks.testbed.live_server import ADMIN, PASSWORD, live_server
from tests.accounts.test_signatures import HEADER, decoded, verify

pytestmark = [
    pytest.mark.without_database,  # the server has its own
    pytest.mark.skipif(find_nginx() is None, reason="nginx is not installed: apt-get install nginx-light"),
]

METRICS_TOKEN = "a-token-for-metrics-of-32-characters"
# As sent by curl; by fetch(); and by any client.
SPELLINGS = {
    "UTF-8": lambda text: text.encode(),
    "Latin-1": lambda text: text.encode("latin-1"),
    "RFC 8187": lambda text: f"UTF-8''{quote(text)}".encode(),
}


class Site:
    """The server, and nginx in front of it."""

    def __init__(self, server, proxy, mails):
        self.server, self.proxy, self.mails = server, proxy, mails
        self.host = f"127.0.0.1:{proxy.https}"
        self.url = f"https://{self.host}"
        self.tls = ssl.create_default_context(cafile=proxy.certificate)

    def ask(self, method, path, body=None, *, client="127.0.0.1", chunked=False, **headers):
        """Send a request over https; the response with its content, and JSON if it is some."""
        connection = HTTPSConnection(
            "127.0.0.1", self.proxy.https, context=self.tls, timeout=60, source_address=(client, 0)
        )
        return exchange(
            connection, method, path, body, chunked, {"Authorization": f"Bearer {self.server.token}"} | headers
        )

    def ask_plainly(self, port, method, path, body=None, **headers):
        """Send a request without TLS."""
        return exchange(HTTPConnection("127.0.0.1", port, timeout=60), method, path, body, False, headers)

    def create(self, kind, attributes, **related):
        relationships = {name: {"data": {"type": plural, "id": id}} for name, (plural, id) in related.items()}
        document = {"data": {"type": kind, "attributes": attributes, "relationships": relationships}}
        response = self.ask("POST", f"/v1/accounts/acme/{kind}", json.dumps(document))
        assert response.status == 201, response.content
        return response.json["data"]["id"]


def exchange(connection, method, path, body, chunked, headers):
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body, {"Content-Type": "application/json"} | headers, encode_chunked=chunked)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    is_json = "json" in (response.headers["Content-Type"] or "")
    found = json.loads(content) if is_json and content else None
    return SimpleNamespace(status=response.status, headers=response.headers, content=content, json=found)


def wait_for(text, read):
    """Wait until a text is in the result of `read`. Returns the whole result."""
    deadline = time.monotonic() + 30
    while text not in (found := read()):
        assert time.monotonic() < deadline, found
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    (mails := folder / "mails").mkdir()
    http, https = free_ports(2)
    settings = {
        "BEHIND_TLS_PROXY": "true",
        "ALLOWED_HOSTS": "127.0.0.1",
        "SITE_URL": f"https://127.0.0.1:{https}",
        "EMAIL_URL": f"file:///{mails}",
        "METRICS_TOKEN": METRICS_TOKEN,
        "REQUIRE_SECOND_FACTOR": "none",
        "MAX_DIRECT_IMPORT_BYTES": str(2 << 20),
    }
    changes = {
        "#set_real_ip_from 192.0.2.0/24;": "set_real_ip_from 127.0.0.1;",
        "#real_ip_header": "real_ip_header",
        "client_header_timeout 15s;": "client_header_timeout 1s;",
    }
    with (
        live_server(folder, **settings) as server,
        nginx(tmp_path_factory.mktemp("nginx"), http=http, https=https, server=server.port, changes=changes) as proxy,
    ):
        yield Site(server, proxy, mails)


@pytest.fixture(scope="module")
def policy(site):
    """A policy with keys in its pool, under which licenses may authenticate by their keys."""
    product = site.create("products", {"name": "Rocket"})
    attributes = {"name": "Pooled", "usePool": True, "authenticationStrategy": "LICENSE"}
    policy = site.create("policies", attributes, product=("products", product))
    for key in ("KEY-0001", "KEY-0002", "KEY-0003"):
        site.create("keys", {"key": key}, policy=("policies", policy))
    return policy


class TestPort:
    def test_operator_signs_in_to_the_console(self, site):
        browser = requests.Session()
        browser.trust_env, browser.verify = False, str(site.proxy.certificate)
        browser.get(f"{site.url}/admin/login/")
        form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], "username": ADMIN, "password": PASSWORD}

        elsewhere = browser.post(f"{site.url}/admin/login/", form, headers={"Origin": "https://127.0.0.1"})
        home = browser.post(f"{site.url}/admin/login/", form, headers={"Origin": site.url})

        assert elsewhere.status_code == 403
        assert (home.status_code, home.url) == (200, f"{site.url}/admin/")
        assert "Sign out" in home.text
        assert all(cookie.secure for cookie in browser.cookies)

    def test_operator_signs_in_although_a_proxy_hides_the_port(self, site):
        token = "c" * 32
        form = {"csrfmiddlewaretoken": token, "username": ADMIN, "password": PASSWORD}
        headers = {"Host": "127.0.0.1", "X_Forwarded_Proto": "https", "Origin": site.url}
        headers |= {"Cookie": f"csrftoken={token}", "Content_Type": "application/x-www-form-urlencoded"}

        response = site.ask_plainly(site.server.port, "POST", "/admin/login/", urlencode(form), **headers)

        assert (response.status, response.headers["Location"]) == (302, "/admin/")

    def test_location_and_signature_have_the_port(self, site):
        document = {"data": {"type": "products", "attributes": {"name": "Another"}}}

        response = site.ask("POST", "/v1/accounts/acme/products", json.dumps(document))

        headers = response.headers
        assert headers["Location"].startswith(f"{site.url}/v1/accounts/")
        digest = f"sha-256={base64.b64encode(hashlib.sha256(response.content).digest()).decode()}"
        message = f"(request-target): post /v1/accounts/acme/products\nhost: {site.host}\n"
        message += f"date: {headers['Date']}\ndigest: {digest}"
        public = site.ask("GET", "/v1/accounts/acme").json["data"]["meta"]["keys"]["ed25519"]
        verify("ed25519", public, decoded(HEADER.fullmatch(headers["Keygen-Signature"])[3]), message.encode())

    def test_link_in_a_mail_has_the_port(self, site):
        body = json.dumps({"meta": {"email": ADMIN}})

        assert site.ask("POST", "/v1/accounts/acme/passwords", body).status == 204

        mails = wait_for("\n-----", lambda: "".join(file.read_text() for file in site.mails.iterdir()))
        assert f"{site.url}/" in email.message_from_string(mails).get_payload(decode=True).decode()

    def test_http_leads_to_https_and_keeps_the_method(self, site):
        target = "/v1/accounts/acme/licenses?a=%2F"

        redirected = [
            site.ask_plainly(site.proxy.http, "POST", target, "{}"),
            site.ask_plainly(site.server.port, "POST", target, "{}", X_Forwarded_Proto="http"),
        ]

        assert [(each.status, each.headers["Location"]) for each in redirected] == [(308, f"{site.url}{target}")] * 2


class TestProbes:
    def test_probes_name_an_ip_address(self, site):
        host = {"Host": "10.42.0.17:8000"}
        paths = ["/healthz", "/readyz", "/v1/health", "/v1/ping"]

        assert [site.ask("GET", path, **host).status for path in paths] == [200, 200, 204, 400]
        assert [site.ask_plainly(site.server.port, "GET", path, **host).status for path in paths[:3]] == [200, 200, 204]

    def test_probes_may_name_no_host(self, site):
        """HAProxy asks so by default."""
        plain = [
            socket.create_connection(("127.0.0.1", port), timeout=60) for port in (site.proxy.https, site.server.port)
        ]
        connections = [site.tls.wrap_socket(plain[0], server_hostname="127.0.0.1"), plain[1]]

        statuses = []
        for connection in connections:
            with connection, connection.makefile("rb") as file:
                connection.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
                statuses.append(file.read().split()[1])

        assert statuses == [b"200", b"200"]

    def test_metrics_are_for_those_who_ask_past_the_proxy(self, site):
        headers = {"Host": "10.42.0.17:8000", "Authorization": f"Bearer {METRICS_TOKEN}"}

        spellings = ["/metrics", "//metrics", "/%6Detrics", "/./metrics", "/x/../metrics"]
        assert {site.ask("GET", path, **headers).status for path in spellings} == {403}
        assert site.ask_plainly(site.server.port, "GET", "/metrics", **headers).status == 200


class TestRequests:
    def test_reference_may_have_any_characters(self, site, policy):
        reference = "Bestellung Müller"
        for spell in SPELLINGS.values():
            path = f"/v1/accounts/acme/policies/{policy}/pool"
            assert site.ask("DELETE", path, Keygen_Reference=spell(reference)).status == 200

        events = site.ask("GET", f"/v1/accounts/acme/key-events?reference={quote(reference)}").json["data"]

        assert [event["attributes"]["reference"] for event in events] == [reference] * len(SPELLINGS)

    def test_license_key_may_have_any_characters(self, site, policy):
        product = site.create("products", {"name": "Rakete"})
        attributes = {"name": "By key", "authenticationStrategy": "LICENSE"}
        by_key = site.create("policies", attributes, product=("products", product))
        id = site.create("licenses", {"key": "SCHLÜSSEL/Å 1/"}, policy=("policies", by_key))
        sent = [f"License {'SCHLÜSSEL/Å 1/'}".encode(code) for code in ("utf-8", "latin-1")]
        sent += ["Basic " + base64.b64encode("license:SCHLÜSSEL/Å 1/".encode()).decode()]

        found = [site.ask("GET", "/v1/accounts/acme/me", Authorization=text) for text in sent]
        found += [site.ask("GET", f"//v1//accounts/acme///licenses/{quote('SCHLÜSSEL/Å 1/', safe='')}")]

        assert [(each.status, each.json.get("data", {}).get("id")) for each in found] == [(200, id)] * 4

    def test_bodies_have_their_limits_and_may_come_in_chunks(self, site, policy):
        def chunks(size):
            yield from (b"KEY-%0195d\n" % number for number in range(size // 200))

        pool = f"/v1/accounts/acme/policies/{policy}/pool/actions/import?dry-run"
        document = b'{"data": {"type": "products", "attributes": {"name": "In chunks"}}}'
        text = {"Content_Type": "text/plain"}

        file = site.ask("POST", pool, b"".join(chunks(1_200_000)), **text)
        in_chunks = site.ask("POST", pool, chunks(1_200_000), chunked=True, **text)
        small = site.ask("POST", "/v1/accounts/acme/products", iter([document]), chunked=True)
        large = site.ask("POST", "/v1/accounts/acme/products", b" " * 1_100_000 + document)

        assert [each.status for each in (file, in_chunks, small, large)] == [200, 200, 201, 413]
        assert file.json == in_chunks.json

    def test_client_that_is_slow_to_send_its_headers_is_given_up(self, site):
        with (
            socket.create_connection(("127.0.0.1", site.proxy.https), timeout=60) as plain,
            site.tls.wrap_socket(plain, server_hostname="127.0.0.1") as slow,
        ):
            slow.sendall(f"GET /healthz HTTP/1.1\r\nHost: {site.host}\r\nX-Slow: ".encode())

            assert site.ask("GET", "/healthz").status == 200
            assert slow.recv(1000).partition(b"\r\n")[0] in (b"", b"HTTP/1.1 408 Request Time-out")


class TestAddresses:
    """127.0.0.1 is a load balancer in front of nginx, which names its client; any other client may claim anything.

    Sign-ins count, and fail without a password.
    """

    def sign_in(self, site, address, user, client):
        basic = base64.b64encode(f"{user}@acme.test:".encode()).decode()
        headers = {"Authorization": f"Basic {basic}", "X_Forwarded_For": address}
        return site.ask("POST", "/v1/accounts/acme/tokens", client=client, **headers).status

    @pytest.mark.parametrize(
        ("spell", "client"),
        [
            (lambda number: f"198.51.100.{number}, 203.0.113.9:{20_000 + number}", "127.0.0.1"),
            (lambda number: f"[2001:db8::{number}]:{20_000 + number}", "127.0.0.1"),
            (lambda number: f"203.0.113.{10 + number}", "127.0.0.2"),
        ],
        ids=["port", "IPv6 in brackets", "claimed"],
    )
    def test_client_cannot_escape_the_limits(self, site, spell, client):
        statuses = [self.sign_in(site, spell(number), f"user{number}", client) for number in range(7)]

        assert statuses == [401] * 5 + [429] * 2
        assert self.sign_in(site, "203.0.113.99", "user", "127.0.0.1") == 401

    def test_log_of_the_proxy_has_the_address_of_the_client_and_no_path(self, site):
        site.ask("GET", "/healthz")
        site.ask("GET", "/v1/accounts/acme/licenses/SECRET-KEY?token=SECRET", X_Forwarded_For="203.0.113.77:20417")

        log = wait_for("\n203.0.113.77 [", site.proxy.log.read_text)  # written after the response
        assert "SECRET" not in log
        assert "/v1" not in log
