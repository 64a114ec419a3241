"""Measures the import of millions of keys, relative to a raw load by the database.

    python -m benchmarks.imports [--database postgresql|sqlite] [--keys 1000000] [--rounds 2] [--memory 5000000]
        [--used 100000] [--workbook 200000] [--encrypted]

Each round loads the same number of keys (36 characters) into the same table with the same indexes, first empty and then
filled: raw (PostgreSQL: COPY of prepared rows; SQLite: executemany), by the command, by the command with a tenth of the
lines invalid, and by the API. Prints the medians, their ratios to the raw load or to the clean command, and the
command's peak memory, also for more keys (`--memory`) and for a workbook (.xlsx) with fewer (`--workbook`). A CSV file
is imported too, for comparison.
"""

import argparse
import base64
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import zipfile
from argparse import Namespace
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, cast

from benchmarks.clients import Client
from benchmarks.servers import ROOT, Server, database, server

if TYPE_CHECKING:
    from benchmarks.pools import DemoPool

MIN_RATIO_TO_RAW = {"postgresql": 0.65, "sqlite": 0.6}
MIN_RATIO_ENCRYPTED = 0.5  # of encrypted keys to a raw load of plain ones
BLOCK_ROWS = 10_000  # of a raw load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=list(MIN_RATIO_TO_RAW), default="postgresql")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", type=int, default=0, help="keys of a second measurement of memory; 0: none")
    parser.add_argument("--used", type=int, default=0, help="used texts of deleted keys in the account (0)")
    parser.add_argument("--workbook", type=int, default=200_000, help="rows of a workbook (.xlsx); 0: none (200000)")
    parser.add_argument("--encrypted", action="store_true", help="encrypt the keys; the raw load stays plain")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    if options.encrypted:
        os.environ["KEY_ENCRYPTION_KEYS"] = f"benchmark:{base64.b64encode(os.urandom(32)).decode()}"
    with tempfile.TemporaryDirectory(prefix="imports-") as folder, database(options.database):
        figures = measure(options, Path(folder))
    if options.json:
        json.dump(figures, options.json, indent=2)
    sys.exit(0 if all(row["ok"] for row in figures) else 1)


def measure(options: Namespace, folder: Path) -> list[dict[str, Any]]:
    """Run all measurements; returns rows made by `make_row()`."""
    from benchmarks.pools import DemoPool

    pool = DemoPool(0)
    add_used_texts(pool, options.used)
    files = [folder / "first.txt", folder / "second.txt"]
    for file in files:
        write_keys(file, options.keys)
    table = folder / "table.csv"
    write_csv(table, files[0])
    invalid = folder / "invalid.txt"
    invalid_lines = write_some_invalid(invalid, options.keys)
    seconds: dict[str, list[float]] = {}

    def note(what: str, taken: float) -> None:
        seconds.setdefault(what, []).append(taken)
        print(f"  {what:<32}{taken:>8.1f} s{options.keys / taken:>12,.0f} lines a second", flush=True)

    peak = 0.0
    with server(workers=1) as running:
        for number in range(options.rounds):
            print(f"{options.database}, round {number + 1}, {options.keys:,} keys")
            for load, name in ((load_raw, "raw"), (load_by_command, "command")):
                delete_all_keys()
                for file, where in zip(files, ("into an empty table", "into a filled one"), strict=True):
                    outcome = load(pool, file)
                    note(f"{name}, {where}", outcome["seconds"])
                    peak = max(peak, outcome.get("memory", 0))
            delete_all_keys()
            outcome = load_by_command(pool, invalid, "--format", "text", "--skip-invalid", "--accept-warnings")
            assert outcome["rejected"] == invalid_lines, (outcome["reasons"], invalid_lines)
            note("command, a tenth invalid", outcome["seconds"])
            delete_all_keys()
            outcome = load_by_command(pool, table)
            note("command, CSV", outcome["seconds"])
            peak = max(peak, outcome["memory"])
            delete_all_keys()
            note("API", load_by_api(running, pool, files[0]))
    least = MIN_RATIO_ENCRYPTED if options.encrypted else MIN_RATIO_TO_RAW[options.database]
    taken = {what: median(several) for what, several in seconds.items()}
    rows = [
        make_row(f"{name}: to raw", taken[f"raw, {where}"] / taken[f"command, {where}"], least=least)
        for name, where in (("empty table", "into an empty table"), ("filled table", "into a filled one"))
    ]
    clean = taken["command, into an empty table"]
    ratio = taken["command, a tenth invalid"] / clean
    rows.append(make_row("a tenth invalid: time to that of valid lines", ratio, most=1.3))
    # In the background, at low priority and with pauses: 1.5 times the command's time, and somewhat more.
    rows.append(make_row("API: time to that of the command", taken["API"] / clean, most=2.2))
    rows.append(make_row("peak memory, MiB", peak, most=140 if options.encrypted else 120))
    if options.workbook:
        workbook = folder / "workbook.xlsx"
        write_workbook(workbook, options.workbook)
        delete_all_keys()
        outcome = load_by_command(pool, workbook)
        print(f"  {'command, workbook':<32}{outcome['seconds']:>8.1f} s for {outcome['added']:,} rows", flush=True)
        rows.append(make_row(f"peak memory for a workbook of {options.workbook:,}, MiB", outcome["memory"], most=300))
    if options.memory:
        file = folder / "many.txt"
        write_keys(file, options.memory)
        delete_all_keys()
        more = load_by_command(pool, file)["memory"]
        rows.append(make_row(f"memory for {options.memory:,} to that for {options.keys:,}", more / peak, most=1.05))
    print_rows(rows)
    return rows


