"""A WSGI application behind ASGI: its environment, and the handling of its responses."""

import asyncio
import threading

import pytest

from keygen_site.request_bodies import Limits
from keygen_site.wsgi_bridge import ThreadedWSGI

GONE = {"type": "http.disconnect"}


def scope_of(path=b"/", query=b"", headers=(), **members):
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path.decode(),
        "raw_path": path,
        "query_string": query,
        "headers": list(headers),
        "server": ("127.0.0.1", "8000"),
        "client": ("192.0.2.1", "50000"),
    }
    return scope | members


class Peer:
    """The server and the client behind it: says the messages of a request, and keeps those of the answer."""

    def __init__(self, *messages, leaves_after=None):
        self.messages = list(messages)
        self.leaves_after = leaves_after  # so many parts of the answer
        self.sent, self.left = [], asyncio.Event()

    async def receive(self):
        if self.messages:
            return self.messages.pop(0)
        await self.left.wait()
        return GONE

    async def send(self, message):
        self.sent.append(message)
        if len(self.sent) == self.leaves_after:
            self.left.set()
            await asyncio.sleep(0)

    @property
    def content(self):
        return b"".join(message.get("body", b"") for message in self.sent)


CHUNKED = (b"transfer-encoding", b"chunked")


def ask(application, scope=None, *messages, threads=1, leaves_after=None, **options):
    """Run one request, in chunks if it has `messages`; the peer."""
    scope = scope or scope_of(headers=[CHUNKED] if messages else [])

    async def run():
        peer = Peer(*(messages or [{"type": "http.request", "body": b""}]), leaves_after=leaves_after)
        await asyncio.wait_for(ThreadedWSGI(application, threads, **options)(scope, peer.receive, peer.send), 30)
        return peer

    return asyncio.run(run())


def part(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def answering(body=b"answer"):
    """An application that keeps its environment."""

    def application(environ, start_response):
        application.environ = environ
        start_response("201 Created", [("Content-Type", "text/plain"), ("X-Name", "\xe9")])
        return [body]

    return application


class TestRequest:
    def test_request_has_the_path_as_it_was_sent(self):
        application = answering()

        ask(application, scope_of(b"/a%2Fb/%C3%A9%ff", b"q=%2F"))

        environ = application.environ
        assert environ["RAW_URI"] == "/a%2Fb/%C3%A9%ff?q=%2F"
        assert environ["PATH_INFO"].encode("latin-1") == b"/a/b/\xc3\xa9\xff"
        assert (environ["QUERY_STRING"], environ["REMOTE_ADDR"]) == ("q=%2F", "192.0.2.1")

    def test_request_has_its_headers_but_those_that_would_pass_for_others(self):
        application = answering()
        headers = [
            (b"content-type", b"text/plain"),
            (b"content-length", b"0"),
            (b"x-forwarded-for", b"192.0.2.7"),
            (b"x_forwarded_for", b"10.0.0.1"),
            (b"accept", b"a/b"),
            (b"accept", b"c/d"),
            (b"keygen-reference", "é".encode()),
        ]

        ask(application, scope_of(headers=headers))

        environ = application.environ
        assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "0")
        assert (environ["HTTP_X_FORWARDED_FOR"], environ["HTTP_ACCEPT"]) == ("192.0.2.7", "a/b,c/d")
        assert environ["HTTP_KEYGEN_REFERENCE"].encode("latin-1").decode() == "é"

    def test_request_is_read_before_it_runs(self):
        def application(environ, start_response):
            start_response("200 OK", [])
            stream = environ["wsgi.input"]
            return [stream.read(3), b"|", stream.readline(), b"|", stream.read()]

        peer = ask(application, None, part(b"ab"), part(b""), part(b"cde\nf"), part(b"gh", more=False))

        assert peer.content == b"abc|de\n|fgh"

    def test_request_that_is_cut_off_does_not_run(self):
        for messages in ([GONE], [part(b"abc"), GONE]):
            application = answering()

            peer = ask(application, None, *messages)

            assert (peer.sent, hasattr(application, "environ")) == ([], False)

    def test_request_of_another_protocol_is_not_answered(self):
        assert ask(answering(), {"type": "websocket"}).sent == []


