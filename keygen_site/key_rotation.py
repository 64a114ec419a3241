"""Brings all encrypted values of the database under the current key of KEY_ENCRYPTION_KEYS, while the server runs.

Each batch is a short transaction that skips the rows which others have locked, so a pop neither waits nor is lost.
The skipped rows are changed at the end, one by one. An interrupted run is simply repeated.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from django.apps import apps
from django.db import OperationalError, connection, models, transaction
from django.db.models import ExpressionWrapper, F
from django.db.models.functions import Substr

from keygen_site.db.key_digests import delete_other_rows, key_digester
from keygen_site.db.session_limits import is_timeout
from keygen_site.encryption import EncryptedField, EncryptedJSONField, EncryptedTextField, keyring

MAX_LARGE_VALUES = 8  # files and stored responses in a batch: some have a MiB

Progress = Callable[[str, int], None]


class Rotation(NamedTuple):
    """The result of a rotation.

    Attributes:
        changed: the number of changed values by column.
        left: the number of values in rows that other transactions had locked for too long. Run it again.
        retired: the ids of the keys that no value needs any longer; "" for values in clear.
    """

    changed: dict[str, int]
    left: int
    retired: list[str]


def encrypted_fields() -> Iterator[EncryptedField]:
    """All encrypted fields of the project."""
    for model in apps.get_models():
        for field in model._meta.local_concrete_fields:
            if isinstance(field, EncryptedField):
                yield field


def count_other_values() -> dict[str, int]:
    """The number of values by column that are not under the current key, without the columns that have none."""
    counts = {}
    for field in encrypted_fields():
        if isinstance(field, EncryptedJSONField):
            count = sum(not field.is_current(stored) for _, stored in _other_values(field).iterator())
        else:
            count = _other_values(field).count()
        if count:
            counts[str(field)] = count
    return counts


def rotate_values(batch_size: int, on_progress: Progress = lambda column, count: None) -> Rotation:
    """Encrypt all values with the current key, or decrypt them if encryption is off. Changes no other column.

    Args:
        batch_size: the number of values in a transaction.
        on_progress: is called after each batch, with the column and the number of its values that were changed.
    """
    key_digester()  # writes the row of the current key
    changed: dict[str, int] = {}
    left = 0
    for field in encrypted_fields():
        column = str(field)
        for count in _rotate_unlocked(field, batch_size):
            changed[column] = changed.get(column, 0) + count
            on_progress(column, changed[column])
        rest, locked = _rotate_rest(field)
        left += locked
        if rest:
            changed[column] = changed.get(column, 0) + rest
    return Rotation(changed, left, [] if left else delete_other_rows(connection))


def _rotate_unlocked(field: EncryptedField, batch_size: int) -> Iterator[int]:
    """Rotate the values of the rows that are not locked, in the order of their ids. Yields the numbers of values."""
    size = batch_size if isinstance(field, EncryptedTextField) else min(batch_size, MAX_LARGE_VALUES)
    rows, last = _other_values(field), None
    while True:
        with transaction.atomic():
            following = rows if last is None else rows.filter(pk__gt=last)
            batch = list(following.select_for_update(skip_locked=True)[:size])
            changed = _write(field, batch)
        if not batch:
            return
        last = batch[-1][0]
        if changed:
            yield changed


def _rotate_rest(field: EncryptedField) -> tuple[int, int]:
    """Rotate the values of locked rows, waiting for each. Returns the numbers of changed and locked values."""
    changed = locked = 0
    for pk, stored in list(_other_values(field)):
        if field.is_current(stored):
            continue
        try:
            with transaction.atomic():
                changed += _write(field, list(_other_values(field).filter(pk=pk).select_for_update()))
        except OperationalError as error:
            if not is_timeout(error):
                raise
            locked += 1
    return changed, locked


def _other_values(field: EncryptedField) -> models.QuerySet[Any]:
    """The ids and stored values of rows that are not under the current key, in the order of the ids.

    Of JSON, all rows: their stored values differ by database. The caller asks `is_current`.
    """
    plain: Any = field.plain_class()
    stored = ExpressionWrapper(F(field.attname), output_field=plain)
    rows = field.model._base_manager.annotate(stored=stored).order_by("pk")
    if isinstance(field, EncryptedJSONField):
        return rows.values_list("pk", "stored")

    def beginning(text: Any) -> Substr:
        return Substr(stored, 1, len(text), output_field=plain)

    current = keyring().current
    if current is None:
        in_clear = field.prefix("")
        rows = rows.annotate(marker=beginning(field.marker), prefix=beginning(in_clear))
        rows = rows.filter(marker=field.marker).exclude(prefix=in_clear)
    else:
        prefix = field.prefix(current)
        rows = rows.annotate(prefix=beginning(prefix)).exclude(stored=prefix[:0]).exclude(prefix=prefix)
    return rows.values_list("pk", "stored")


def _write(field: EncryptedField, batch: list[tuple[Any, Any]]) -> int:
    """Encrypt values again, in the caller's transaction, which has locked their rows. Returns the number of values."""
    table, column, pk = field.model._meta.db_table, field.column, field.model._meta.pk
    values = [
        (field.get_db_prep_save(_decrypt(field, stored), connection), pk.get_db_prep_save(key, connection))
        for key, stored in batch
        if not field.is_current(stored)
    ]
    if values:
        with connection.cursor() as cursor:
            cursor.executemany(f'UPDATE "{table}" SET "{column}" = %s WHERE "{pk.column}" = %s', values)
    return len(values)


def _decrypt(field: EncryptedField, stored: Any) -> Any:
    if isinstance(stored, memoryview):
        stored = bytes(stored)
    return field.decrypt(stored) if isinstance(stored, str | bytes) else stored
