"""How fast are millions of keys imported, beside what the database can do?

    python -m benchmarks.imports [--database postgresql|sqlite] [--keys 1000000] [--rounds 2] [--memory 5000000]
        [--used 100000]

Each round loads the same number of keys (36 characters) twice into the same table with the same indexes, first into
an empty one and then beside what is there: raw (PostgreSQL: COPY of rows made beforehand; SQLite: executemany of
them), by the command, by the command with a tenth of the lines bad, and by the API. Printed are the medians, their
ratio to the raw load or to the clean command, and the command's peak memory, also for more keys (`--memory`).
"""

import argparse
import contextlib
import json
import random
import subprocess
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from benchmarks.servers import ROOT, database, server

LEAST = {"postgresql": 0.65, "sqlite": 0.6}
BLOCK = 10_000  # rows of a raw load that are handed over at a time


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database", choices=list(LEAST), default="postgresql")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--memory", type=int, default=0, help="how many keys to compare the memory for; 0: do not")
    parser.add_argument("--used", type=int, default=0, help="texts of deleted keys that the account has had (0)")
    parser.add_argument("--json", type=argparse.FileType("w"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="imports-") as folder, database(options.database):
        figures = measure(options, Path(folder))
    if options.json:
        json.dump(figures, options.json, indent=2)
    sys.exit(0 if all(row["ok"] for row in figures) else 1)


def measure(options, folder):
    """Everything, as rows of `what`, `seconds`, `ratio` and whether that is as good as it should be."""
    from benchmarks.pools import DemoPool

    pool = DemoPool(0)
    remember(pool, options.used)
    files = [folder / "first.txt", folder / "second.txt"]
    for file in files:
        write_keys(file, options.keys)
    dirty = folder / "dirty.txt"
    bad = write_dirty(dirty, options.keys)
    seconds = {}

    def note(what, taken):
        seconds.setdefault(what, []).append(taken)
        print(f"  {what:<32}{taken:>8.1f} s{options.keys / taken:>12,.0f} lines a second", flush=True)

    peak = 0
    with server(workers=1) as running:
        for number in range(options.rounds):
            print(f"{options.database}, round {number + 1}, {options.keys:,} keys")
            for load, name in ((raw, "raw"), (command, "command")):
                empty()
                for file, where in zip(files, ("into an empty table", "into a filled one"), strict=True):
                    outcome = load(pool, file)
                    note(f"{name}, {where}", outcome["seconds"])
                    peak = max(peak, outcome.get("memory", 0))
            empty()
            outcome = command(pool, dirty, "--skip-invalid")
            assert outcome["rejected"] == bad, (outcome, bad)
            note("command, a tenth bad", outcome["seconds"])
            empty()
            note("API", api(running, pool, files[0]))
    taken = {what: median(several) for what, several in seconds.items()}
    rows = [
        row(f"{name}: to raw", taken[f"raw, {where}"] / taken[f"command, {where}"], LEAST[options.database])
        for name, where in (("empty table", "into an empty table"), ("filled table", "into a filled one"))
    ]
    clean = taken["command, into an empty table"]
    rows.append(row("a tenth bad: time to that of clean lines", taken["command, a tenth bad"] / clean, most=1.3))
    rows.append(row("API: time to that of the command", taken["API"] / clean, most=1.15))
    rows.append(row("peak memory, MiB", peak, most=120))
    if options.memory:
        file = folder / "many.txt"
        write_keys(file, options.memory)
        empty()
        more = command(pool, file)["memory"]
        rows.append(row(f"memory for {options.memory:,} to that for {options.keys:,}", more / peak, most=1.05))
    for entry in rows:
        bound = f">= {entry['least']}" if entry["least"] is not None else f"<= {entry['most']}"
        print(f"{entry['what']:<48}{entry['value']:>8.2f}   {bound}{'' if entry['ok'] else '   MISSED'}")
    return rows


def row(what, value, least=None, most=None):
    ok = value >= least if least is not None else value <= most
    return {"what": what, "value": round(value, 3), "least": least, "most": most, "ok": ok}


def write_keys(path, count):
    """Random keys of 36 characters, a line each."""
    with open(path, "w") as file:
        for _ in range(count):
            file.write("-".join(f"{random.getrandbits(20):05X}" for _ in range(6)) + "X\n")


def write_dirty(path, count):
    """The same with a tenth of the lines bad, some each way; returns how many of them are."""
    clean = path.with_name("clean.txt")
    write_keys(clean, count)
    bad, earlier = 0, []
    with open(clean) as lines, open(path, "w") as file:
        for number, line in enumerate(lines):
            if number % 10 == 9:
                bad += 1
                line = (earlier[number % len(earlier)], "short\n", f" {line}", "tab\tin the middle\n")[number // 10 % 4]
            elif number % 100 == 0:
                earlier.append(line)
            file.write(line)
    return bad


def empty():
    """No keys and no imports, and nothing left of those that there were."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE pools_key, pools_keyimport CASCADE")  # uploads name their import
            cursor.execute("CHECKPOINT")
        else:
            cursor.execute("DELETE FROM pools_key")
            cursor.execute("DELETE FROM pools_keyimport")
            cursor.execute("VACUUM")
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def remember(pool, count):
    """So many used texts of the account, none of which is in a file."""
    from keygen_site.db.fields import digest
    from pools.models import UsedText

    account = pool.account.pk
    rows = (UsedText(account_id=account, digest=digest(f"used {number}"), kind="key") for number in range(count))
    UsedText.objects.bulk_create(rows, batch_size=BLOCK)


def raw(pool, file):
    """BulkImporter the keys of a file as rows that are ready; the seconds that the database takes."""
    from django.db import connection, transaction
    from django.utils import timezone
    from uuid_utils import uuid7

    from keygen_site.db.fields import digest
    from pools.models import KeyImport

    key_import = KeyImport.objects.create(account=pool.account, policy=pool.policy)
    names = ("id", "key", "digest", "account_id", "policy_id", "key_import_id", "created", "updated")
    columns = ", ".join(names)
    if connection.vendor == "postgresql":
        now = timezone.now().isoformat()
        rest = f"{pool.account.pk}\t{pool.policy.pk}\t{key_import.pk}\t{now}\t{now}\n"
        with open(file) as lines:
            texts = (line.rstrip("\n") for line in lines)
            rows = [f"{uuid7().hex}\t{text}\t\\\\x{digest(text).hex()}\t{rest}" for text in texts]
        blocks = ["".join(rows[start : start + BLOCK]) for start in range(0, len(rows), BLOCK)]
        del rows
        begun = time.monotonic()
        copying = f"COPY pools_key ({columns}) FROM STDIN"
        with transaction.atomic(), connection.cursor() as cursor, cursor.copy(copying) as copy:
            for block in blocks:
                copy.write(block)
    else:
        ids = [pk.hex for pk in (pool.account.pk, pool.policy.pk, key_import.pk)]
        now = str(timezone.now())
        with open(file) as lines:
            texts = [line.rstrip("\n") for line in lines]
        rows = [(uuid7().hex, text, digest(text), *ids, now, now) for text in texts]
        begun = time.monotonic()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.executemany(f"INSERT INTO pools_key ({columns}) VALUES ({', '.join(['%s'] * len(names))})", rows)
    return {"seconds": time.monotonic() - begun}


def command(pool, file, *options):
    """Run the command; its report, with its own seconds and its peak memory in MiB."""
    arguments = [sys.executable, "manage.py", "import_keys", str(file), "--policy", str(pool.policy.pk), "--json"]
    peak = 0
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen([*arguments, *options], cwd=ROOT, stdout=out)
        while process.poll() is None:
            peak = max(peak, peak_of(process.pid))
            time.sleep(0.05)
        out.seek(0)
        return json.load(out) | {"memory": peak}


def peak_of(process):
    """The most memory that a process has had yet, in MiB. (What `wait4` says of it includes its parent's.)"""
    with contextlib.suppress(FileNotFoundError, StopIteration), open(f"/proc/{process}/status") as status:
        return int(next(line for line in status if line.startswith("VmHWM")).split()[1]) / 1024
    return 0


def api(running, pool, file):
    """Import by the API; the seconds of the whole request."""
    begun = time.monotonic()
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
    answer = json.loads(response.read())
    assert response.status == 200, answer
    return time.monotonic() - begun


if __name__ == "__main__":
    main()
