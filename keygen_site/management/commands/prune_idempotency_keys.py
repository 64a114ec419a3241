from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction
from django.utils import timezone

from keygen_site.jsonapi.idempotency import RESPONSE_LIFETIME
from keygen_site.management.project_command import ProjectCommand
from keygen_site.models import IdempotentResponse
from keygen_site.wording import count_of, was

BATCH = 5_000


class Command(ProjectCommand):
    """Deletes responses stored under an Idempotency-Key that are more than a day old. New ones do so too."""

    examples = (
        "",
        "--hours 48",
    )
    pruned = 0

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--hours", type=int, default=24, help="how long stored responses are kept: 24 hours or more"
        )

    def handle(self, *, hours: int, **options: Any) -> None:
        before = timezone.now() - max(timedelta(hours=hours), RESPONSE_LIFETIME)
        while batch := self._prune(before):
            self.pruned += batch
        self.report(self.describe_pruned(), {"deleted": self.pruned})

    def describe_pruned(self) -> str:
        return f"{count_of(self.pruned, 'stored response')} {was(self.pruned)} deleted."

    def describe_interruption(self) -> str:
        return self.describe_pruned()

    @transaction.atomic
    def _prune(self, before: datetime) -> int:
        return IdempotentResponse.objects.prune(before, BATCH)
