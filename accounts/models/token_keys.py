"""The keys of the digests of tokens that moved in from keygen-api."""

from django.db import models

from accounts.models.accounts import Account
from keygen_site.encryption import EncryptedTextField
from keygen_site.models import Resource


class TokenKeys(Resource):
    """The keys with which keygen-api digested the tokens of an account (contract: moving).

    Attributes:
        secret_key: of tokens that end with `v3`. The key is this text, not the bytes that its digits spell.
        private_key: of tokens that end with `v2`: the PEM of the RSA key that the account moved in with.
    """

    account = models.OneToOneField(Account, models.CASCADE, related_name="token_keys", editable=False)
    secret_key = EncryptedTextField(purpose="secret key of an account", editable=False)
    private_key = EncryptedTextField(purpose="key of old tokens", editable=False)

    in_activity = False

    class Meta:
        verbose_name = "keys of moved tokens"
        verbose_name_plural = "keys of moved tokens"

    def __str__(self) -> str:
        return f"keys of the tokens of {self.account_id}"
