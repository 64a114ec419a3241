"""Clients that send or read slowly: they hold no thread of others, and a request that is not complete never runs."""

import asyncio
import threading

import pytest

from keygen_site.request_bodies import BODY_PROBLEM, Limits
from keygen_site.wsgi_bridge import TRANSFER_THREADS, WAITING_TRANSFERS, ThreadedWSGI
from tests.test_wsgi_bridge import CHUNKED, GONE, Peer, answering, ask, part, scope_of

pytestmark = pytest.mark.without_database
CLOSE = (b"Connection", b"close")


def length_of(size):
    return scope_of(headers=[(b"content-length", str(size).encode())])


class Recorder:
    """An application that keeps the paths and problems of the requests that it has run."""

    def __init__(self):
        self.ran = []

    def __call__(self, environ, start_response):
        self.ran.append((environ["PATH_INFO"], environ.get(BODY_PROBLEM)))
        start_response("200 OK", [])
        return [environ["wsgi.input"].read() if BODY_PROBLEM not in environ else b""]


async def settled():
    """Let all other coroutines run until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def complete(threaded, scope, *messages):
    peer = Peer(*messages)
    await asyncio.wait_for(threaded(scope, peer.receive, peer.send), 30)
    return peer


class TestSlowBodies:
    def test_slow_bodies_hold_no_thread_and_do_not_run(self):
        application = Recorder()

        async def run():
            threaded = ThreadedWSGI(application, 1)
            slow = [Peer(part(b"a")) for _ in range(16)]
            chunked = scope_of(b"/slow", headers=[CHUNKED])
            known = scope_of(b"/slow", headers=[(b"content-length", b"1000")])
            tasks = [
                asyncio.ensure_future(threaded(known if number % 2 else chunked, peer.receive, peer.send))
                for number, peer in enumerate(slow)
            ]
            await settled()
            peer = await complete(threaded, scope_of(b"/fast", headers=[CHUNKED]), part(b"ok", more=False))
            for each in slow:
                each.left.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 30)
            return peer, [each.sent for each in slow], threaded.memory.used

        peer, sent, memory = asyncio.run(run())

        assert peer.content == b"ok"
        assert application.ran == [("/fast", None)]
        assert (sent, memory) == ([[]] * 16, 0)

    @pytest.mark.parametrize("scope", [length_of(1000), scope_of(headers=[CHUNKED])], ids=["known length", "chunks"])
    def test_slow_body_is_given_up_after_a_time(self, scope):
        application = Recorder()

        peer = ask(application, scope, part(b"a"), limits=Limits(body_seconds=0.01))

        assert application.ran == [("/", 408)]
        assert CLOSE in peer.sent[0]["headers"]

    def test_slow_body_of_a_transfer_ends_without_an_effect(self):
        outcome = []

        def application(environ, start_response):
            try:
                environ["wsgi.input"].read()
            except OSError as error:
                outcome.append(str(error))
                raise
            start_response("200 OK", [])
            return [b"imported"]

        limits = Limits(body_bytes=2, patience_seconds=0.01)
        peer = ask(application, length_of(100), part(b"abc"), limits=limits, is_transfer=lambda path: True)

        assert outcome == ["The client is too slow."]
        assert peer.sent == []

    def test_body_of_a_transfer_is_read_whole(self):
        limits = Limits(body_bytes=2)
        parts = [part(b"abc"), part(b"d"), part(b""), part(b"ef")]

        for scope in length_of(6), scope_of(headers=[CHUNKED]):
            last = [] if scope["headers"][0] != CHUNKED else [part(b"", more=False)]
            peer = ask(Recorder(), scope, *parts, *last, limits=limits, is_transfer=lambda path: True)

            assert peer.content == b"abcdef"
            assert CLOSE not in peer.sent[0]["headers"]

    def test_transfer_that_is_cut_off_is_an_error_of_reading(self):
        application = Recorder()

        peer = ask(
            application, length_of(9), part(b"abc"), GONE, limits=Limits(body_bytes=2), is_transfer=lambda path: True
        )

        assert peer.sent == []


class TestLargeBodies:
    def test_large_body_of_known_length_is_not_read(self):
        application = Recorder()
        peer = Peer(part(b"a"))

        async def run():
            await ThreadedWSGI(application, 1, limits=Limits(body_bytes=9))(length_of(10), peer.receive, peer.send)

        asyncio.run(run())

        assert application.ran == [("/", 413)]
        assert len(peer.messages) == 1  # not received
        assert CLOSE in peer.sent[0]["headers"]

    def test_large_body_in_chunks_is_read_up_to_the_limit(self):
        application = Recorder()
        peer = Peer(*[part(b"abc")] * 10)

        async def run():
            limits = Limits(body_bytes=9)
            await ThreadedWSGI(application, 1, limits=limits)(scope_of(headers=[CHUNKED]), peer.receive, peer.send)

        asyncio.run(run())

        assert application.ran == [("/", 413)]
        assert len(peer.messages) == 6
        assert CLOSE in peer.sent[0]["headers"]

    def test_refused_body_cannot_be_read(self):
        outcome = []

        def application(environ, start_response):
            try:
                environ["wsgi.input"].read()
            except OSError as error:
                outcome.append(str(error))
            start_response("413 Too Large", [])
            return [b""]

        ask(application, length_of(10), part(b"a"), limits=Limits(body_bytes=9))

        assert outcome == ["The body was refused with 413."]

    def test_connection_stays_open_after_a_body_that_was_read(self):
        for messages in [part(b"a", more=False)], []:
            peer = ask(answering(), None, *messages)

            assert CLOSE not in peer.sent[0]["headers"]

    def test_body_in_chunks_has_a_length_when_it_runs(self):
        application = answering()

        ask(application, None, part(b"abc"), part(b"de", more=False))

        assert application.environ["CONTENT_LENGTH"] == "5"

    def test_memory_for_bodies_is_bounded_and_small_ones_always_fit(self):
        application = Recorder()

        async def run():
            threaded = ThreadedWSGI(application, 1, limits=Limits(held_bytes=10, small_bytes=2))
            holder = Peer(part(b"0123456789"))
            holding = asyncio.ensure_future(threaded(length_of(20), holder.receive, holder.send))
            await settled()
            refused = await complete(threaded, length_of(6), part(b"abc"), part(b"def"))
            small = await complete(threaded, length_of(2), part(b"ab"))
            holder.left.set()
            await asyncio.wait_for(holding, 30)
            after = await complete(threaded, length_of(6), part(b"abc"), part(b"def"))
            return refused, small.content, after.content, threaded.memory.used

        refused, *others = asyncio.run(run())

        assert application.ran == [("/", 503), ("/", None), ("/", None)]
        assert others == [b"ab", b"abcdef", 0]
        assert CLOSE in refused.sent[0]["headers"]


class TestTransfers:
    def test_transfers_leave_the_threads_of_others_alone_and_are_bounded(self):
        begun, may_end = threading.Semaphore(0), threading.Event()
        refused = []

        def application(environ, start_response):
            if environ["PATH_INFO"] == "/transfer":
                if BODY_PROBLEM in environ:
                    refused.append(environ[BODY_PROBLEM])
                else:
                    begun.release()
                    may_end.wait(30)
            start_response("200 OK", [])
            return [b"done"]

        async def run():
            threaded = ThreadedWSGI(application, 1, is_transfer=lambda path: path == "/transfer")
            scope = scope_of(b"/transfer")
            peers = [Peer() for _ in range(TRANSFER_THREADS + WAITING_TRANSFERS)]
            tasks = [asyncio.ensure_future(threaded(scope, peer.receive, peer.send)) for peer in peers]
            await settled()
            for _ in range(TRANSFER_THREADS):
                await asyncio.to_thread(begun.acquire, timeout=30)
            one_more = await complete(threaded, scope)
            other = await complete(threaded, scope_of())
            may_end.set()
            await asyncio.wait_for(asyncio.gather(*tasks), 60)
            return one_more.content, other.content, {peer.content for peer in peers}

        one_more, other, transfers = asyncio.run(run())

        assert refused == [503]
        assert (one_more, other, transfers) == (b"done", b"done", {b"done"})

    def test_transfer_closes_its_connections_before_its_response_ends(self):
        closed = []
        transfer = {"is_transfer": lambda path: path == "/transfer", "after_transfer": lambda: closed.append(True)}

        ask(Recorder(), scope_of(b"/transfer"), **transfer)
        ask(Recorder(), scope_of(b"/other"), **transfer)

        assert closed == [True]


class SlowReader(Peer):
    """A client that never takes more than the first part of a response."""

    async def send(self, message):
        self.sent.append(message)
        if len(self.sent) > 2:
            await self.left.wait()


class TestSlowReaders:
    def test_slow_reader_of_a_short_response_holds_no_thread(self):
        def application(environ, start_response):
            start_response("200 OK", [])
            return [b"x"] * 100_000 if environ["PATH_INFO"] == "/slow" else [b"next"]

        async def run():
            threaded, slow = ThreadedWSGI(application, 1), SlowReader()
            reading = asyncio.ensure_future(threaded(scope_of(b"/slow"), slow.receive, slow.send))
            peer = await complete(threaded, scope_of())
            assert not reading.done()
            slow.left.set()
            await asyncio.wait_for(reading, 30)
            return peer.content, slow.content

        assert asyncio.run(run()) == (b"next", b"x" * 100_000)

    def test_slow_reader_of_a_long_response_is_given_up(self):
        closed = []

        class Blocks:
            def __iter__(self):
                return iter([b"block"] * 100)

            def close(self):
                closed.append(True)

        def application(environ, start_response):
            start_response("200 OK", [])
            return Blocks() if environ["PATH_INFO"] == "/slow" else [b"next"]

        async def run():
            limits = Limits(response_bytes=5, patience_seconds=0.01)
            threaded, slow = ThreadedWSGI(application, 1, limits=limits), SlowReader()
            await asyncio.wait_for(threaded(scope_of(b"/slow"), slow.receive, slow.send), 30)
            return slow, await complete(threaded, scope_of())

        slow, following = asyncio.run(run())

        assert closed == [True]
        assert not any(message.get("more_body") is False for message in slow.sent)
        assert following.content == b"next"
