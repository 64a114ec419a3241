from django.db import models
from django.utils import timezone

from keygen_site.db.fields import digest


class UsedTextQuerySet(models.QuerySet):
    def of(self, account_id, text):
        """The row of a text of an account, if there is one."""
        return self.filter(account_id=account_id, digest=digest(text))


class UsedText(models.Model):
    """A key text that may have reached a person and whose key or license row is gone.

    It never enters a pool of its account again. Triggers of the database write these rows (`pools.triggers`), so
    that no way of deleting a key or a license goes past them. Nothing deletes them.
    """

    class Kind(models.TextChoices):
        """Which row the text was in. It only ever changes from LICENSE to KEY, which blocks more."""

        KEY = "key"  # blocks pools and licenses
        # Blocks pools only: clients delete a license and make it again with the same explicit key.
        LICENSE = "license"

    # Not a foreign key: when an account is deleted, the triggers write these rows after its own cascade has looked for
    # them, and a constraint would then refuse the deletion.
    account_id = models.UUIDField()
    digest = models.BinaryField(max_length=32)
    kind = models.CharField(max_length=8, choices=Kind)
    created = models.DateTimeField(default=timezone.now)

    objects = UsedTextQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["account_id", "digest"], name="pools_usedtext_unique"),
        ]
        indexes = [
            # For an import that asks which licenses were deleted while it ran; deleting keys pays nothing for it.
            models.Index(
                fields=["account_id", "created"], name="pools_usedtext_licenses", condition=models.Q(kind="license")
            ),
        ]

    def __str__(self):
        return f"text of a {self.kind}"
