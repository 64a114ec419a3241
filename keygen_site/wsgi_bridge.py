"""Runs a WSGI application behind a server that speaks ASGI."""

import asyncio
import io
import sys
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from threading import Lock, Thread
from typing import Any
from urllib.parse import unquote_to_bytes

Message = dict[str, Any]


class ThreadedWSGI:
    """An ASGI application that runs a WSGI application in a fixed number of threads, one request at a time in each.

    The threads live as long as the process, so each keeps its connection to the database. They are daemons: a client
    that is still sending does not keep the process from ending.
    """

    def __init__(self, application: Callable[..., Any], threads: int) -> None:
        self.application, self.threads = application, threads
        self.queue: SimpleQueue[Exchange] = SimpleQueue()
        self.lock, self.is_started = Lock(), False

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return  # the server refuses a WebSocket that is not accepted
        if not self.is_started:
            self._start()
        exchange = Exchange(scope, receive, send)
        self.queue.put(exchange)
        try:
            for message in await exchange.last_messages:
                await send(message)
        finally:
            exchange.close()

    def _start(self) -> None:
        with self.lock:
            if not self.is_started:
                self.is_started = True
                for number in range(self.threads):
                    Thread(target=self._work, daemon=True, name=f"wsgi-{number}").start()

    def _work(self) -> None:
        while True:
            exchange = self.queue.get()
            try:
                exchange.run(self.application)
            except ClientGone:
                exchange.finish()
            except BaseException as error:  # granian logs it and sends a 500; the thread goes on
                exchange.finish(error=error)
            del exchange  # frees its memory while the thread waits


class ClientGone(ConnectionResetError):
    """The client has closed the connection before its request was read or its response sent."""


class Exchange:
    """A request and its response, between the event loop, which sends both, and the thread that runs the request."""

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.loop = asyncio.get_running_loop()
        # The messages that the event loop sends after the thread has finished.
        self.last_messages: asyncio.Future[list[Message]] = self.loop.create_future()
        # Done when the client has closed the connection.
        self.disconnected: asyncio.Task[None] | None = None

    def run(self, application: Callable[..., Any]) -> None:
        """Run the WSGI application in this thread until the response ends."""
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start["status"] = int(status[:3])
            start["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

        blocks = application(build_environ(self.scope, Body(self)), start_response)
        try:
            block: bytes = b""
            messages = [start]
            for number, following in enumerate(blocks):
                if number:  # more than one block: the response is streamed
                    self.send(*messages, _body(block, more=True))
                    messages = []
                block = following
            messages.append(_body(block))
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        self.finish(messages)

    def receive(self) -> Message:
        """Wait in this thread for the next message of the request."""

        async def receive() -> Message:
            return await self._receive()

        return asyncio.run_coroutine_threadsafe(receive(), self.loop).result()

    def send(self, *messages: Message) -> None:
        """Send messages of the response, and wait in this thread until the client can take more.

        Raises:
            ClientGone: the client has closed the connection; `send` of ASGI does not report that.
        """

        async def send() -> None:
            if self.disconnected is None:
                self.disconnected = self.loop.create_task(self._wait_for_disconnect())
            for message in messages:
                await self._send(message)
            if self.disconnected.done():
                raise ClientGone

        asyncio.run_coroutine_threadsafe(send(), self.loop).result()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # the rest of a body that was not read

    def close(self) -> None:
        """Stop waiting for the client to disconnect."""
        if self.disconnected:
            self.disconnected.cancel()

    def finish(self, messages: list[Message] | None = None, error: BaseException | None = None) -> None:
        """Give the event loop the last messages of the response, or the error."""

        def settle() -> None:
            if self.last_messages.done():
                return  # the server has given the request up
            if error:
                self.last_messages.set_exception(error)
            else:
                self.last_messages.set_result(messages or [])

        self.loop.call_soon_threadsafe(settle)


class Body(io.RawIOBase):
    """The body of a request, read as it arrives."""

    def __init__(self, exchange: Exchange) -> None:
        self.exchange, self.rest, self.is_over = exchange, b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self.rest and not self.is_over:
            message = self.exchange.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            self.rest, self.is_over = message.get("body", b""), not message.get("more_body", False)
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def build_environ(scope: dict[str, Any], body: Body) -> dict[str, Any]:
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
        "wsgi.input": io.BufferedReader(body),
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
    return environ


def _body(block: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": block, "more_body": more}
