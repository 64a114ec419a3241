"""Whether an export is whole: nothing marks the end of the file, so a copy may end between two chunks unnoticed.

The digest that the export task prints proves it. Without the digest, roles without permissions reveal a cut file: every
user, product and license has a role, and every role has permissions. keygen-api writes the permissions last. The format
allows any order of the classes after the account: an export that ends with another class may lack its end unnoticed.
"""

from pools.moving.classes import ROLE, ROLE_PERMISSION
from pools.moving.errors import ExportIncomplete
from pools.moving.format import Row
from pools.moving.reports import Finding, MoveReport

_SAMPLE_SIZE, _ID_LENGTH = 10_000, 36
WAY_OUT = "copy it again or, if it is whole, give the digest that its export has printed with --sha256"
MAY_LACK_ITS_END = (
    "may lack rows: its export does not end with the permissions of roles, so a missing end would not be noticed. "
    "Give the digest that the export has printed with --sha256"
)


class _Sample:
    """Bounded sample of a set of UUIDs. Equal sets have equal samples, in whatever order their ids are added.

    Contains all ids whose reversed text is not greater than a bound. The last digits of a UUID are random in every
    version.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._bound: str | None = None

    def add(self, ids: set[str]) -> None:
        backwards = {id[: -_ID_LENGTH - 1 : -1] for id in ids}
        self._ids.update(each for each in backwards if self._bound is None or each <= self._bound)
        if len(self._ids) > 2 * _SAMPLE_SIZE:
            kept = sorted(self._ids)[:_SAMPLE_SIZE]
            self._ids, self._bound = set(kept), kept[-1]

    def lacks_one_of(self, other: "_Sample") -> bool:
        """Whether an id of the other sample is missing from this one."""
        return any(each not in self._ids for each in other._ids if self._bound is None or each <= self._bound)


class Completeness:
    """Notices that the permissions of roles are missing, by samples of the roles."""

    def __init__(self) -> None:
        self._roles, self._with_permissions = _Sample(), _Sample()
        self._last_class = ""

    def add(self, class_name: str, rows: list[Row]) -> None:
        """Note the rows of a chunk."""
        self._last_class = class_name
        if class_name == ROLE:
            self._roles.add({str(row.get("id")) for row in rows})
        elif class_name == ROLE_PERMISSION:
            self._with_permissions.add({str(row.get("role_id")) for row in rows})

    def check(self, expected: str | None, sha256: str, report: MoveReport) -> None:
        """Check that the export is whole, and name it in the report if that is uncertain.

        Args:
            expected: the right digest, if it is known.
            sha256: of the file, in hex.

        Raises:
            ExportIncomplete: it is not whole.
        """
        if expected is not None:
            if expected != sha256:
                raise ExportIncomplete(
                    f"The export is incomplete or another one: its digest is {sha256}. Copy it again, and give "
                    "the digest that its export has printed"
                )
            return
        if self._with_permissions.lacks_one_of(self._roles):
            raise ExportIncomplete(f"The export is incomplete: a role has no permissions; {WAY_OUT}")
        if self._last_class != ROLE_PERMISSION:
            report.find(Finding("Account", str(report.account_id), "", MAY_LACK_ITS_END, True))