def make_row(what: str, value: float, *, least: float | None = None, most: float = float("inf")) -> dict[str, Any]:
    """A measurement, its bound, and whether it is within the bound."""
    ok = value >= least if least is not None else value <= most
    return {"what": what, "value": round(value, 3), "least": least, "most": most, "ok": ok}


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print measurements, each with its bound, and whether it misses that."""
    for row in rows:
        bound = f">= {row['least']}" if row["least"] is not None else f"<= {row['most']}"
        print(f"{row['what']:<56}{row['value']:>8.2f}   {bound}{'' if row['ok'] else '   MISSED'}")


def write_keys(path: Path, count: int) -> None:
    """Write random keys of 36 characters to a file, one per line."""
    with open(path, "w") as file:
        for _ in range(count):
            file.write("-".join(f"{random.getrandbits(20):05X}" for _ in range(6)) + "X\n")


def write_csv(path: Path, keys: Path) -> None:
    """Write the keys of a file as CSV with a header, semicolons and two other columns."""
    with open(keys) as lines, open(path, "w") as file:
        file.write("Product;License Key;Expiry\n")
        file.writelines(f"Game;{line.rstrip()};2027-01-31\n" for line in lines)


def write_workbook(path: Path, count: int) -> None:
    """Write random keys to a workbook with a header and two other columns, in the form in which Excel writes it."""
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    relation = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006/relationships"
    types = "application/vnd.openxmlformats-officedocument.spreadsheetml"
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{types}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{types}.worksheet+xml"/>'
        f'<Override PartName="/xl/sharedStrings.xml" ContentType="{types}.sharedStrings+xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" Type="{relation}/officeDocument" '
        'Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{relation}"><sheets><sheet name="Keys" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}"><Relationship Id="r1" '
        f'Type="{relation}/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="r2" '
        f'Type="{relation}/sharedStrings" Target="sharedStrings.xml"/></Relationships>',
    }
    texts = ["Product", "License Key", "Note", "Game", "sent"]
    first, head = len(texts), '<?xml version="1.0" encoding="UTF-8"?>\n'
    texts += ["-".join(f"{random.getrandbits(20):05X}" for _ in range(6)) + "X" for _ in range(count)]
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, head + content)
        with archive.open("xl/worksheets/sheet1.xml", "w") as sheet:
            sheet.write(f'{head}<worksheet xmlns="{main}"><sheetData>'.encode())
            for row in range(1, count + 2):
                cells = (0, 1, 2) if row == 1 else (3, first + row - 2, 4)
                columns = "".join(
                    f'<c r="{letter}{row}" t="s"><v>{text}</v></c>' for letter, text in zip("ABC", cells, strict=True)
                )
                sheet.write(f'<row r="{row}">{columns}</row>'.encode())
            sheet.write(b"</sheetData></worksheet>")
        with archive.open("xl/sharedStrings.xml", "w") as strings:
            strings.write(f'{head}<sst xmlns="{main}">'.encode())
            strings.writelines(f"<si><t>{text}</t></si>".encode() for text in texts)
            strings.write(b"</sst>")


def write_some_invalid(path: Path, count: int) -> int:
    """Write keys of which a tenth are invalid in different ways; returns the number of invalid lines."""
    clean = path.with_name("clean.txt")
    write_keys(clean, count)
    invalid = 0
    earlier: list[str] = []
    with open(clean) as lines, open(path, "w") as file:
        for number, line in enumerate(lines):
            if number % 10 == 9:
                invalid += 1
                line = (earlier[number % len(earlier)], "short\n", f" {line}", "tab\tin the middle\n")[number // 10 % 4]
            elif number % 100 == 0:
                earlier.append(line)
            file.write(line)
    return invalid


def delete_all_keys() -> None:
    """Delete all keys and imports, and the space that they took."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE pools_key, pools_keyimport CASCADE")  # pending imports refer to their import
            cursor.execute("CHECKPOINT")
        else:
            for table in ("key", "pendingimport", "keyimport"):
                cursor.execute(f"DELETE FROM pools_{table}")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def add_used_texts(pool: "DemoPool", count: int) -> None:
    """Add used texts to the account, none of which is in a file."""
    from keygen_site.db.key_digests import key_digest
    from pools.models import UsedText

    account = pool.account.pk
    rows = (UsedText(account_id=account, digest=key_digest(f"used {number}"), kind="key") for number in range(count))
    UsedText.objects.bulk_create(rows, batch_size=BLOCK_ROWS)


