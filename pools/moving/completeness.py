"""Whether an export is whole: nothing marks the end of the file, so a copy may end between two chunks unnoticed.

The digest that the export task prints proves it. Without the digest, missing roles and permissions reveal a cut file:
they are the last classes, every user has a role, and every role has permissions.
"""

from pools.moving.classes import ROLE, ROLE_PERMISSION
from pools.moving.errors import ExportIncomplete
from pools.moving.format import Row

_SAMPLES_PER_CHUNK = 10
_MAX_SAMPLES = 10_000
WAY_OUT = "copy it again or, if it is whole, give the digest that its export has printed with --sha256"


class Completeness:
    """Notices that the permissions of roles are missing, by samples of the roles."""

    def __init__(self) -> None:
        self._without_permissions: set[object] = set()

    def add(self, class_name: str, rows: list[Row]) -> None:
        """Note the rows of a chunk."""
        if class_name == ROLE and len(self._without_permissions) < _MAX_SAMPLES:
            self._without_permissions.update(str(row.get("id")) for row in rows[:_SAMPLES_PER_CHUNK])
        elif class_name == ROLE_PERMISSION and self._without_permissions:
            self._without_permissions.difference_update(str(row.get("role_id")) for row in rows)

    def check(self, sha256: str, expected: str | None) -> None:
        """Check that the export is whole.

        Args:
            sha256: of the file, in hex.
            expected: the right digest, if it is known.

        Raises:
            ExportIncomplete: it is not.
        """
        if expected is not None and expected != sha256:
            raise ExportIncomplete(f"The export is incomplete or another one: its digest is {sha256}")
        if expected is None and self._without_permissions:
            raise ExportIncomplete(f"The export is incomplete: a role has no permissions; {WAY_OUT}")
