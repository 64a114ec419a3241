"""The bodies of requests, read by the event loop before a thread runs the request.

A slow client occupies a coroutine, but no thread. A request runs only after its whole body has arrived. The exception
are transfers, requests with a large file: a thread reads the body as it arrives, and the client must keep a minimum
rate.
"""

import asyncio
import io
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from time import monotonic
from typing import Any, BinaryIO, cast

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
# In the WSGI environment of a request that must not run: the status of its response, 408, 413 or 503.
BODY_PROBLEM = "keygen.body_problem"


class ClientGone(ConnectionResetError):
    """The client has closed the connection, or is too slow, before its request was read or its response sent."""


class BodyUnread(OSError):
    """The application reads a body that was refused."""


@dataclass(frozen=True)
class Limits:
    """Limits on the resources that clients use.

    Attributes:
        body_bytes: the maximum size of a body; of a transfer, the size that is read before a thread runs it.
        body_seconds: the time for this to arrive. A transfer has the time at the minimum rate in addition.
        patience_seconds: how long a transfer may pause.
        bytes_per_second: the minimum rate of a transfer, and of a response that the client reads.
        small_bytes: a body of this size is read even if the memory for bodies is full.
        held_bytes: the memory of a process for all bodies that are read or wait for a thread.
        response_bytes: the part of a response that is kept in memory before its thread waits for the client.
    """

    body_bytes: int = 1 << 20
    body_seconds: float = 30
    patience_seconds: float = 30
    bytes_per_second: int = 1 << 14
    small_bytes: int = 1 << 14
    held_bytes: int = 1 << 26
    response_bytes: int = 1 << 19


class Memory:
    """The bytes of bodies that a process holds. Only its event loop uses it."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0


class Patience:
    """How long a thread waits for the client of a transfer.

    Waiting uses it up, and bytes that move restore it, up to its first value. So over a long time the client must keep
    the minimum rate. The time in which the server works does not count.
    """

    def __init__(self, limits: Limits) -> None:
        self.most = self.seconds = limits.patience_seconds
        self.rate = limits.bytes_per_second

    def wait(self, coroutine: Any, loop: asyncio.AbstractEventLoop, bytes_moved: Callable[[Any], int]) -> Any:
        """Run a coroutine in the event loop, and wait in this thread for its result.

        Args:
            bytes_moved: the number of bytes that moved, by the result.

        Raises:
            ClientGone: the client is slower than the minimum rate.
        """
        began = monotonic()
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        try:
            result = future.result(self.seconds)
        except TimeoutError:
            future.cancel()
            raise ClientGone("The client is too slow.") from None
        moved = bytes_moved(result) / self.rate
        self.seconds = min(self.most, max(0.001, self.seconds - (monotonic() - began)) + moved)
        return result


class Body:
    """The body of a request.

    Attributes:
        length: in bytes; None if it is known only at the end.
        size: the bytes that have arrived.
        is_complete: whether all of it has arrived.
        problem: the status of the response if the request must not run; else None.
    """

    def __init__(self, scope: Message, receive: Receive, limits: Limits, memory: Memory) -> None:
        self._receive, self._limits, self._memory = receive, limits, memory
        self.length = declared_length(scope)
        self.parts: deque[bytes] = deque()
        self.size = self._held = 0
        self.is_complete = self.length == 0
        self.problem: HTTPStatus | None = None

    async def read_ahead(self, *, is_transfer: bool) -> None:
        """Read the body, of a transfer only its beginning, or find a `problem`.

        Raises:
            ClientGone: the client has closed the connection before the end.
        """
        if self.is_complete:
            return
        limits = self._limits
        if not is_transfer and self.length is not None and self.length > limits.body_bytes:
            self.problem = HTTPStatus.REQUEST_ENTITY_TOO_LARGE  # and nothing is read
            return
        seconds = limits.body_seconds
        if is_transfer:
            seconds += limits.body_bytes / limits.bytes_per_second
        try:
            async with asyncio.timeout(seconds):
                while not self.is_complete and self.size <= limits.body_bytes and not self.problem:
                    self._hold(await self.receive())
        except TimeoutError:
            self.problem = HTTPStatus.REQUEST_TIMEOUT
        if self.size > limits.body_bytes and not is_transfer:
            self.problem = HTTPStatus.REQUEST_ENTITY_TOO_LARGE

    async def receive(self) -> bytes:
        """The next part of the body.

        Raises:
            ClientGone: the client has closed the connection.
        """
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        self.size += len(part)
        self.is_complete = self.size == self.length or not message.get("more_body", False)
        if self.is_complete and self.length is not None and self.size != self.length:
            raise ClientGone  # less than it has announced
        return part

    def _hold(self, part: bytes) -> None:
        self._memory.used += len(part)
        self._held += len(part)
        if self._memory.used > self._memory.limit and self.size > self._limits.small_bytes:
            self.problem = HTTPStatus.SERVICE_UNAVAILABLE
        else:
            self.parts.append(part)

    def release(self) -> None:
        """Give back the memory. Called by the event loop when the response has been sent."""
        self._memory.used -= self._held
        self._held = 0
        self.parts.clear()

    def open(self, receive: Callable[[], bytes]) -> BinaryIO:
        """The body as a file for the application.

        Args:
            receive: waits in the application's thread for the next part.
        """
        if self.is_complete and not self.problem:
            return io.BytesIO(b"".join(self.parts))
        return cast(BinaryIO, io.BufferedReader(_Stream(self, receive)))


class _Stream(io.RawIOBase):
    """A body that is read as it arrives, or that is not to be read."""

    def __init__(self, body: Body, receive: Callable[[], bytes]) -> None:
        self.body, self.receive, self.rest = body, receive, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        body = self.body
        if body.problem:
            raise BodyUnread(f"The body was refused with {body.problem.value}.")
        while not self.rest:
            if body.parts:
                self.rest = body.parts.popleft()
            elif body.is_complete:
                return 0
            else:
                self.rest = self.receive()
        size = min(len(buffer), len(self.rest))
        buffer[:size], self.rest = self.rest[:size], self.rest[size:]
        return size


def declared_length(scope: Message) -> int | None:
    """The length of a request's body in bytes, 0 without a body; None if it is known only at the end of the body."""
    length: bytes | None = None
    for name, value in scope["headers"]:
        if name == b"transfer-encoding":
            return None
        if name == b"content-length":
            length = value
    if length is None:
        return 0 if scope["http_version"].startswith("1") else None
    return int(length) if length.isdigit() else None
