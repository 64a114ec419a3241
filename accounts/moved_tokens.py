"""Tokens that moved in from keygen-api, and still have the digest that they had there (contract: moving).

At its first use a moved token gets our own digest. So it costs further statements once, and other tokens none.
"""

import hashlib
import hmac
import re

from accounts.models import Account, Token, TokenKeys
from accounts.models.tokens import find_token_with_digest
from keygen_site.db.fields import digest

# Of keygen-api: the prefix is that of the bearer's role, as ours.
_FORM = re.compile(r"[a-z]+-[0-9a-f]+v[23]")


def digest_with_keys(keys: TokenKeys, text: str) -> bytes:
    """The digest of a token in our column, with the keys that its account had in keygen-api.

    Args:
        text: of the token; it ends with `v2` or `v3`.
    """
    if text.endswith("v3"):
        return hmac.digest(keys.secret_key.encode(), text.encode(), "sha256")
    return shorten_digest(hmac.digest(keys.private_key.encode(), text.encode(), "sha512"))


def shorten_digest(long_digest: bytes) -> bytes:
    """The 32 bytes that the column has of a digest of 64 bytes, which a token of `v2` has in keygen-api."""
    return hashlib.sha256(long_digest).digest()


def find_moved_token(account: Account, text: str) -> Token | None:
    """Look up a moved token that was not used here yet, as `find_token()` does, and give it our own digest."""
    if not account.has_moved_tokens or not _FORM.fullmatch(text):
        return None
    moved_digest = digest_with_keys(TokenKeys.objects.get(account=account), text)
    token = find_token_with_digest(moved_digest)
    if token is None or token.account_id != account.pk:
        return None
    # Of two concurrent requests both succeed: the digest is the same.
    Token.objects.filter(pk=token.pk, digest=moved_digest).update(digest=digest(text))
    return token
