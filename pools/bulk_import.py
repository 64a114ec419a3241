"""Writing many keys fast, in the order of their lines, unless something else has their texts already.

On PostgreSQL an import is one transaction: others see all of its keys or none, and do not wait. A chunk is written by
COPY; only where that meets a text that is taken (and for the chunks after such a one) are the texts looked up before.
Licenses and used texts are looked up after it: a key that was deleted just before has left its text there by then.
On SQLite, which has one writer at a time, each chunk is a short transaction of its own; until the import is published
nobody sees its keys (`KeyQuerySet.available`), and what a killed process left is removed by the next import.
"""

import fcntl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

from django.db import IntegrityError, connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import Exists, OuterRef
from django.utils import timezone
from uuid_utils import uuid7

from keygen_site.db.advisory_locks import lock_all_key_texts, lock_imports
from keygen_site.db.fields import digest
from keygen_site.db.uuids import parse_uuid
from licensing.models import License
from pools.key_files import Reason
from pools.models.key_imports import KeyImport
from pools.models.keys import Key
from pools.models.used_texts import UsedText

DELETED_AT_ONCE = 20_000
# A license is looked at again if its `created` may be later than the beginning of the import, by whoever's clock.
CLOCKS_DIFFER = timedelta(hours=1)

KEYS, LICENSES, USED = Key._meta.db_table, License._meta.db_table, UsedText._meta.db_table


class Row(NamedTuple):
    """A key to be written: its text and the digest of it."""

    text: str
    digest: bytes

    @classmethod
    def of(cls, text):
        return cls(text, digest(text))


@contextmanager
def bulk_importer(key_import: KeyImport, *, dry_run: bool = False) -> Iterator["BulkImporter"]:
    """A place to write keys to. Nothing stays of what is written unless it is published before the context ends.

    Imports of an account go one after the other, for as long as it takes.

    Args:
        key_import: unsaved; which pool, and what the import is called.
        dry_run: nothing is written at all, but everything is looked up as if it were.
    """
    with (_postgresql if connection.vendor == "postgresql" else _sqlite)(key_import, dry_run) as load:
        yield load


class BulkImporter:
    """What is being written."""

    def __init__(self, key_import, dry_run):
        self.key_import, self.dry_run = key_import, dry_run
        self.begun = timezone.now()
        self.account, self.policy = key_import.account, key_import.policy

    def write(self, rows: list[Row]) -> dict[bytes, Reason]:
        """Write a chunk of keys whose texts differ; those not written, and why, by digest."""
        raise NotImplementedError

    def publish(self) -> dict[bytes, Reason]:
        """Let the keys be handed out, all in one moment. Run it in the transaction of whatever belongs to it.

        Returns:
            the keys that had to be left out after all, by digest: meanwhile a license has got their texts, or had them.
        """
        raise NotImplementedError

    def _license_ids(self, rows) -> dict[bytes, Reason]:
        """Texts that are the identifier of a license, by which it can be asked for as by its key."""
        spelled = [(parse_uuid(row.text), row.digest) for row in rows if 32 <= len(row.text) <= 36]
        ids = {uuid for uuid, _ in spelled if uuid}
        found = set(self.account.licenses.filter(pk__in=ids).values_list("pk", flat=True)) if ids else ()
        return {taken: Reason.LICENSE_ID for uuid, taken in spelled if uuid in found}

    def _reasons_elsewhere(self, found: Iterable[tuple[bytes, bool]]) -> dict[bytes, Reason]:
        """Why texts are taken that a license has (true) or that were used (false); some are both."""
        reasons: dict[bytes, Reason] = {}
        for taken, is_held in found:
            reasons[bytes(taken)] = Reason.LICENSE if is_held else reasons.get(bytes(taken), Reason.USED)
        return reasons

    def _reason(self, policy_id, popped, withdrawn, import_id):
        """Why a text is taken by a key of this policy, in this state, from this import."""
        if import_id is not None and import_id == self.key_import.pk:
            return Reason.REPEATED
        if popped:
            return Reason.POPPED
        if withdrawn:
            return Reason.WITHDRAWN
        return Reason.AVAILABLE if policy_id == self.policy.pk else Reason.ELSEWHERE


# PostgreSQL ----------------------------------------------------------------------------------------------------------


@contextmanager
def _postgresql(key_import, dry_run):
    with transaction.atomic():
        lock_imports(key_import.account_id)
        load = PostgreSQLImporter(key_import, dry_run)
        yield load
        if not load.published:
            transaction.set_rollback(True)


