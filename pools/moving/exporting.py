"""Writes the rows of an account as an export of keygen-api (contract: moving).

Everything is read in flat memory, by the iterators of querysets. Call the functions within one
`keygen_site.db.snapshots.snapshot()`, so that all rows are of the same moment.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from django.db.models import Count, F, QuerySet, Sum, Value

from accounts.models import Account, SigningKey, TokenKeys, User
from accounts.permission_names import ALL, DEFAULTS, GRANTABLE
from licensing.models import License, LicenseUser, Machine, Product
from pools.models import Key
from pools.moving.account_keys import KEY_COLUMNS, write_key_pair
from pools.moving.classes import ACCOUNT, CLASSES, ROLE, ROLE_PERMISSION, ExportClass, role_id, write_role
from pools.moving.format import MAX_ROWS, ExportWriter, Row

_SECRET_KEY_BYTES = 64  # of an account of keygen-api, in hex
_ROLES_PER_STEP = 200  # each has up to some 150 permissions
# The columns of a license that are sums over its machines, and the fields of machines.
_MACHINE_SUMS = {"machines_core_count": "cores", "machines_memory_count": "memory", "machines_disk_count": "disk"}


def make_signing_keys(account: Account) -> None:
    """Generate the signing keys that the account has not used yet: an export has all kinds. Not within a snapshot."""
    SigningKey.objects.published(account.pk)


def export_account(account: Account, writer: ExportWriter) -> Counter[str]:
    """Write all rows of an account that an export has room for. Returns their number by class."""
    counts: Counter[str] = Counter()

    def write(name: str, rows: list[Row]) -> None:
        writer.write(name, rows)
        counts[name] += len(rows)

    write(ACCOUNT.name, [_account_row(account)])
    for export_class in CLASSES:
        if export_class is not ACCOUNT:
            for rows in batches(_values(export_class, account)):
                _add_sums(export_class, rows)
                write(export_class.name, [_row_of(export_class, row, account) for row in rows])
    # The permissions are last, as in keygen-api's export: an import notices by them that the file is complete.
    for roles in _roles(account):
        write(ROLE, [_role_row(role, account) for role in roles])
    for roles in _roles(account):
        write(ROLE_PERMISSION, [row for role in roles for row in _permission_rows(role)])
    return counts


def exported_rows(export_class: ExportClass, account: Account) -> QuerySet[Any]:
    """The rows of a class that are exported; of keys those that can be popped, in the order of their pools."""
    if export_class.model is Key:
        return account.keys.available().order_by("policy_id", F("place").asc(nulls_last=True), "id")
    return export_class.model._default_manager.filter(account=account).order_by("pk")


def batches(rows: QuerySet[Any], size: int = MAX_ROWS) -> Iterator[list[Any]]:
    """The rows of a queryset, `size` at a time."""
    iterator = rows.iterator(chunk_size=size)
    while batch := list(islice(iterator, size)):
        yield batch


def _account_row(account: Account) -> Row:
    row = ACCOUNT.write({column.attname: getattr(account, column.attname) for column in ACCOUNT.columns}, "")
    private = {key.kind: key.private for key in SigningKey.objects.filter(account=account, retired=None)}
    for kind in KEY_COLUMNS:
        row |= write_key_pair(kind, private[kind])
    stored = TokenKeys.objects.filter(account=account).first()
    row["secret_key"] = stored.secret_key if stored else secrets.token_hex(_SECRET_KEY_BYTES)
    return _plain(row)


def _values(export_class: ExportClass, account: Account) -> QuerySet[Any]:
    """The rows with the values that `ExportClass.write` needs, as dictionaries."""
    names = [column.attname for column in export_class.columns]
    more = {"policy_of_license": F("license__policy_id")} if export_class.model is Machine else {}
    return exported_rows(export_class, account).values(*names, **more)


def _row_of(export_class: ExportClass, values: Row, account: Account) -> Row:
    row = export_class.write(values, str(account.pk))
    row |= values.get("sums", {})
    if export_class.model is Machine:
        row["policy_id"] = values["policy_of_license"]
    return _plain(row)


def _plain(row: Row) -> Row:
    return {name: str(value) if isinstance(value, UUID) else value for name, value in row.items()}


def _add_sums(export_class: ExportClass, rows: list[Row]) -> None:
    """Give licenses the columns that keygen-api keeps up to date with their users and machines."""
    if export_class.model is not License:
        return
    ids = [row["id"] for row in rows]
    users = LicenseUser.objects.filter(license__in=ids).order_by().values_list("license")
    attached = dict(users.annotate(Count("pk")))
    machines = Machine.objects.filter(license__in=ids).order_by().values_list("license")
    sums = [Sum(field) for field in _MACHINE_SUMS.values()]
    of_machines = {pk: numbers for pk, *numbers in machines.annotate(Count("pk"), *sums)}
    names = ("machines_count", *_MACHINE_SUMS)
    for row in rows:
        numbers = of_machines.get(row["id"], [None] * len(names))
        row["sums"] = {name: number or 0 for name, number in zip(names, numbers, strict=True)}
        row["sums"]["license_users_count"] = attached.get(row["id"], 0)


class _Role(NamedTuple):
    """The role of a product, license or user, which are no rows here. The order is that of the columns that are read.

    Attributes:
        permissions: those of its own, or None.
        resource_type: the name of the class that has the role.
    """

    resource_id: UUID
    name: str
    permissions: list[str] | None
    created: datetime
    updated: datetime
    resource_type: str

    @property
    def id(self) -> UUID:
        """An id that is the same in each export."""
        return role_id(self.resource_id)

    @property
    def times(self) -> Row:
        return {"created_at": self.created, "updated_at": self.updated}


def _roles(account: Account) -> Iterator[list[_Role]]:
    """The roles of an account, some at a time."""
    for model, name in ((Product, Value("product")), (License, Value("license")), (User, F("role"))):
        rows = model._default_manager.filter(account=account).order_by("pk").annotate(role_name=name)
        columns = rows.values_list("pk", "role_name", "permissions", "created", "updated")
        for some in batches(columns, _ROLES_PER_STEP):
            yield [
                _Role(pk, role, permissions, created, updated, model.__name__)
                for pk, role, permissions, created, updated in some
            ]


def _role_row(role: _Role, account: Account) -> Row:
    return {
        "id": str(role.id),
        "account_id": str(account.pk),
        "name": write_role(role.name),
        "resource_id": str(role.resource_id),
        "resource_type": role.resource_type,
        **role.times,
    }


def _permission_rows(role: _Role) -> Iterator[Row]:
    """The permissions of a role that keygen-api knows: those of its own, or else the standard ones."""
    names = DEFAULTS[role.name]
    if role.permissions is not None:
        allowed = GRANTABLE[role.name]
        names = allowed if ALL in role.permissions else allowed.intersection(role.permissions)
    for name in sorted(names):
        yield {"id": str(uuid5(role.id, name)), "role_id": str(role.id), "permission_action": name, **role.times}
