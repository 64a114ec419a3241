"""What happens to keys across models. Each act writes its line of the ledger, in the same transaction."""

from django.db import transaction

from pools.models import KeyEvent


@transaction.atomic
def delete_key(key, origin):
    """Delete a waiting key for good. Its text becomes free again: nobody ever got it."""
    KeyEvent.about(KeyEvent.Event.DELETED, key, origin).save()
    key.delete()
