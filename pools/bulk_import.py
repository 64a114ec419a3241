"""Writing many keys fast, in the order of their lines, except those whose texts are taken.

On PostgreSQL an import is one transaction: others see all of its keys or none, and do not wait. COPY writes a chunk.
Only if it meets a taken text are the keys looked up, then and before the COPY of the next chunk. Licenses and used
texts are looked up after the COPY: the text of a key that was deleted just before is there by then.
On SQLite, which has one writer at a time, each chunk is a short transaction of its own. The keys are invisible until
the import is published (`KeyQuerySet.available`), and the account's next import removes those of a killed process.
A dry run writes to temporary tables only, and never locks the database.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from itertools import chain
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, OuterRef
from django.utils import timezone
from uuid_utils import uuid7

from keygen_site.db.advisory_locks import disable_timeouts, lock_all_key_texts, lock_imports, try_lock_imports
from keygen_site.db.arrays import array_literal
from keygen_site.db.sqlite_commits import rare_checkpoints, unsynced_commits
from keygen_site.db.temporary_tables import temporary_writes
from keygen_site.db.uuids import matches_uuid, parse_uuid
from licensing.models import License
from pools.import_locks import ImportBusy, account_lock
from pools.key_files import Reason
from pools.key_rows import Encoded, Row
from pools.models.key_imports import KeyImport
from pools.models.keys import Key
from pools.models.used_texts import UsedText

DELETE_BATCH_SIZE = 20_000
ROWS_PER_STATEMENT = 1_000  # of five parameters each: SQLite allows 32,766
# Between the clocks of servers. A license counts as created during the import if any clock may say so.
MAX_CLOCK_DIFFERENCE = timedelta(hours=1)

USED_COLUMNS = "popped, disclosed, disclosure, disclosed_to"  # of a key that was used in another system
# Set before a key is deleted that was never published: the triggers would block the text of a used key.
UNUSED = "popped = NULL, disclosed = NULL, disclosure = NULL, disclosed_to = NULL"
KEYS, LICENSES, USED = Key._meta.db_table, License._meta.db_table, UsedText._meta.db_table


@contextmanager
def bulk_importer(
    key_import: KeyImport, *, dry_run: bool = False, wait: bool = True, has_timeouts: bool = False
) -> Iterator["BulkImporter"]:
    """An importer, whose keys are removed at the end of the context unless they were published.

    Args:
        key_import: an unsaved row.
        dry_run: look up everything and write nothing.
        wait: wait until no other import of the account runs, however long that takes.
        has_timeouts: keep the timeouts of the session.

    Raises:
        ImportBusy: another import of the account runs, and `wait` is false.
    """
    if connection.vendor == "postgresql":
        with _postgresql(key_import, dry_run, wait, has_timeouts) as importer:
            yield importer
    else:
        with account_lock(key_import.account_id, wait=wait), _sqlite(key_import, dry_run) as importer:
            yield importer


class BulkImporter(ABC):
    """Writes chunks of keys that stay invisible until `publish()`."""

    def __init__(self, key_import: KeyImport, dry_run: bool) -> None:
        self.key_import, self.dry_run = key_import, dry_run
        self.begun = timezone.now()
        self.account, self.policy = key_import.account, key_import.policy

    def encode(self, rows: list[Row]) -> Encoded:
        """Prepare keys for `write`.

        It uses no connection, so that a thread can encode a chunk while the database is busy with the one before.
        """
        uuids = [(UUID(row.text), row.digest) for row in rows if matches_uuid(row.text)]
        return Encoded(rows, self._values_of(rows), uuids)

    @abstractmethod
    def _values_of(self, rows: list[Row]) -> list[Any]:
        """The rows in the form in which they are sent to the database."""

    @abstractmethod
    def write(self, encoded: Encoded) -> dict[bytes, Reason]:
        """Write keys whose texts differ. Returns the reasons of those that cannot be written, by digest."""

    @abstractmethod
    def remove(self, digests: Sequence[bytes]) -> None:
        """Delete keys of this import that were written."""

    @abstractmethod
    def publish(self) -> dict[bytes, Reason]:
        """Make all keys available, with the caller's transaction.

        Returns:
            The reasons of the keys that were left out after all, by digest: a license got their texts meanwhile.
        """

    def _find_license_ids(self, encoded: Encoded) -> dict[bytes, Reason]:
        """Texts that are the id of a license: the API finds a license by its id or its key."""
        ids = {uuid for uuid, _ in encoded.uuids}
        found = set(self.account.licenses.filter(pk__in=ids).values_list("pk", flat=True)) if ids else set()
        return {taken: Reason.LICENSE_ID for uuid, taken in encoded.uuids if uuid in found}

    def _used_reasons(self, found: Iterable[tuple[bytes, bool]]) -> dict[bytes, Reason]:
        """The reasons of texts of licenses (true) and of used texts (false); some are both."""
        reasons: dict[bytes, Reason] = {}
        for taken, has_license in found:
            reasons[bytes(taken)] = Reason.LICENSE if has_license else reasons.get(bytes(taken), Reason.USED)
        return reasons

    def _key_reason(self, policy_id: UUID | None, popped: object, withdrawn: object, import_id: UUID | None) -> Reason:
        """The reason of a text that a key has, by the columns of the key."""
        if import_id is not None and import_id == self.key_import.pk:
            return Reason.REPEATED
        if popped:
            return Reason.POPPED
        if withdrawn:
            return Reason.WITHDRAWN
        return Reason.AVAILABLE if policy_id == self.policy.pk else Reason.ELSEWHERE


# PostgreSQL ----------------------------------------------------------------------------------------------------------


@contextmanager
def _postgresql(key_import: KeyImport, dry_run: bool, wait: bool, has_timeouts: bool) -> Iterator[BulkImporter]:
    with transaction.atomic():
        if not has_timeouts:
            disable_timeouts()
        if wait:
            lock_imports(key_import.account_id)
        elif not try_lock_imports(key_import.account_id):
            raise ImportBusy
        importer = PostgreSQLImporter(key_import, dry_run)
        yield importer
        if not importer.published:
            transaction.set_rollback(True)


class PostgreSQLImporter(BulkImporter):
    # Whether keys are looked up before they are written. Writing finds taken texts at less cost, unless there are any.
    check_before_write = False
    published = False

    def __init__(self, key_import: KeyImport, dry_run: bool) -> None:
        super().__init__(key_import, dry_run)
        key_import.save(force_insert=True)
        with connection.cursor() as cursor:
            # Deferred checks of all rows would fill the database server's memory.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            if dry_run:
                cursor.execute("CREATE TEMPORARY TABLE pools_tried (digest bytea PRIMARY KEY) ON COMMIT DROP")

    def _values_of(self, rows: list[Row]) -> list[str]:
        """The rows in the format of COPY."""
        if self.dry_run:
            return [f"\\\\x{row.digest.hex()}\n" for row in rows]
        now = timezone.now().isoformat()
        rest = f"{self.account.pk}\t{self.policy.pk}\t{self.key_import.pk}\t{now}\t{now}"
        return [
            f"{uuid7().hex}\t{row.stored.replace(chr(92), chr(92) * 2)}\t\\\\x{row.digest.hex()}\t{row.ending}"
            f"\t{rest}\t{self._used_values(row)}\n"
            for row in rows
        ]

    def write(self, encoded: Encoded) -> dict[bytes, Reason]:
        rows, lines = encoded.rows, encoded.values
        refused = self._find_license_ids(encoded)
        while True:
            if self.check_before_write or self.dry_run:
                taken = self._find_keys(rows)
                self.check_before_write = bool(taken)
                refused = refused | taken
            if self.dry_run:
                refused = self._find_used(rows) | refused
            new, new_lines = rows, lines
            if refused:
                new = [row for row in rows if row.digest not in refused]
                new_lines = [line for row, line in zip(rows, lines, strict=True) if row.digest not in refused]
            try:
                with transaction.atomic():
                    self._copy(new_lines)
            except IntegrityError:
                # A text is taken, and is found now, or the policy was deleted, and it fails again.
                if self.check_before_write:
                    raise
                self.check_before_write = True
            else:
                break
        # Queried last: a concurrent deletion moves a text from the keys or licenses to the used texts.
        if not self.dry_run:
            used = self._find_used(new)
            self._delete(used)
            refused = refused | used
        return refused

    def remove(self, digests: Sequence[bytes]) -> None:
        self._delete(digests)

    def publish(self) -> dict[bytes, Reason]:
        refused: dict[bytes, Reason] = {}
        if not self.dry_run:
            # Licenses that were created meanwhile did not see these keys. The lock prevents more until the commit.
            lock_all_key_texts(self.account.pk)
            same = Key.objects.filter(
                account=OuterRef("account_id"), digest=OuterRef("digest"), key_import=self.key_import
            )
            earliest = self.begun - MAX_CLOCK_DIFFERENCE
            created = License.objects.filter(Exists(same), account=self.account, created__gte=earliest)
            refused = {bytes(taken): Reason.LICENSE for taken in created.values_list("digest", flat=True)}
            # Some may have been deleted again. Other keys cannot: the imported ones block their texts.
            deleted = UsedText.objects.filter(
                Exists(same), account_id=self.account.pk, kind=UsedText.Kind.LICENSE, created__gte=earliest
            )
            refused |= {bytes(used): Reason.USED for used in deleted.values_list("digest", flat=True)}
            self._delete(refused)
        self.published = not self.dry_run
        return refused

    def _find_used(self, rows: list[Row]) -> dict[bytes, Reason]:
        """Texts that are the key of a license or are used texts, in one snapshot of both tables."""
        # With arrays the plan is an index scan for each digest, however many rows the tables have.
        same = "WHERE account_id = %(account)s AND digest = ANY(%(digests)s::bytea[])"
        sql = f"SELECT digest, true FROM {LICENSES} {same} UNION ALL SELECT digest, false FROM {USED} {same}"
        digests = array_literal(row.digest for row in rows)
        return self._used_reasons(_fetch(sql, {"account": self.account.pk, "digests": digests}))

    def _delete(self, digests: Iterable[bytes]) -> None:
        """Delete keys of this import that are not to be published."""
        if digests := list(digests):
            rows = "account_id = %s AND digest = ANY(%s::bytea[]) AND key_import_id = %s"
            with connection.cursor() as cursor:
                for sql in (f"UPDATE {KEYS} SET {UNUSED} WHERE {rows}", f"DELETE FROM {KEYS} WHERE {rows}"):
                    cursor.execute(sql, [self.account.pk, array_literal(digests), self.key_import.pk])

    def _find_keys(self, rows: list[Row]) -> dict[bytes, Reason]:
        """Texts that a key has or, in a dry run, that an earlier chunk has."""
        sql = f"""SELECT digest, policy_id, popped, withdrawn, key_import_id FROM {KEYS}
                  WHERE account_id = %s AND digest = ANY(%s::bytea[])"""
        digests = array_literal(row.digest for row in rows)
        taken = {bytes(found): self._key_reason(*rest) for found, *rest in _fetch(sql, [self.account.pk, digests])}
        if self.dry_run:
            sql = "SELECT digest FROM pools_tried WHERE digest = ANY(%s::bytea[])"
            taken |= {bytes(found): Reason.REPEATED for (found,) in _fetch(sql, [digests])}
        return taken

    def _copy(self, lines: list[str]) -> None:
        columns = "id, key, digest, ending, account_id, policy_id, key_import_id, created, updated"
        target = "pools_tried (digest)" if self.dry_run else f"{KEYS} ({columns}, {USED_COLUMNS})"
        sql = f"COPY {target} FROM STDIN"
        # Django wraps the errors of `execute()` in its own, not those of `copy()`.
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(sql) as copy:
            copy.write("".join(lines))

    @staticmethod
    def _used_values(row: Row) -> str:
        """The values of USED_COLUMNS, in COPY's format."""
        if row.used is None:
            return "\\N\t\\N\t\\N\t\\N"
        return f"{row.used.isoformat()}\t{row.used.isoformat()}\t{Key.Disclosure.USED}\t"


