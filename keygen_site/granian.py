"""How the web server granian is started, by `manage.py serve` and by the benchmarks: one place for its options."""

import sys

APPLICATION = "keygen_site.asgi:application"
# Connections of each worker. A client that is slow to send its headers holds one, and nothing else.
CONNECTIONS = 4_096
# Files that a worker has open besides its connections: databases, logs, libraries, spooled imports.
OTHER_FILES = 256


def granian_command(
    *,
    port: int,
    workers: int,
    host: str = "127.0.0.1",
    open_files: int = 1 << 16,
    respawn_interval: float = 10,
    target: str = APPLICATION,
) -> list[str]:
    """The command that runs an ASGI application by granian.

    Args:
        open_files: the number of files that each process may open. It accepts fewer connections than that: without a
            free file it could accept none.
        respawn_interval: seconds that a new worker has to start before the old one is stopped at a reload.
        target: the module of the application, and its name.
    """
    connections = max(64, min(CONNECTIONS, open_files - OTHER_FILES))
    return [
        *(sys.executable, "-m", "granian"),
        *("--interface", "asginl", "--no-ws"),
        *("--http", "1"),  # HTTP/2 would let one connection carry many requests, past the limits of a proxy
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--backpressure", str(connections), "--backlog", "4096"),
        # A header that has not arrived by then ends the connection; so does an idle one. Longer than the proxy's
        # `keepalive_timeout`, so that the proxy never sends a request to a connection that is just being closed.
        *("--http1-header-read-timeout", "15000"),
        *("--respawn-failed-workers", "--respawn-interval", str(respawn_interval)),
        *("--workers-kill-timeout", "60"),  # longer than any request that must not be cut off
        target,
    ]
