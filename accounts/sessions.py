"""Sessions in the console."""

from django.contrib.sessions.models import Session
from django.db import transaction
from django.utils import timezone

MAX_DELETED_SESSIONS = 100  # by one sign-in, so that none takes long


def delete_expired_sessions() -> None:
    """Delete a few expired sessions, the oldest first.

    Each sign-in calls it. A sign-in makes one session, so the table does not grow.
    """
    with transaction.atomic():
        expired = Session.objects.filter(expire_date__lt=timezone.now()).order_by("expire_date")
        # Those that another sign-in is deleting are skipped.
        keys = expired.select_for_update(skip_locked=True).values_list("pk", flat=True)[:MAX_DELETED_SESSIONS]
        Session.objects.filter(pk__in=list(keys)).delete()
