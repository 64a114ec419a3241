"""Temporary tables with the rows of an export, in the form in which they will be stored.

Rows of an export name rows that come after them, so all are staged, checked with queries, and then written by one
statement for each class. On PostgreSQL that happens in the caller's transaction. On SQLite the tables are filled before
it, so that it locks the database only while it writes.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Field

from keygen_site.db.key_digests import key_digester
from keygen_site.db.temporary_tables import temporary_writes
from keygen_site.db.uuids import matches_uuid, parse_uuid
from pools.key_files import fold_spelling
from pools.moving.classes import CLASSES, ROLE, ROLE_RESOURCES, ExportClass, has_default, read_role
from pools.moving.errors import RowInvalid
from pools.moving.format import Row
from pools.moving.values import NULL, Converter, ValueInvalid, converter_of, derived_fields

_REQUIRED = object()
# Columns that identify a row in URLs as its id does, by class. Keys are included because they become license keys.
IDENTIFIERS = {"Key": "key", "License": "key", "Machine": "fingerprint", "Product": "code", "Entitlement": "code"}


class Stage:
    """A temporary table.

    Attributes:
        table: its name.
        columns: from the name of each column to its type.
        count: the number of rows that were written.
    """

    def __init__(self, name: str, columns: dict[str, str]) -> None:
        self.table, self.columns, self.count = f"moving_{name}", columns, 0
        types = ", ".join(f"{column} {type}" for column, type in columns.items())
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                cursor.execute(f"DROP TABLE IF EXISTS pg_temp.{self.table}")
                cursor.execute(f"CREATE TEMPORARY TABLE {self.table} ({types}) ON COMMIT DROP")
            else:
                cursor.execute(f"DROP TABLE IF EXISTS temp.{self.table}")
                cursor.execute(f"CREATE TEMPORARY TABLE {self.table} ({types})")

    def write(self, rows: Sequence[Sequence[Any]]) -> None:
        """Write rows of stored values, see `pools.moving.values`."""
        if not rows:
            return
        self.count += len(rows)
        with connection.cursor() as cursor:
            if connection.vendor == "postgresql":
                lines = "".join(["\t".join(row) + "\n" for row in rows])
                with connection.wrap_database_errors, cursor.copy(f"COPY {self.table} FROM STDIN") as copy:
                    copy.write(lines)
            else:
                places = ", ".join(["%s"] * len(self.columns))
                with temporary_writes(cursor):
                    cursor.executemany(f"INSERT INTO {self.table} VALUES ({places})", rows)

    def analyze(self) -> None:
        """Tell PostgreSQL how many rows there are, so that it joins them well."""
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"ANALYZE {self.table}")


def null() -> Any:
    """The stored form of null."""
    return NULL if connection.vendor == "postgresql" else None


def uuid_value(uuid: UUID) -> str:
    """The stored form of a UUID."""
    return str(uuid) if connection.vendor == "postgresql" else uuid.hex


def integer_value(number: int) -> Any:
    """The stored form of a number."""
    return str(number) if connection.vendor == "postgresql" else number


def type_of(field: Field) -> str:
    return str(field.db_type(connection))


class ClassStage(Stage):
    """The rows of a class that is kept here."""

    def __init__(self, export_class: ExportClass) -> None:
        self.export_class = export_class
        self._derived = derived_fields(export_class.model)
        fields = [*export_class.fields, *(each.field for each in self._derived)]
        self._readers = [
            (
                column.name,
                column.read,
                converter_of(field),
                None if column.when_null else self._default_of(field),
                column.when_null,
            )
            for column, field in zip(export_class.columns, export_class.fields, strict=True)
        ]
        names = {column.attname: column.name for column in export_class.columns}
        self._derivations = [(names[each.attname], each.convert) for each in self._derived]
        columns = {str(field.column): type_of(field) for field in fields}
        self._identifier = IDENTIFIERS.get(export_class.name)
        if self._identifier:
            columns["as_uuid"] = columns["id"]
        # Two keys that differ in their spelling only may be one.
        self._number = key_digester().number if export_class.name in ("Key", "License") else None
        if self._number:
            columns["spelling"] = "bigint"
        super().__init__(export_class.name.lower(), columns)

    @staticmethod
    def _default_of(field: Field) -> Any:
        """The stored form of the value of a field whose column is null."""
        if field.null:
            return null()
        return converter_of(field)(field.get_default()) if has_default(field) else _REQUIRED

    def encode(self, rows: Iterable[Row]) -> list[list[Any]]:
        """Check rows of the export, and return them in stored values. It uses no connection.

        Raises:
            RowInvalid: a value is none of its field.
        """
        return [self._encode(row) for row in rows]

    def _encode(self, row: Row) -> list[Any]:
        values = []
        name = ""
        try:
            for name, read, convert, default, when_null in self._readers:
                value = row.get(name)
                if value is not None:
                    values.append(convert(read(value)))
                elif when_null is not None:
                    values.append(convert(when_null(row)))
                elif default is _REQUIRED:
                    raise ValueInvalid("must not be null")
                else:
                    values.append(default)
            for name, derive in self._derivations:
                values.append(derive(row[name]))
            if self._identifier:
                text = row.get(self._identifier) or ""
                values.append(uuid_value(UUID(text)) if matches_uuid(text) else null())
            if self._number:
                values.append(integer_value(self._number(fold_spelling(row["key"]))))
        except ValueInvalid as problem:
            raise row_invalid(self.export_class.name, row, name, problem) from None
        return values


def row_invalid(class_name: str, row: Row, column: str, problem: object) -> RowInvalid:
    """The error of a value, which it does not quote."""
    uuid = parse_uuid(row.get("id"))
    which = f"The {class_name} {uuid}" if uuid else f"{class_name}: a row without a valid id"
    way_out = "Correct it in keygen-api, and export again"
    return RowInvalid(f"{which} cannot be read: its column {column} {problem}. {way_out}")


class RoleStage(Stage):
    """The roles of users. Products and licenses have no other role than their own."""

    def __init__(self) -> None:
        user = next(each for each in CLASSES if each.name == "User")
        by_name = {field.name: field for field in user.model._meta.concrete_fields}
        self._read_id: Converter = converter_of(by_name["id"])
        self._read_role: Converter = converter_of(by_name["role"])
        super().__init__("role", {"resource_id": type_of(by_name["id"]), "role": type_of(by_name["role"])})

    def encode(self, rows: Iterable[Row]) -> list[list[Any]]:
        """Check roles, and return those of users in stored values.

        Raises:
            RowInvalid: a role or its resource is unknown.
        """
        found = []
        for row in rows:
            column = "resource_type"
            try:
                kind, role = row.get("resource_type"), row.get("name")
                if kind not in ROLE_RESOURCES:
                    raise ValueInvalid(f"must be one of {', '.join(ROLE_RESOURCES)}")
                column = "name"
                if not isinstance(role, str) or (kind != "User" and role != str(kind).lower()):
                    raise ValueInvalid("is none of its resource")
                if kind == "User":
                    stored = self._read_role(read_role(role))
                    column = "resource_id"
                    found.append([self._read_id(row.get("resource_id")), stored])
            except ValueInvalid as problem:
                raise row_invalid(ROLE, row, column, problem) from None
        return found
