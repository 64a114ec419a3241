import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from keygen_site.db.key_digests import KeyEncryptionError
from keygen_site.encryption import DecryptionError, keyring
from keygen_site.key_rotation import Rotation, count_other_values, rotate_values

DEFAULT_BATCH = 500


class Command(BaseCommand):
    """Encrypts all secrets in the database with the first key of KEY_ENCRYPTION_KEYS, while the server runs.

    Run it after you have set KEY_ENCRYPTION_KEYS, put a new key first, or put `off` first to store the secrets in clear
    again. An interrupted run can be repeated.
    """

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--batch", type=int, default=DEFAULT_BATCH, help=f"values in a transaction ({DEFAULT_BATCH})"
        )
        parser.add_argument("--dry-run", action="store_true", help="count the values that would change")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")

    def handle(self, *, batch: int, dry_run: bool, **options: Any) -> None:
        if batch < 1:
            raise CommandError("--batch must be at least 1.", returncode=2)
        try:
            if dry_run:
                self._report_counts(count_other_values(), options["json"])
            else:
                self._report(rotate_values(batch, self._report_progress), options["json"])
        except (DecryptionError, KeyEncryptionError) as error:
            raise CommandError(str(error)) from None

    def _report_progress(self, column: str, count: int) -> None:
        self.stderr.write(f"{column}: {count:,}")

    def _report_counts(self, counts: dict[str, int], as_json: bool) -> None:
        current = keyring().current
        if as_json:
            self.stdout.write(json.dumps({"current": current, "would_change": counts}))
            return
        for column, count in counts.items():
            self.stdout.write(f"{column}: {count:,}")
        state = f"are not encrypted with the key {current}" if current else "are encrypted"
        self.stdout.write(f"Values that {state}: {sum(counts.values()):,}")

    def _report(self, rotation: Rotation, as_json: bool) -> None:
        current = keyring().current
        if as_json:
            self.stdout.write(json.dumps({"current": current, **rotation._asdict()}))
        else:
            state = f"Encrypted with the key {current}" if current else "Stored in clear"
            self.stdout.write(f"{state}: {sum(rotation.changed.values()):,} values.")
            for key_id in filter(None, rotation.retired):
                self.stdout.write(
                    f"The key {key_id} is no longer used. Restart all servers, run this command with --dry-run, and "
                    "remove the key from KEY_ENCRYPTION_KEYS when it counts 0. Keep it for old backups."
                )
            if rotation.changed:
                self.stdout.write("The old values stay in free space of the database until VACUUM FULL.")
        if rotation.left:
            raise CommandError(f"Other transactions have locked {rotation.left:,} values: run the command again.")
