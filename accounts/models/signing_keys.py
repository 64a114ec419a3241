"""The keys that an account signs with."""

from django.db import models

from accounts.models.accounts import Account
from accounts.signing import algorithms
from keygen_site.models import Resource


class SigningKeyManager(models.Manager):
    def of(self, account_id, kind):
        """The key of an account, made when it is first needed; where two make it at once, the first one counts."""
        key = self.filter(account=account_id, kind=kind).first()
        if key is None:
            private = algorithms.generate(kind)
            key, _ = self.get_or_create(account_id=account_id, kind=kind, defaults={"private": private})
        return key


class SigningKey(Resource):
    """A private key of an account. It signs answers, and is shown to nobody; its public half is."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="signing_keys", editable=False)
    kind = models.CharField(max_length=16, choices=[(kind, kind) for kind in algorithms.KINDS], editable=False)
    private = models.TextField(editable=False)

    objects = SigningKeyManager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["account", "kind"], name="accounts_signingkey_one_of_a_kind"),
        ]

    def __str__(self):
        return f"{self.kind} of {self.account_id}"

    @property
    def public(self):
        """The public half, as the wire shows it."""
        return algorithms.public_text(self.kind, self.private)
