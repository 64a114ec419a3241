"""PostgreSQL's statistics of the keys, from which it plans its queries."""

from django.db import connection, transaction

from pools.models import Key

# The keys of an import after which the statistics are out of date. Autovacuum would see to it minutes later.
MANY_KEYS = 100_000


def refresh_statistics_after(added: int) -> None:
    """After the commit of a large import, update the statistics of the table of keys (`ANALYZE`).

    Until then PostgreSQL expects a new import to be small, and reads and sorts all of its keys for a page of a list.
    """
    if connection.vendor == "postgresql" and added >= MANY_KEYS:
        transaction.on_commit(_analyze, robust=True)


def _analyze() -> None:
    with connection.cursor() as cursor:
        # Not while another one does the same, which locks the table against it. A role that is not the owner is warned.
        cursor.execute(f"ANALYZE (SKIP_LOCKED) {connection.ops.quote_name(Key._meta.db_table)}")
