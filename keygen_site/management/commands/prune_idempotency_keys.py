from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone

from keygen_site.models import IdempotentResponse

BATCH = 5_000
MIN_HOURS = 24


class Command(BaseCommand):
    """Deletes responses stored under an Idempotency-Key that are more than a day old. Run it daily."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hours", type=int, default=MIN_HOURS, help="how long stored responses are kept: 24 hours or more"
        )

    def handle(self, *, hours: int, **options: Any) -> None:
        old = IdempotentResponse.objects.filter(created__lt=timezone.now() - timedelta(hours=max(hours, MIN_HOURS)))
        pruned = 0
        while True:
            batch = list(old.values_list("pk", flat=True)[:BATCH])
            if not batch:
                break
            IdempotentResponse.objects.filter(pk__in=batch).delete()
            pruned += len(batch)
        self.stderr.write(f"Stored responses deleted: {pruned}")
