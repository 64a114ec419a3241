"""The private keys that an account signs with."""

from uuid import UUID

from django.db import models, transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models.accounts import Account
from accounts.signing import algorithms
from keygen_site.encryption import EncryptedTextField
from keygen_site.models import Resource


class SigningKeyManager(models.Manager["SigningKey"]):
    def get_or_generate(self, account_id: UUID | str, kind: str) -> "SigningKey":
        """The key that an account signs with, generated at the first use.

        If two are generated concurrently, the first counts.
        """
        key = self.filter(account_id=account_id, kind=kind, retired=None).first()
        if key is None:
            private = algorithms.generate_private_key(kind)
            key, _ = self.get_or_create(account_id=account_id, kind=kind, retired=None, defaults={"private": private})
        return key

    def published(self, account_id: UUID | str) -> tuple[dict[str, "SigningKey"], list["SigningKey"]]:
        """The keys of an account whose public halves are published: those in use by kind, and the retired ones."""
        keys = list(self.filter(account_id=account_id))
        found = {key.kind: key for key in keys if key.retired is None}
        in_use = {kind: found.get(kind) or self.get_or_generate(account_id, kind) for kind in algorithms.KEY_KINDS}
        return in_use, [key for key in keys if key.retired is not None]

    @transaction.atomic
    def rotate(self, account: Account, *kinds: str) -> list["SigningKey"]:
        """Replace keys that an account signs with, and return the new ones. The old public halves stay published.

        All processes sign with the new keys from their next request on: they cache keys by
        `Account.signing_key_version`, which each request reads.
        """
        private = {kind: algorithms.generate_private_key(kind) for kind in kinds}
        # The update locks the account: of two rotations, the second one replaces the keys of the first.
        Account.objects.filter(pk=account.pk).update(signing_key_version=F("signing_key_version") + 1)
        account.refresh_from_db(fields=["signing_key_version"])
        for key in self.select_for_update().filter(account=account, kind__in=kinds, retired=None):
            key.retire()
        return [
            self.get_or_create(account=account, kind=kind, retired=None, defaults={"private": private[kind]})[0]
            for kind in kinds
        ]


class SigningKey(Resource):
    """A private key of an account, which signs responses and license files. Only its public half is ever shown.

    Attributes:
        retired: when another key replaced it. A retired key signs nothing; its private half is deleted.
        retired_public: the public half of a retired key.
    """

    account = models.ForeignKey(Account, models.CASCADE, related_name="signing_keys", editable=False)
    kind = models.CharField(max_length=16, choices=[(kind, kind) for kind in algorithms.KEY_KINDS], editable=False)
    private = EncryptedTextField(purpose="signing key", editable=False)
    retired = models.DateTimeField(null=True, editable=False)
    retired_public = models.TextField(default="", db_default="", editable=False)

    objects = SigningKeyManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["account", "kind"], condition=Q(retired=None), name="accounts_signingkey_one_in_use"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account_id}"

    @property
    def public(self) -> str:
        """The public half, as the API shows it."""
        return self.retired_public or algorithms.serialize_public_key(self.kind, self.private)

    def retire(self) -> None:
        """Delete the private half."""
        self.retired, self.retired_public, self.private = timezone.now(), self.public, ""
        self.save(update_fields=["retired", "retired_public", "private", "updated"])
