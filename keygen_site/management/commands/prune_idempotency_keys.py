from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import transaction
from django.utils import timezone

from keygen_site.jsonapi.idempotency import RESPONSE_LIFETIME
from keygen_site.models import IdempotentResponse

BATCH = 5_000


class Command(BaseCommand):
    """Deletes responses stored under an Idempotency-Key that are more than a day old. New ones do so too."""

    help = __doc__

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hours", type=int, default=24, help="how long stored responses are kept: 24 hours or more"
        )

    def handle(self, *, hours: int, **options: Any) -> None:
        before = timezone.now() - max(timedelta(hours=hours), RESPONSE_LIFETIME)
        pruned = 0
        while batch := self._prune(before):
            pruned += batch
        self.stderr.write(f"Stored responses deleted: {pruned}")

    @transaction.atomic
    def _prune(self, before: datetime) -> int:
        return IdempotentResponse.objects.prune(before, BATCH)
