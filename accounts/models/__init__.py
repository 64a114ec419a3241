from accounts.models.accounts import Account
from accounts.models.rate_limits import RateLimitCounter
from accounts.models.second_factors import RecoveryCode, SecondFactor
from accounts.models.signing_keys import SigningKey
from accounts.models.tokens import Token, find_token
from accounts.models.users import User

__all__ = [
    "Account",
    "RateLimitCounter",
    "RecoveryCode",
    "SecondFactor",
    "SigningKey",
    "Token",
    "User",
    "find_token",
]
