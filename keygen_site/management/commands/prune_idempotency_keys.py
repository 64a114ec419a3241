from datetime import timedelta

from django.core.management.base import BaseCommand
from django.utils import timezone

from keygen_site.models import IdempotentResponse

BATCH = 5_000
LEAST_HOURS = 24


class Command(BaseCommand):
    """Forgets the answers to requests with an Idempotency-Key that are older than a day; run it from time to time."""

    help = __doc__

    def add_arguments(self, parser):
        parser.add_argument("--hours", type=int, default=LEAST_HOURS, help="how long they are kept, 24 at least")

    def handle(self, *, hours, **options):
        old = IdempotentResponse.objects.filter(created__lt=timezone.now() - timedelta(hours=max(hours, LEAST_HOURS)))
        pruned = 0
        while True:
            batch = list(old.values_list("pk", flat=True)[:BATCH])
            if not batch:
                break
            IdempotentResponse.objects.filter(pk__in=batch).delete()
            pruned += len(batch)
        self.stderr.write(f"{pruned} answers forgotten")