def load_raw(pool: "DemoPool", file: Path) -> dict[str, Any]:
    """Load prepared rows with the keys of a file; returns the seconds that the database takes."""
    from django.db import connection, transaction
    from django.utils import timezone
    from uuid_utils import uuid7

    from keygen_site.db.key_digests import key_digester
    from pools.models import KeyImport

    digester = key_digester()

    key_import = KeyImport.objects.create(account=pool.account, policy=pool.policy)
    names = ("id", "key", "digest", "ending", "account_id", "policy_id", "key_import_id", "created", "updated")
    columns = ", ".join(names)
    if connection.vendor == "postgresql":
        now = timezone.now().isoformat()
        rest = f"{pool.account.pk}\t{pool.policy.pk}\t{key_import.pk}\t{now}\t{now}\n"
        with open(file) as lines:
            texts = (line.rstrip("\n") for line in lines)
            rows = [
                f"{uuid7().hex}\t{text}\t\\\\x{digester.digest(text).hex()}\t{digester.ending(text)}\t{rest}"
                for text in texts
            ]
        blocks = ["".join(rows[start : start + BLOCK_ROWS]) for start in range(0, len(rows), BLOCK_ROWS)]
        del rows
        began = time.monotonic()
        statement = f"COPY pools_key ({columns}) FROM STDIN"
        with transaction.atomic(), connection.cursor() as cursor, cast(Any, cursor).copy(statement) as copy:
            for block in blocks:
                copy.write(block)
    else:
        ids = [pk.hex for pk in (pool.account.pk, pool.policy.pk, key_import.pk)]
        now = str(timezone.now())
        with open(file) as lines:
            values = [
                (uuid7().hex, text, digester.digest(text), digester.ending(text), *ids, now, now)
                for text in (line.rstrip("\n") for line in lines)
            ]
        began = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO pools_key ({columns}) VALUES ({', '.join(['%s'] * len(names))})", values)
    return {"seconds": time.monotonic() - began}


def load_by_command(pool: "DemoPool", file: Path, *options: str) -> dict[str, Any]:
    """Run `import_keys`; returns its report, which has the seconds, with its peak memory in MiB."""
    arguments = [sys.executable, "manage.py", "import_keys", str(file), "--policy", str(pool.policy.pk), "--json"]
    peak = 0.0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*arguments, *options], cwd=ROOT, stdout=out)
        while process.poll() is None:
            peak = max(peak, peak_memory_of(process.pid))
            time.sleep(0.05)
        out.seek(0)
        return json.load(out) | {"memory": peak}


def peak_memory_of(process: int) -> float:
    """The peak memory of a process so far, in MiB. (That of `wait4` includes its parent's.)"""
    with contextlib.suppress(FileNotFoundError, StopIteration), open(f"/proc/{process}/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    return 0


def load_by_api(running: Server, pool: "DemoPool", file: Path) -> float:
    """Import a file by the API; returns the seconds until it is done."""
    began = time.monotonic()
    connection = HTTPConnection("127.0.0.1", running.port, timeout=3600)
    with open(file, "rb") as body:
        headers = {
            "Authorization": f"Bearer {pool.token}",
            "Content-Type": "text/plain",
            "Content-Length": str(file.stat().st_size),
        }
        method, path = pool.pop_request
        connection.request("POST", f"{path}/actions/import", body, headers)
    response = connection.getresponse()
    document = json.loads(response.read())
    client = Client(running.port, pool.token)
    while response.status == 202 and document["data"]["attributes"]["state"] in ("waiting", "running"):
        time.sleep(0.2)
        document = client.send("GET", document["data"]["links"]["self"]).document
    assert response.status == 200 or document["data"]["attributes"]["state"] == "done", document
    return time.monotonic() - began


if __name__ == "__main__":
    main()