class PostgreSQLImporter(BulkImporter):
    # Whether keys are looked up before they are written. It costs less to find out by writing, unless that fails.
    check_before_write = False
    published = False

    def __init__(self, key_import, dry_run):
        super().__init__(key_import, dry_run)
        key_import.save(force_insert=True)
        with connection.cursor() as cursor:
            # Otherwise the checks of all rows wait for the end, and fill the server's memory.
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            if dry_run:
                cursor.execute("CREATE TEMPORARY TABLE pools_tried (digest bytea PRIMARY KEY) ON COMMIT DROP")

    def write(self, rows):
        refused = self._license_ids(rows)
        while True:
            if self.check_before_write or self.dry_run:
                taken = self._taken(rows)
                self.check_before_write = bool(taken)
                refused = refused | taken
            if self.dry_run:
                refused = self._elsewhere(rows) | refused
            new = [row for row in rows if row.digest not in refused] if refused else rows
            try:
                with transaction.atomic():
                    self._copy(new)
            except IntegrityError:
                # The policy may have been deleted, and then it fails again; if a text is taken, it is found now.
                if self.check_before_write:
                    raise
                self.check_before_write = True
            else:
                break
        # Last: a deletion that is committed meanwhile moves a text from the keys or licenses to the used ones.
        if not self.dry_run:
            elsewhere = self._elsewhere(new)
            self._remove(elsewhere)
            refused = refused | elsewhere
        return refused

    def publish(self):
        refused = {}
        if not self.dry_run:
            # Licenses that were made meanwhile did not see these keys. Nobody makes another until this has ended.
            lock_all_key_texts(self.account.pk)
            same = Key.objects.filter(
                account=OuterRef("account_id"), digest=OuterRef("digest"), key_import=self.key_import
            )
            late = License.objects.filter(account=self.account, created__gte=self.begun - CLOCKS_DIFFER)
            digests = late.filter(Exists(same)).values_list("digest", flat=True)
            refused = {bytes(taken): Reason.LICENSE for taken in digests}
            # Some of them may have been deleted again. Keys cannot have come and gone: these here hold their texts.
            gone = UsedText.objects.filter(
                Exists(same),
                account_id=self.account.pk,
                kind=UsedText.Kind.LICENSE,
                created__gte=self.begun - CLOCKS_DIFFER,
            )
            refused |= {bytes(used): Reason.USED for used in gone.values_list("digest", flat=True)}
            self._remove(refused)
        self.published = not self.dry_run
        return refused

    def _elsewhere(self, rows: list[Row]) -> dict[bytes, Reason]:
        """Texts that are the key of a license, or were used by a row that is gone, by one snapshot of both tables."""
        # By arrays: the plan is an index probe for each, however many rows there are.
        sql = f"""SELECT digest, true FROM {LICENSES} WHERE account_id = %(account)s AND digest = ANY(%(digests)s)
                  UNION ALL
                  SELECT digest, false FROM {USED} WHERE account_id = %(account)s AND digest = ANY(%(digests)s)"""
        with connection.cursor() as cursor:
            cursor.execute(sql, {"account": self.account.pk, "digests": [row.digest for row in rows]})
            return self._reasons_elsewhere(cursor.fetchall())

    def _remove(self, digests: Iterable[bytes]) -> None:
        """Remove keys that were written but are not to be published."""
        if digests := list(digests):
            sql = f"DELETE FROM {KEYS} WHERE account_id = %s AND digest = ANY(%s) AND key_import_id = %s"
            with connection.cursor() as cursor:
                cursor.execute(sql, [self.account.pk, digests, self.key_import.pk])

    def _taken(self, rows):
        sql = f"""SELECT digest, policy_id, popped, withdrawn, key_import_id FROM {KEYS}
                  WHERE account_id = %s AND digest = ANY(%s)"""
        digests = [row.digest for row in rows]
        taken = {bytes(found): self._reason(*of) for found, *of in _fetch(sql, self.account.pk, digests)}
        if self.dry_run:
            sql = "SELECT digest FROM pools_tried WHERE digest = ANY(%s)"
            taken |= {bytes(found): Reason.REPEATED for (found,) in _fetch(sql, digests)}
        return taken

    def _copy(self, rows: Iterable[Row]):
        if self.dry_run:
            table, columns = "pools_tried", "digest"
            lines = [f"\\\\x{row.digest.hex()}\n" for row in rows]
        else:
            table = KEYS
            columns = "id, key, digest, account_id, policy_id, key_import_id, created, updated"
            now = timezone.now().isoformat()
            rest = f"{self.account.pk}\t{self.policy.pk}\t{self.key_import.pk}\t{now}\t{now}\n"
            lines = [
                f"{uuid7().hex}\t{row.text.replace(chr(92), chr(92) * 2)}\t\\\\x{row.digest.hex()}\t{rest}"
                for row in rows
            ]
        copying = f"COPY {table} ({columns}) FROM STDIN"
        # Django wraps the errors of `execute()` in its own, not those of `copy()`.
        with connection.wrap_database_errors, connection.cursor() as cursor, cursor.copy(copying) as copy:
            copy.write("".join(lines))


