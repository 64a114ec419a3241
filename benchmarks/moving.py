"""Measures the import of an account from an export of keygen-api, relative to a raw load of its rows by the database.

    python -m benchmarks.moving [--database postgresql|sqlite] [--keys 1000000] [--licenses 200000] [--permissions 1]

Makes an export with so many waiting keys and licenses, and imports it by the command. Then it deletes the keys and the
licenses, and loads the same rows into the same tables with the same indexes: on PostgreSQL by COPY, on SQLite by
executemany. Prints the rate, its ratio to the raw load, and the command's peak memory.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import uuid
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from benchmarks.imports import make_row, peak_memory_of, print_rows
from benchmarks.servers import ROOT, database

MIN_RATIO_TO_RAW = 0.4
MAX_MEMORY = 200  # MiB
BLOCK_ROWS = 10_000
BEGUN = datetime(2025, 1, 1, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=["postgresql", "sqlite"], default="postgresql")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--licenses", type=int, default=200_000)
    parser.add_argument("--permissions", type=int, default=1, help="of each license; an export has some 37 (1)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="moving-") as folder, database(options.database):
        rows = measure(options, Path(folder) / "made.export")
    sys.exit(0 if all(row["ok"] for row in rows) else 1)


def measure(options: Namespace, export: Path) -> list[dict[str, Any]]:
    """Run the measurement; returns rows made by `benchmarks.imports.make_row()`."""
    write_export(export, options.keys, options.licenses, options.permissions)
    outcome = import_by_command(export)
    imported = {each["class"]: each["kept"] for each in outcome["classes"]}
    assert (imported["Key"], imported["License"]) == (options.keys, options.licenses), outcome
    count = options.keys + options.licenses
    print(f"{options.database}: {options.keys:,} keys, {options.licenses:,} licenses, {export.stat().st_size:,} bytes")
    print(f"  command {outcome['seconds']:>8.1f} s {count / outcome['seconds']:>10,.0f} rows a second")
    seconds = load_raw()
    print(f"  raw     {seconds:>8.1f} s {count / seconds:>10,.0f} rows a second")
    rows = [
        make_row("import: rate to that of the raw load", seconds / outcome["seconds"], least=MIN_RATIO_TO_RAW),
        make_row("peak memory, MiB", outcome["memory"], most=MAX_MEMORY),
    ]
    print_rows(rows)
    return rows


def write_export(path: Path, keys: int, licenses: int, permissions: int) -> None:
    """Write the export of an account with so many keys and licenses, in the form of keygen-api's."""
    from accounts.signing.algorithms import generate_private_key
    from pools.moving.account_keys import KEY_COLUMNS, write_key_pair
    from pools.moving.classes import BY_NAME
    from pools.moving.format import MAX_ROWS, ExportWriter

    account_id = str(uuid.uuid4())

    def row(class_name: str, number: int = 0, **columns: Any) -> dict[str, Any]:
        """A row with all columns of its class; the others have their usual values."""
        created = BEGUN + timedelta(milliseconds=number)
        known = {"id": str(uuid.uuid4()), "created_at": created, "updated_at": created}
        if class_name in BY_NAME:
            each = BY_NAME[class_name]
            known = {**{column.name: None for column in each.columns}, **each.unkept, **known}
            known = {name: value for name, value in known.items() if not callable(value)}
        return {**known, "account_id": account_id, **columns}

    def write(class_name: str, rows: Iterator[dict[str, Any]]) -> None:
        chunk: list[dict[str, Any]] = []
        for each in rows:
            chunk.append(each)
            if len(chunk) == MAX_ROWS:
                writer.write(class_name, chunk)
                chunk = []
        writer.write(class_name, chunk)

    with open(path, "wb") as file:
        writer = ExportWriter(file)
        pairs: dict[str, Any] = {}
        for kind in KEY_COLUMNS:
            pairs |= write_key_pair(kind, generate_private_key(kind))
        account = row("Account", name="Moved", slug="moved", secret_key="0" * 64, protected=False, **pairs)
        writer.write("Account", [account | {"id": account_id}])
        user = row("User", email="admin@example.com")
        writer.write("User", [user])
        product = row("Product", name="Game")
        writer.write("Product", [product])
        pooled, unpooled = (row("Policy", name=name, product_id=product["id"]) for name in ("Pooled", "Unpooled"))
        pooled["use_pool"] = True
        writer.write("Policy", [pooled, unpooled])
        write("Key", (row("Key", number, key=_text(), policy_id=pooled["id"]) for number in range(keys)))
        ids = [uuid.uuid4().bytes for _ in range(licenses)]
        of_license = {"policy_id": unpooled["id"], "product_id": product["id"], "user_id": user["id"], "uses": 0}
        write(
            "License",
            (
                row("License", number, key=_text(), **of_license) | {"id": str(uuid.UUID(bytes=id))}
                for number, id in enumerate(ids)
            ),
        )
        write(
            "Role",
            (
                row("Role", name="license", resource_type="License", resource_id=str(uuid.UUID(bytes=id)))
                | {"id": str(uuid.UUID(bytes=id))}
                for id in ids
            ),
        )
        role = row("Role", name="admin", resource_type="User", resource_id=user["id"])
        writer.write("Role", [role])
        of_all = [*(str(uuid.UUID(bytes=id)) for id in ids), role["id"]]
        write(
            "RolePermission",
            (
                row("RolePermission", role_id=id, permission_action=f"license.action-{number}")
                for number in range(permissions)
                for id in of_all
            ),
        )


def _text() -> str:
    text = uuid.uuid4().hex.upper()
    return "-".join(text[start : start + 6] for start in range(0, 30, 6)) + "-" + text[30:]


def import_by_command(export: Path) -> dict[str, Any]:
    """Run `import_account`; returns its report, which has the seconds, with its peak memory in MiB."""
    peak = 0.0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "import_account", str(export), "--json"], cwd=ROOT, stdout=out
        )
        while process.poll() is None:
            peak = max(peak, peak_memory_of(process.pid))
            time.sleep(0.05)
        out.seek(0)
        return json.load(out) | {"memory": peak}


def load_raw() -> float:
    """Delete the keys and licenses, and load the same rows again; returns the seconds of the load."""
    from django.db import connection, transaction

    tables = ("licensing_license", "pools_key")
    seconds = 0.0
    for table in tables:
        with connection.cursor() as cursor, tempfile.TemporaryFile() as file:
            if connection.vendor == "postgresql":
                with cast(Any, cursor).copy(f"COPY {table} TO STDOUT") as copy:
                    for block in copy:
                        file.write(block)
                file.seek(0)
                cursor.execute(f"DELETE FROM {table}")
                cursor.execute(f"VACUUM FULL ANALYZE {table}")
                began = time.monotonic()
                with transaction.atomic(), cast(Any, cursor).copy(f"COPY {table} FROM STDIN") as copy:
                    while block := file.read(1 << 20):
                        copy.write(block)
            else:
                cursor.execute(f"SELECT * FROM {table}")
                rows = cursor.fetchall()
                cursor.execute(f"DELETE FROM {table}")
                places = ", ".join(["%s"] * len(rows[0]))
                began = time.monotonic()
                with transaction.atomic():
                    for start in range(0, len(rows), BLOCK_ROWS):
                        block = rows[start : start + BLOCK_ROWS]
                        cursor.executemany(f"INSERT INTO {table} VALUES ({places})", block)
            seconds += time.monotonic() - began
    return seconds


if __name__ == "__main__":
    main()
