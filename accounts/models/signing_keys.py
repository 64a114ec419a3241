"""The private keys that an account signs with."""

from uuid import UUID

from django.db import models

from accounts.models.accounts import Account
from accounts.signing import algorithms
from keygen_site.encryption import EncryptedTextField
from keygen_site.models import Resource


class SigningKeyManager(models.Manager["SigningKey"]):
    def get_or_generate(self, account_id: UUID | str, kind: str) -> "SigningKey":
        """The key of an account, generated at the first use. If two are generated concurrently, the first counts."""
        key = self.filter(account_id=account_id, kind=kind).first()
        if key is None:
            private = algorithms.generate_private_key(kind)
            key, _ = self.get_or_create(account_id=account_id, kind=kind, defaults={"private": private})
        return key


class SigningKey(Resource):
    """A private key of an account, which signs responses and license files. Only its public half is ever shown."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="signing_keys", editable=False)
    kind = models.CharField(max_length=16, choices=[(kind, kind) for kind in algorithms.KEY_KINDS], editable=False)
    private = EncryptedTextField(purpose="signing key", editable=False)

    objects = SigningKeyManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "kind"], name="accounts_signingkey_one_of_a_kind"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.account_id}"

    @property
    def public(self) -> str:
        """The public half, as the API shows it."""
        return algorithms.serialize_public_key(self.kind, self.private)
