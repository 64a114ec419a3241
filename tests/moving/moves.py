"""The stored report of a move, made up."""

from keygen_site.db.fields import mask_key
from pools.models import Move

KEY = "BETA-0001-QX7Z-07919"
MASK = mask_key(KEY)


def row(kind="Key", id="8de5f172-0b64-42a7-8f4c-81e2fbd18e76", label=MASK, problem="sold twice", kept=False):
    return {"class": kind, "id": id, "label": label, "problem": problem, "kept": kept}


def make_move(company, *rows, count=None):
    return Move.objects.create(
        account=company.account,
        source="acme.export",
        operator="manage.py import_account",
        sha256="ab" * 32,
        content_digest=b"",
        summary=[
            {"class": "Policy", "read": 11, "kept": 11, "leftOut": {}},
            {
                "class": "Key",
                "read": 1237,
                "kept": 1234,
                "leftOut": {"a license has the same key": 2, "the key is too short": 1},
            },
            {"class": "ReleaseArtifact", "read": 5, "kept": 0, "leftOut": {"releases are not kept here": 5}},
            {"class": "MachineProcess", "read": 3, "kept": 3, "leftOut": {}},
            {"class": "used keys", "read": 7, "kept": 7, "leftOut": {}},
        ],
        findings=list(rows),
        findings_count=len(rows) if count is None else count,
    )