def _fetch(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


# SQLite --------------------------------------------------------------------------------------------------------------


@contextmanager
def _sqlite(key_import, dry_run):
    with _only_import():
        _remove_unpublished()
        try:
            yield SQLiteImporter(key_import, dry_run)
        finally:
            _remove_unpublished()
            # With the request, not later: its temporary tables may be large.
            connection.close_at = 0


@contextmanager
def _only_import():
    """Hold what says that an import runs on this database; a process that dies lets go of it."""
    path = Path(connection.settings_dict["NAME"])
    with open(path.with_name(f"{path.name}-import"), "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _remove_unpublished():
    """Undo imports that were not published, in short transactions."""
    sql = (
        f"DELETE FROM {KEYS} WHERE rowid IN (SELECT rowid FROM {KEYS} WHERE key_import_id = %s LIMIT {DELETED_AT_ONCE})"
    )
    for key_import in KeyImport.objects.exclude(loading=None):
        deleted = True
        while deleted:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql, [Key._meta.pk.get_db_prep_value(key_import.pk, connection)])
                deleted = cursor.rowcount
        key_import.delete()


# The rows of a chunk whose text a license has, or that was used by a row that is gone.
ELSEWHERE = f"""
    SELECT c.digest, true FROM pools_chunk c JOIN {LICENSES} l ON l.account_id = %s AND l.digest = c.digest
    UNION ALL SELECT c.digest, false FROM pools_chunk c JOIN {USED} u ON u.account_id = %s AND u.digest = c.digest
"""


class SQLiteImporter(BulkImporter):
    def __init__(self, key_import, dry_run):
        super().__init__(key_import, dry_run)
        with connection.cursor() as cursor:
            for table in ("chunk", "tried"):
                cursor.execute(f"DROP TABLE IF EXISTS temp.pools_{table}")
            cursor.execute("CREATE TEMPORARY TABLE pools_chunk (id TEXT, key TEXT, digest BLOB)")
            cursor.execute("CREATE TEMPORARY TABLE pools_tried (digest BLOB PRIMARY KEY) WITHOUT ROWID")
        if not dry_run:
            key_import.loading = self.begun
            key_import.save(force_insert=True)

    def write(self, rows):
        ids = self._license_ids(rows)
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("DELETE FROM pools_chunk")
            chunk = [(uuid7().hex, row.text, row.digest) for row in rows if row.digest not in ids]
            cursor.executemany("INSERT INTO pools_chunk VALUES (%s, %s, %s)", chunk)
            return ids | (self._try(cursor) if self.dry_run else self._insert(cursor, len(chunk)))

    def publish(self):
        if not self.dry_run:
            self.key_import.loading = None
            self.key_import.save(update_fields=["loading"])
        return {}

    def _insert(self, cursor, count):
        refused = self._elsewhere(cursor)
        skip = f"WHERE digest NOT IN (SELECT digest FROM ({ELSEWHERE}))" if refused else "WHERE true"
        now = self._value("created", timezone.now())
        cursor.execute(
            f"""INSERT INTO {KEYS} (id, key, digest, account_id, policy_id, key_import_id, created, updated)
                SELECT id, key, digest, %s, %s, %s, %s, %s FROM pools_chunk {skip} ORDER BY rowid
                ON CONFLICT DO NOTHING""",
            [*self._values("account", "policy"), self._value("key_import", self.key_import.pk), now, now]
            + (self._values("account", "account") if refused else []),
        )
        return refused if cursor.rowcount + len(refused) == count else refused | self._taken(cursor)

    def _try(self, cursor):
        refused = self._elsewhere(cursor) | self._taken(cursor)
        cursor.execute("SELECT c.digest FROM pools_chunk c JOIN pools_tried t ON t.digest = c.digest")
        # All texts of earlier chunks are there: of one that was refused the reason is still the same.
        refused = {found: Reason.REPEATED for (found,) in cursor.fetchall()} | refused
        cursor.execute("INSERT OR IGNORE INTO pools_tried SELECT digest FROM pools_chunk")
        return refused

    def _elsewhere(self, cursor: CursorWrapper) -> dict[bytes, Reason]:
        """Texts that are the key of a license, or were used by a row that is gone."""
        cursor.execute(ELSEWHERE, self._values("account", "account"))
        return self._reasons_elsewhere(cursor.fetchall())

    def _taken(self, cursor):
        cursor.execute(
            f"""SELECT c.digest, k.policy_id, k.popped, k.withdrawn, k.key_import_id FROM pools_chunk c
                JOIN {KEYS} k ON k.account_id = %s AND k.digest = c.digest WHERE k.id != c.id""",
            self._values("account"),
        )
        return {
            found: self._reason(parse_uuid(policy), popped, withdrawn, parse_uuid(key_import))
            for found, policy, popped, withdrawn, key_import in cursor.fetchall()
        }

    def _values(self, *names):
        return [self._value(name, getattr(self, name).pk) for name in names]

    @staticmethod
    def _value(name, value):
        return Key._meta.get_field(name).get_db_prep_save(value, connection)
