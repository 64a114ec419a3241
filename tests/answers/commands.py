"""The section about the commands of manage.py: their output and exit codes."""

import gzip
import os
from pathlib import Path

from tests.answers.recording import Recorder, Response
from tests.answers.tables import lines, words

FILES = {
    "keys.txt": b"FILE-0001\nFILE-0002\n\nFILE-0003\n",
    "keys.csv": b"note,key\nx,CSV-00001\ny,CSV-00002\n",
    "keys.ndjson": b'{"key": "JSON-0001"}\n',
    "keys.txt.gz": gzip.compress(b"PACKED-0001\n", mtime=0),
    "bad.txt": b"short\nFILE-0001\nGOOD-0001\nGOOD-0001\n",
}
# The order matters: each command changes the state for the next ones.
COMMANDS = """
pools
pools --json
pools --account acme
pools --account nobody
pools --policy Pooled --json
pools --policy P
pools --policy x
import_keys keys.txt --policy Pooled --dry-run
import_keys keys.txt --policy Pooled --name First
import_keys keys.txt --policy Pooled
import_keys keys.txt keys.csv --policy Pooled --format csv
import_keys keys.csv keys.ndjson keys.txt.gz --policy Pooled --json
import_keys bad.txt --policy Pooled
import_keys bad.txt --policy Pooled --skip-invalid --rejected rejected.csv --first 1
import_keys bad.txt --policy Pooled --json
import_keys missing.txt --policy Pooled
import_keys keys.txt --policy Terms
import_keys keys.csv --policy Pooled --column x
import_keys keys.txt
import_keys - --policy Pooled --format text
export_keys --policy Pooled
export_keys --policy Pooled --state popped
export_keys --policy Pooled --state all --format ndjson
export_keys --policy Pooled --format text --import First
export_keys --policy Pooled --import x
export_keys --policy Pooled --since 2027-03-01 --until 2027-03-02
export_keys --policy Pooled --since x
export_keys --policy Pooled --output out.csv --for-spreadsheet
export_keys --policy Pooled --output missing/out.csv
pop_key --policy Pooled
pop_key --policy Pooled --count 2 --reference Order --json
pop_key --policy Pooled --count 1000
pop_key --policy Pooled --count 0
pop_key --policy Empty
pop_key --policy {pooled}
pop_key --policy x --account acme
check_pools
check_pools --skip-checks --policy Pooled --warn 5 --critical 1
check_pools --skip-checks --policy Pooled --warn 1000
check_pools --skip-checks --account rival
check_pools --skip-checks --policy x
prune_idempotency_keys
prune_idempotency_keys --hours 1
create_account acme x@acme.test
create_account A_B x@acme.test
create_account third nonsense
create_account third admin@third.test
create_account
quickstart
quickstart
quickstart --new-password --address https://keys.example.com
pools --json
check
migrate --check --skip-checks
makemigrations --check --dry-run
"""
OURS = "check_pools create_account export_keys import_keys pools pop_key prune_idempotency_keys quickstart"


def record(recorder: Recorder, folder: str) -> None:
    before = os.getcwd()
    os.chdir(folder)  # so that printed paths are short
    try:
        for name, content in FILES.items():
            Path(name).write_bytes(content)
        with recorder.story("commands"):
            for line in lines(COMMANDS):
                if "--hours" in line:
                    recorder.move(days=2)
                recorder.command(*line.split(), stdin=b"PIPED-0001\n")
            for name in ("rejected.csv", "out.csv"):
                recorder.record(f"file {name}", "file", name, Response(0, {}, Path(name).read_bytes()))
            for name in words(OURS):
                recorder.command(name, "--help")
    finally:
        os.chdir(before)
