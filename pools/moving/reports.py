"""The report of a move: the imported rows, the omitted ones with reasons, and those to check by hand."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

# That are kept; the file of the option --report has all. Thousands of used keys must not hide a row of another kind.
MAX_FINDINGS, MAX_FINDINGS_OF_A_KIND = 1_000, 200
FINDING_COLUMNS = ("class", "id", "label", "problem", "kept")


class Finding(NamedTuple):
    """A row that needs a person's eye.

    Attributes:
        class_name: of the row, e.g. `Key`.
        id: of the row, or empty.
        label: a name for people; of a key or license, its masked key.
        problem: the end of a sentence that begins with the label.
        kept: whether the row was imported all the same.
    """

    class_name: str
    id: str
    label: str
    problem: str
    kept: bool

    def as_dict(self) -> dict[str, Any]:
        return dict(zip(FINDING_COLUMNS, self, strict=True))


@dataclass
class ClassCount:
    """The rows of a class.

    Attributes:
        read: their number in the export.
        left_out: the number of those that were not imported, by reason.
    """

    read: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    @property
    def kept(self) -> int:
        return self.read - sum(self.left_out.values())


@dataclass
class MoveReport:
    """The result of importing an account, or of a dry run.

    Attributes:
        source: the name of the file.
        account_id, slug: of the account.
        sha256: of the file, in hex.
        counts: by class, in the order of the export; then `Token` and `used keys`.
        findings: the first ones, at most MAX_FINDINGS, and MAX_FINDINGS_OF_A_KIND of a class and problem.
        on_finding: is called with each.
        unkept_columns: the number of values that matter and have no field here, by class and column.
        kinds_of_findings: the number of all findings by class and problem.
        named_left_out: the number of findings about rows that were not imported.
        replaced: whether the account had moved in before, and was replaced.
    """

    source: str = ""
    dry_run: bool = False
    account_id: UUID | None = None
    slug: str = ""
    sha256: str = ""
    counts: dict[str, ClassCount] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    findings_count: int = 0
    kinds_of_findings: Counter[tuple[str, str]] = field(default_factory=Counter)
    named_left_out: int = 0
    unkept_columns: Counter[tuple[str, str]] = field(default_factory=Counter)
    replaced: bool = False
    on_finding: Callable[[Finding], None] = lambda finding: None

    def count_of(self, class_name: str) -> ClassCount:
        return self.counts.setdefault(class_name, ClassCount())

    def leave_out(self, finding: Finding, reason: str) -> None:
        """Count a row that is not imported, and name it."""
        self.count_of(finding.class_name).left_out[reason] += 1
        self.find(finding)

    def find(self, finding: Finding) -> None:
        """Name a row that needs a person's eye."""
        self.findings_count += 1
        self.named_left_out += not finding.kept
        kind = finding.class_name, finding.problem
        self.kinds_of_findings[kind] += 1
        if len(self.findings) < MAX_FINDINGS and self.kinds_of_findings[kind] <= MAX_FINDINGS_OF_A_KIND:
            self.findings.append(finding)
        self.on_finding(finding)

    @property
    def summary(self) -> list[dict[str, Any]]:
        return [
            {"class": name, "read": each.read, "kept": each.kept, "leftOut": dict(each.left_out)}
            for name, each in self.counts.items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """The report in the form of --json."""
        return {
            "dryRun": self.dry_run,
            "account": self.account_id and str(self.account_id),
            "slug": self.slug,
            "source": self.source,
            "sha256": self.sha256,
            "replaced": self.replaced,
            "classes": self.summary,
            "findings": [each.as_dict() for each in self.findings],
            "findingsCount": self.findings_count,
        }
