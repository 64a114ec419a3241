"""A proxy in front of PostgreSQL that delays the messages of clients, like the network to a remote database."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit


@contextmanager
def delayed(url: str, seconds: float) -> Iterator[str]:
    """Run a proxy until the context ends. Yields the DATABASE_URL through it.

    Args:
        url: of a database that listens on a socket in a folder.
        seconds: the delay of each round trip.
    """
    parts = urlsplit(url)
    target = Path(unquote(parts.hostname or "")) / f".s.PGSQL.{parts.port or 5432}"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        Thread(target=_accept, args=(listener, target, seconds), daemon=True).start()
        yield f"postgres://{parts.username}@127.0.0.1:{listener.getsockname()[1]}{parts.path}"
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, target: Path, seconds: float) -> None:
    with suppress(OSError):  # the listener is closed at the end
        while True:
            client, _ = listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(target))
            Thread(target=_pass_on, args=(client, server, seconds), daemon=True).start()
            Thread(target=_pass_on, args=(server, client, 0), daemon=True).start()


def _pass_on(source: socket.socket, destination: socket.socket, seconds: float) -> None:
    with suppress(OSError):
        while data := source.recv(1 << 16):
            time.sleep(seconds)
            destination.sendall(data)
    for each in (source, destination):
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
