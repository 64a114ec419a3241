from accounts.models.accounts import Account
from accounts.models.signing import SigningKey
from accounts.models.throttles import Attempts
from accounts.models.tokens import Token, find_token
from accounts.models.users import User

__all__ = ["Account", "Attempts", "SigningKey", "Token", "User", "find_token"]
