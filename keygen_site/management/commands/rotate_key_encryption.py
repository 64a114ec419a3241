from typing import Any

from django.core.management.base import CommandError, CommandParser

from keygen_site.db.key_digests import KeyEncryptionError
from keygen_site.encryption import DecryptionError, keyring
from keygen_site.key_rotation import Rotation, count_other_values, rotate_values
from keygen_site.management.project_command import ProjectCommand
from keygen_site.wording import count_of

DEFAULT_BATCH = 500


class Command(ProjectCommand):
    """Encrypts all secrets in the database with the first key of KEY_ENCRYPTION_KEYS, while the server runs.

    Run it after you have set KEY_ENCRYPTION_KEYS, put a new key first, or put `off` first to store the secrets in clear
    again. An interrupted run can be repeated.
    """

    examples = (
        "--dry-run",
        "",
        "--batch 100 --json",
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=DEFAULT_BATCH, help=f"values in a transaction ({DEFAULT_BATCH})"
        )
        parser.add_argument("--dry-run", action="store_true", help="count the values that would change")

    def handle(self, *, batch: int, dry_run: bool, **options: Any) -> None:
        if batch < 1:
            raise CommandError("--batch must be at least 1.", returncode=2)
        try:
            if dry_run:
                self._report_counts(count_other_values())
            else:
                self._report(rotate_values(batch, self._report_progress))
        except (DecryptionError, KeyEncryptionError) as error:
            raise CommandError(str(error)) from None

    def _report_progress(self, column: str, count: int) -> None:
        self.note(f"{column}: {count:,}")

    def describe_interruption(self) -> str:
        return "values that were changed so far stay changed. Run the command again for the others."

    def _report_counts(self, counts: dict[str, int]) -> None:
        current = keyring().current
        state = f"are not encrypted with the key {current}" if current else "are encrypted"
        lines = [f"{column}: {count:,}" for column, count in counts.items()]
        lines.append(f"Values that {state}: {sum(counts.values()):,}")
        self.report("\n".join(lines), {"current": current, "wouldChange": counts})

    def _report(self, rotation: Rotation) -> None:
        current = keyring().current
        state = f"Encrypted with the key {current}" if current else "Stored in clear"
        lines = [f"{state}: {count_of(sum(rotation.changed.values()), 'value')}."]
        lines += [
            f"The key {key_id} is no longer used. Restart all servers, run this command with --dry-run, and remove the "
            "key from KEY_ENCRYPTION_KEYS when it counts 0. Keep it for old backups."
            for key_id in filter(None, rotation.retired)
        ]
        if rotation.changed:
            lines.append("The old values stay in free space of the database until VACUUM FULL.")
        self.report("\n".join(lines), {"current": current, **rotation._asdict()})
        if rotation.left:
            raise CommandError(
                f"Other transactions have locked {count_of(rotation.left, 'value')}: run the command again."
            )