class TestAnswer:
    def test_response_of_one_block_is_two_messages(self):
        peer = ask(answering())

        assert peer.sent == [
            {
                "type": "http.response.start",
                "status": 201,
                "headers": [(b"Content-Type", b"text/plain"), (b"X-Name", b"\xe9")],
            },
            {"type": "http.response.body", "body": b"answer", "more_body": False},
        ]

    @pytest.mark.parametrize("blocks", [[], [b""], [b"a", b"b"], [b"a", b"b", b"c"]])
    def test_response_of_any_number_of_blocks_is_all_of_them(self, blocks):
        def application(environ, start_response):
            start_response("200 OK", [])
            yield from blocks

        peer = ask(application, limits=Limits(response_bytes=1))

        assert peer.content == b"".join(blocks)
        assert [message["type"] for message in peer.sent].count("http.response.start") == 1
        assert [message["more_body"] for message in peer.sent[1:]] == [True] * (len(peer.sent) - 2) + [False]
        assert len(peer.sent) == max(2, len(blocks) + 1)

    def test_response_is_made_and_closed_in_one_thread(self):
        threads = []

        class Blocks:
            def __iter__(self):
                threads.append(threading.current_thread())
                yield b"a"
                threads.append(threading.current_thread())
                yield b"b"

            def close(self):
                threads.append(threading.current_thread())

        def application(environ, start_response):
            threads.append(threading.current_thread())
            start_response("200 OK", [])
            return Blocks()

        ask(application)

        assert len(threads) == 4
        assert len(set(threads)) == 1
        assert threads[0] is not threading.main_thread()

    def test_response_ends_when_the_client_is_gone(self):
        made, closed = [], []
        limits = Limits(response_bytes=5)

        class Blocks:
            def __iter__(self):
                for number in range(1_000):
                    made.append(number)
                    yield b"block"

            def close(self):
                closed.append(True)

        def application(environ, start_response):
            start_response("200 OK", [])
            return Blocks()

        peer = ask(application, leaves_after=5, limits=limits)

        assert len(made) < 10
        assert closed == [True]
        assert not any(message.get("more_body") is False for message in peer.sent)

    def test_response_that_fails_is_the_servers_to_tell_and_the_thread_goes_on(self):
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/fails":
                raise RuntimeError("no answer")
            start_response("200 OK", [])
            return [b"next"]

        async def run():
            threaded, peer = ThreadedWSGI(application, 1), Peer(part(b"", more=False))
            with pytest.raises(RuntimeError, match="no answer"):
                await threaded(scope_of(b"/fails"), peer.receive, peer.send)
            await asyncio.wait_for(threaded(scope_of(), peer.receive, peer.send), 30)
            return peer

        assert asyncio.run(run()).content == b"next"


@pytest.mark.parametrize("threads", [1, 3])
def test_as_many_requests_are_answered_at_the_same_time_as_there_are_threads(threads):
    running, most, lock = [], [], threading.Lock()
    all_there = threading.Barrier(threads)

    def application(environ, start_response):
        with lock:
            running.append(threading.current_thread())
            most.append(len(running))
        all_there.wait(30)
        with lock:
            running.remove(threading.current_thread())
        start_response("200 OK", [])
        return [b""]

    async def run():
        threaded = ThreadedWSGI(application, threads)
        peers = [Peer(part(b"", more=False)) for _ in range(2 * threads)]
        requests = [threaded(scope_of(), peer.receive, peer.send) for peer in peers]
        await asyncio.wait_for(asyncio.gather(*requests), 60)

    asyncio.run(run())

    assert max(most) == threads
