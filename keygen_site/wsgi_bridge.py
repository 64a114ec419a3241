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


class Threaded:
    """An ASGI application that runs a WSGI application in some threads, one request at a time in each.

    The threads last, so that each keeps its connection to the database. They are daemons: a client that is still
    sending does not keep the process from ending.
    """

    def __init__(self, application: Callable[..., Any], threads: int) -> None:
        self.application, self.threads = application, threads
        self.waiting: SimpleQueue[Exchange] = SimpleQueue()
        self.lock, self.begun = Lock(), False

    async def __call__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        if scope["type"] != "http":
            return  # a WebSocket is refused by saying nothing
        if not self.begun:
            self._begin()
        exchange = Exchange(scope, receive, send)
        self.waiting.put(exchange)
        try:
            for message in await exchange.answered:
                await send(message)
        finally:
            exchange.end()

    def _begin(self) -> None:
        with self.lock:
            if not self.begun:
                self.begun = True
                for number in range(self.threads):
                    Thread(target=self._work, daemon=True, name=f"answering-{number}").start()

    def _work(self) -> None:
        while True:
            exchange = self.waiting.get()
            try:
                exchange.answer(self.application)
            except ClientGone:
                exchange.finish()
            except BaseException as error:  # granian logs it and answers 500; the thread goes on
                exchange.finish(error=error)
            del exchange  # and all that it holds, while the thread waits


class ClientGone(ConnectionResetError):
    """The client has closed the connection before its request was read, or its answer sent."""


class Exchange:
    """A request and its answer, between the event loop, where both are sent, and the thread that answers."""

    def __init__(
        self,
        scope: dict[str, Any],
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
    ) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.loop = asyncio.get_running_loop()
        # The messages that are left to be sent.
        self.answered: asyncio.Future[list[Message]] = self.loop.create_future()
        # Ends when the client closes the connection.
        self.closing: asyncio.Task[None] | None = None

    def answer(self, application: Callable[..., Any]) -> None:
        """Run the WSGI application, in this thread from the beginning to the end of the answer."""
        start: Message = {"type": "http.response.start"}

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
            start["status"] = int(status[:3])
            start["headers"] = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]

        blocks = application(environ_of(self.scope, Body(self)), start_response)
        try:
            block: bytes = b""
            messages = [start]
            for number, following in enumerate(blocks):
                if number:  # there is more than one: what was before goes out
                    self.send(*messages, _body(block, more=True))
                    messages = []
                block = following
            messages.append(_body(block))
        finally:
            if hasattr(blocks, "close"):
                blocks.close()
        self.finish(messages)

    def receive(self) -> Message:
        """The next message of the request, for which this thread waits."""

        async def received() -> Message:
            return await self._receive()

        return asyncio.run_coroutine_threadsafe(received(), self.loop).result()

    def send(self, *messages: Message) -> None:
        """Send a part of the answer; this thread waits until the client has room for more.

        Raises:
            ClientGone: it takes no more, which `send` of ASGI does not tell.
        """

        async def sent() -> None:
            if self.closing is None:
                self.closing = self.loop.create_task(self._until_closed())
            for message in messages:
                await self._send(message)
            if self.closing.done():
                raise ClientGone

        asyncio.run_coroutine_threadsafe(sent(), self.loop).result()

    async def _until_closed(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass  # a body that was not read

    def end(self) -> None:
        """Let go of what waits for the client."""
        if self.closing:
            self.closing.cancel()

    def finish(self, messages: list[Message] | None = None, error: BaseException | None = None) -> None:
        """Hand over what is left to be sent, or why there is no answer."""

        def settle() -> None:
            if self.answered.done():
                return  # the server has given the request up
            if error:
                self.answered.set_exception(error)
            else:
                self.answered.set_result(messages or [])

        self.loop.call_soon_threadsafe(settle)


class Body(io.RawIOBase):
    """The body of a request, read while it comes."""

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


def environ_of(scope: dict[str, Any], body: Body) -> dict[str, Any]:
    """The WSGI environment of a request (PEP 3333), with the address as it was sent in `RAW_URI`."""
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
        "wsgi.input_terminated": True,  # it ends where the body does, also of one without a length
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for name, value in scope["headers"]:
        if b"_" in name:
            continue  # in the environment it would be another header, perhaps one that only a proxy may set
        key = name.decode("latin-1").upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text
    return environ


def _body(block: bytes, *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": block, "more_body": more}
