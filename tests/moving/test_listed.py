"""The API lists the same objects as keygen-api did, field by field."""

from datetime import UTC, datetime

import pytest

from licensing.models import Machine
from tests.moving.exports import ACCOUNT_ID, SHOWN

# Intended differences: this server has no webhooks yet.
MISSING = {"webhook-endpoints"}
# The list has users of all roles only if it is asked for them.
ROLES = ("user", "admin", "developer", "sales-agent", "support-agent", "read-only")
QUERIES = {"users": "&" + "&".join(f"roles[]={role}" for role in ROLES)}


def differences(expected, found, path=""):
    """The paths at which two documents differ, with both values."""
    if isinstance(expected, dict) and isinstance(found, dict):
        for name in expected.keys() | found.keys():
            yield from differences(expected.get(name, "missing"), found.get(name, "missing"), f"{path}/{name}")
    elif expected != found:
        yield path, expected, found


@pytest.mark.parametrize("kind", sorted(SHOWN.keys() - MISSING - {"accounts"}))
def test_collection_is_the_same(moved_admin, kind):
    expected = {each["id"]: each for each in SHOWN[kind]}
    if kind == "licenses":
        # Dead machines do not count, and by the clock of the database they are dead.
        Machine.objects.update(last_heartbeat=datetime(2100, 1, 1, tzinfo=UTC))

    listed = moved_admin.get(f"{kind}?limit=100{QUERIES.get(kind, '')}").json()["data"]

    found = {each["id"]: each for each in listed}
    assert expected
    assert found.keys() == expected.keys()
    assert not [each for id, document in expected.items() for each in differences(document, found[id])]


def test_account_is_the_same(moved_admin):
    [expected] = SHOWN["accounts"]

    found = moved_admin.get(f"/v1/accounts/{ACCOUNT_ID}").json()["data"]

    assert not list(differences(expected, found))
