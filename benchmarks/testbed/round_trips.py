"""Counts the round trips to PostgreSQL: how often a session waits for the server."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection
from psycopg.pq import Trace


@contextmanager
def round_trips() -> Iterator[list[int]]:
    """Count the round trips in the block, transaction control and health checks included; the list has their number."""
    connection.ensure_connection()
    session, count = connection.connection.pgconn, [0]
    with tempfile.TemporaryFile() as trace:
        session.trace(trace.fileno())
        session.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            yield count
        finally:
            session.untrace()
            trace.seek(0)
            senders = [line[:1] for line in trace if line[:2] in (b"F\t", b"B\t")]
            pairs = zip(senders, senders[1:], strict=False)
            count[0] = sum(pair == (b"F", b"B") for pair in pairs)