def _fetch(sql: str, values: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


# SQLite --------------------------------------------------------------------------------------------------------------


@contextmanager
def _sqlite(key_import: KeyImport, dry_run: bool) -> Iterator[BulkImporter]:
    _delete_unpublished(key_import.account_id)
    try:
        with rare_checkpoints():
            yield SQLiteImporter(key_import, dry_run)
    finally:
        _delete_unpublished(key_import.account_id)
        # Close the connection at the end of the request: its temporary tables may be large.
        connection.close_at = 0


def _delete_unpublished(account_id: UUID) -> None:
    """Delete unpublished imports of an account and their keys, in short transactions."""
    batch = f"SELECT rowid FROM {KEYS} WHERE key_import_id = %s LIMIT {DELETE_BATCH_SIZE}"
    of_batch = f"WHERE rowid IN ({batch})"
    statements = (f"UPDATE {KEYS} SET {UNUSED} {of_batch}", f"DELETE FROM {KEYS} {of_batch}")
    for key_import in KeyImport.objects.filter(account=account_id).exclude(loading=None):
        deleted = True
        while deleted:
            with transaction.atomic(), connection.cursor() as cursor:
                for sql in statements:
                    cursor.execute(sql, [Key._meta.pk.get_db_prep_value(key_import.pk, connection)])
                deleted = cursor.rowcount
        key_import.delete()


# The rows of a chunk whose text is the key of a license or a used text.
FIND_USED = f"""
    SELECT c.digest, true FROM pools_chunk c JOIN {LICENSES} l ON l.account_id = %s AND l.digest = c.digest
    UNION ALL SELECT c.digest, false FROM pools_chunk c JOIN {USED} u ON u.account_id = %s AND u.digest = c.digest
"""


class SQLiteImporter(BulkImporter):
    def __init__(self, key_import: KeyImport, dry_run: bool) -> None:
        super().__init__(key_import, dry_run)
        with connection.cursor() as cursor:
            for table in ("chunk", "tried"):
                cursor.execute(f"DROP TABLE IF EXISTS temp.pools_{table}")
            cursor.execute(
                "CREATE TEMPORARY TABLE pools_chunk (id TEXT, key TEXT, digest BLOB, ending INTEGER, used TEXT)"
            )
            cursor.execute("CREATE TEMPORARY TABLE pools_tried (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        if not dry_run:
            key_import.loading = self.begun
            key_import.save(force_insert=True)

    def _values_of(self, rows: list[Row]) -> list[tuple[Any, ...]]:
        """The rows of the table `pools_chunk`."""
        of = self._value
        return [(uuid7().hex, row.stored, row.digest, row.ending, row.used and of("popped", row.used)) for row in rows]

    def write(self, encoded: Encoded) -> dict[bytes, Reason]:
        ids, chunk = self._find_license_ids(encoded), encoded.values
        if ids:
            chunk = [values for row, values in zip(encoded.rows, chunk, strict=True) if row.digest not in ids]
        with connection.cursor() as cursor:
            # Before the transaction that locks the database.
            with temporary_writes(cursor):
                cursor.execute("DELETE FROM pools_chunk")
                # Not `executemany`, which waits after each row for the thread that reads the next chunk.
                for start in range(0, len(chunk), ROWS_PER_STATEMENT):
                    some = chunk[start : start + ROWS_PER_STATEMENT]
                    places = ", ".join(["(%s, %s, %s, %s, %s)"] * len(some))
                    cursor.execute(f"INSERT INTO pools_chunk VALUES {places}", list(chain.from_iterable(some)))
            if self.dry_run:
                return ids | self._try(cursor)
            with unsynced_commits(cursor), transaction.atomic():
                return ids | self._insert(cursor, len(chunk))

    def remove(self, digests: Sequence[bytes]) -> None:
        rows = "account_id = %s AND key_import_id = %s AND digest = %s"
        which = [self._value("account", self.account.pk), self._value("key_import", self.key_import.pk)]
        with transaction.atomic(), connection.cursor() as cursor:
            for sql in (f"UPDATE {KEYS} SET {UNUSED} WHERE {rows}", f"DELETE FROM {KEYS} WHERE {rows}"):
                cursor.executemany(sql, [[*which, each] for each in digests])

    def publish(self) -> dict[bytes, Reason]:
        if not self.dry_run:
            self.key_import.loading = None
            self.key_import.save(update_fields=["loading"])
        return {}

    def _insert(self, cursor: CursorWrapper, count: int) -> dict[bytes, Reason]:
        refused = self._find_used(cursor)
        skip = f"WHERE digest NOT IN (SELECT digest FROM ({FIND_USED}))" if refused else "WHERE true"
        now = self._value("created", timezone.now())
        cursor.execute(
            f"""INSERT INTO {KEYS}
                    (id, key, digest, ending, account_id, policy_id, key_import_id, created, updated, {USED_COLUMNS})
                SELECT id, key, digest, ending, %s, %s, %s, %s, %s,
                    used, used, CASE WHEN used IS NOT NULL THEN '{Key.Disclosure.USED}' END,
                    CASE WHEN used IS NOT NULL THEN '' END
                FROM pools_chunk {skip} ORDER BY rowid
                ON CONFLICT DO NOTHING""",
            [*self._values("account", "policy"), self._value("key_import", self.key_import.pk), now, now]
            + (self._values("account", "account") if refused else []),
        )
        return refused if cursor.rowcount + len(refused) == count else refused | self._find_keys(cursor)

    def _try(self, cursor: CursorWrapper) -> dict[bytes, Reason]:
        refused = self._find_used(cursor) | self._find_keys(cursor)
        cursor.execute("SELECT c.digest FROM pools_chunk c JOIN pools_tried t ON t.digest = c.digest")
        # The table has all texts of earlier chunks; those that were refused keep their reason.
        refused = {found: Reason.REPEATED for (found,) in cursor.fetchall()} | refused
        cursor.execute("INSERT OR IGNORE INTO pools_tried SELECT digest FROM pools_chunk")
        return refused

    def _find_used(self, cursor: CursorWrapper) -> dict[bytes, Reason]:
        """Texts of the chunk that are the key of a license or are used texts."""
        cursor.execute(FIND_USED, self._values("account", "account"))
        return self._used_reasons(cursor.fetchall())

    def _find_keys(self, cursor: CursorWrapper) -> dict[bytes, Reason]:
        """Texts of the chunk that another key has."""
        cursor.execute(
            f"""SELECT c.digest, k.policy_id, k.popped, k.withdrawn, k.key_import_id FROM pools_chunk c
                JOIN {KEYS} k ON k.account_id = %s AND k.digest = c.digest WHERE k.id != c.id""",
            self._values("account"),
        )
        return {
            found: self._key_reason(parse_uuid(policy), popped, withdrawn, parse_uuid(key_import))
            for found, policy, popped, withdrawn, key_import in cursor.fetchall()
        }

    def _values(self, *names: str) -> list[Any]:
        return [self._value(name, getattr(self, name).pk) for name in names]

    @staticmethod
    def _value(name: str, value: Any) -> Any:
        field: Any = Key._meta.get_field(name)
        return field.get_db_prep_save(value, connection)
