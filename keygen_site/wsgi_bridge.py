"""Runs a WSGI application behind a server that speaks ASGI."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote_to_bytes

from keygen_site.request_bodies import BODY_PROBLEM, Body, ClientGone, Limits, Memory, Message, Patience, Receive

Send = Callable[[Message], Awaitable[None]]
WSGIApplication = Callable[..., Any]
# Threads of each process for transfers, and how many more transfers may wait for one. Others get 503.
TRANSFER_THREADS = 4
WAITING_TRANSFERS = 16
# The parts in which a response is sent whose thread has finished.
SLICE_BYTES = 1 << 16


class ThreadedWSGI:
    """An ASGI application that runs a WSGI application in a fixed number of threads, one request at a time in each.

    A request gets a thread when its body has arrived. Transfers, requests with a file in the body or the response, have
    threads of their own, because a thread may have to wait for the client.

    The threads live as long as the process, so each may keep its connection to the database. They are daemons: a client
    that is still sending does not keep the process from ending.
    """

    def __init__(
        self,
        application: WSGIApplication,
        threads: int,
        *,
        is_transfer: Callable[[str], bool] = lambda path: False,
        after_transfer: Callable[[], None] = lambda: None,
        limits: Limits | None = None,
    ) -> None:
        """Args:
        threads: for requests that are no transfers.
        is_transfer: whether the request with a path, decoded, is a transfer.
        after_transfer: called in the thread of a transfer at its end, to close its resources.
        """
        self.is_transfer, self.limits = is_transfer, limits or Limits()
        self.memory = Memory(self.limits.held_bytes)
        self.requests = Workers(application, "wsgi", threads)
        self.transfers = Workers(application, "transfer", TRANSFER_THREADS, after_transfer)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # the server refuses a WebSocket that is not accepted
        body = Body(scope, receive, self.limits, self.memory)
        is_transfer = self.is_transfer(scope["path"])
        exchange = None
        try:
            if not body.is_complete:
                await body.read_ahead(is_transfer=is_transfer)
            exchange = Exchange(scope, body, receive, send, self.limits)
            workers = self.requests
            if is_transfer and not body.problem:
                if self.transfers.open < TRANSFER_THREADS + WAITING_TRANSFERS:
                    workers = self.transfers
                else:
                    body.problem = HTTPStatus.SERVICE_UNAVAILABLE
            workers.open += 1
            try:
                workers.put(exchange)
                await self._finish(send, await exchange.last_messages)
            finally:
                workers.open -= 1
        except ClientGone:
            pass  # there is no client to respond to
        finally:
            body.release()
            if exchange:
                exchange.close()

    async def _finish(self, send: Send, messages: list[Message]) -> None:
        """Send the rest of a response. A client that does not read it occupies no thread, and is given up in time."""
        size = sum(len(message.get("body", b"")) for message in messages)
        if size <= SLICE_BYTES:
            for message in messages:
                await send(message)
            return
        *others, last = messages
        block = last["body"]
        try:
            async with asyncio.timeout(self.limits.patience_seconds + size / self.limits.bytes_per_second):
                for message in others:
                    await send(message)
                for start in range(0, len(block), SLICE_BYTES):
                    end = start + SLICE_BYTES
                    await send(_body(block[start:end], more=end < len(block)))
        except TimeoutError:
            raise ClientGone from None


class Workers:
    """Threads that run requests in the order in which they come. They start with the first one.

    Attributes:
        open: the requests that run or wait. Only the event loop uses it.
    """

    def __init__(
        self, application: WSGIApplication, name: str, threads: int, after: Callable[[], None] = lambda: None
    ) -> None:
        self.application, self.name, self.threads, self.after = application, name, threads, after
        self.queue: SimpleQueue[Exchange] = SimpleQueue()
        self.lock, self.is_started, self.open = Lock(), False, 0

    def put(self, exchange: "Exchange") -> None:
        if not self.is_started:
            self._start()
        self.queue.put(exchange)

    def _start(self) -> None:
        with self.lock:
            if not self.is_started:
                self.is_started = True
                for number in range(self.threads):
                    Thread(target=self._work, daemon=True, name=f"{self.name}-{number}").start()

    def _work(self) -> None:
        while True:
            exchange = self.queue.get()
            messages: list[Message] = []
            error: BaseException | None = None
            try:
                try:
                    messages = exchange.run(self.application)
                finally:
                    self.after()
            except BaseException as failure:  # granian logs it and sends a 500; the thread goes on
                error = failure
            exchange.finish(messages, error)
            del exchange, messages, error  # frees their memory while the thread waits


class Exchange:
    """A request and its response, between the event loop, which sends both, and the thread that runs the request."""

    def __init__(self, scope: Message, body: Body, receive: Receive, send: Send, limits: Limits) -> None:
        self.scope, self.body, self._receive, self._send, self.limits = scope, body, receive, send, limits
        self.loop = asyncio.get_running_loop()
        # The messages that the event loop sends after the thread has finished.
        self.last_messages: asyncio.Future[list[Message]] = self.loop.create_future()
        # Done when the client has closed the connection.
        self.disconnected: asyncio.Task[None] | None = None
        self.patience: Patience | None = None

    def run(self, application: WSGIApplication) -> list[Message]:
        """Run the WSGI application in this thread until the response ends. Returns its last messages."""
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start["status"] = int(status[:3])
            start["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

        blocks = application(build_environ(self.scope, self.body, self.receive), start_response)
        messages: list[Message] = [start]
        parts: list[bytes] = []
        size = 0
        try:
            for block in blocks:
                if size >= self.limits.response_bytes:  # a long response: this thread waits for the client
                    self._add_connection_close(start)
                    self.send(*messages, _body(b"".join(parts), more=True))
                    messages, parts, size = [], [], 0
                parts.append(block)
                size += len(block)
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        self._add_connection_close(start)
        return [*messages, _body(b"".join(parts))]

    def _add_connection_close(self, start: Message) -> None:
        """Announce the end of the connection if a part of the body is unread: it would look like the next request."""
        if not self.body.is_complete and self.scope["http_version"].startswith("1"):
            start["headers"].append((b"Connection", b"close"))

    def receive(self) -> bytes:
        """Wait in this thread for the next part of the body.

        Raises:
            ClientGone: the client has closed the connection, or is too slow.
        """
        return self._wait(self.body.receive(), len)

    def send(self, *messages: Message) -> None:
        """Send messages of the response, and wait in this thread until the client can take more.

        Raises:
            ClientGone: the client has closed the connection, which `send` of ASGI does not report, or is too slow.
        """

        async def send() -> None:
            if self.disconnected is None:
                self.disconnected = self.loop.create_task(self._wait_for_disconnect())
            for message in messages:
                await self._send(message)
            if self.disconnected.done():
                raise ClientGone

        self._wait(send(), lambda _: sum(len(message.get("body", b"")) for message in messages))

    def _wait(self, coroutine: Any, bytes_moved: Callable[[Any], int]) -> Any:
        self.patience = self.patience or Patience(self.limits)
        return self.patience.wait(coroutine, self.loop, bytes_moved)

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the rest of a body that was not read

    def close(self) -> None:
        """Stop waiting for the client to disconnect."""
        if self.disconnected:
            self.disconnected.cancel()

    def finish(self, messages: list[Message], error: BaseException | None) -> None:
        """Give the event loop the last messages of the response, or the error."""

        def settle() -> None:
            if self.last_messages.done():
                return  # the server has given the request up
            if error:
                self.last_messages.set_exception(error)
            else:
                self.last_messages.set_result(messages)

        self.loop.call_soon_threadsafe(settle)


def build_environ(scope: Message, body: Body, receive: Callable[[], bytes]) -> dict[str, Any]:
    """The WSGI environment of a request (PEP 3333), with the request target as it was sent in `RAW_URI`."""
    path, query = (scope[name].decode("latin-1") for name in ("raw_path", "query_string"))
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope["raw_path"]).decode("latin-1"),
        "QUERY_STRING": query,
        "RAW_URI": f"{path}?{query}" if query else path,
        "SERVER_NAME": scope["server"][0],
        "SERVER_PORT": scope["server"][1],
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "REMOTE_ADDR": scope["client"][0],
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": body.open(receive),
        "wsgi.input_terminated": True,  # reading stops at the end of the body, even without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # it would get the name of another header, perhaps of one that only a proxy may set
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    if body.length is None:  # in chunks: the length is known if all have arrived
        environ.pop("CONTENT_LENGTH", None)
        if body.is_complete:
            environ["CONTENT_LENGTH"] = str(body.size)
    if body.problem:
        environ[BODY_PROBLEM] = body.problem
    return environ


def _body(block: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": block, "more_body": more}
