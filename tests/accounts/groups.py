"""Groups for tests, and documents about them."""

from accounts.models import Group


def make_group(account, name="Hospital", **fields):
    group = Group(account=account, name=name, **fields)
    group.validate_and_save()
    return group


def group_document(**attributes):
    return {"data": {"type": "groups", "attributes": attributes}}


def one(type, row):
    """Return the linkage document of one row, or null."""
    return {"data": row and {"type": type, "id": str(getattr(row, "pk", row))}}


def several(type, *rows):
    """Return the document that attaches or detaches several rows."""
    return {"data": [one(type, row)["data"] for row in rows]}
