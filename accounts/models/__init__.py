from accounts.models.accounts import Account
from accounts.models.rate_limits import RateLimitCounter
from accounts.models.signing_keys import SigningKey
from accounts.models.tokens import Token, find_token
from accounts.models.users import User

__all__ = ["Account", "RateLimitCounter", "SigningKey", "Token", "User", "find_token"]
