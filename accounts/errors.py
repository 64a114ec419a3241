"""Errors of authentication and of rate limits (contract: platform 5.3, 5.4, 11.1)."""

from collections.abc import Mapping

from keygen_site.jsonapi.errors import DOCUMENTATION, DomainError

ABOUT_AUTHENTICATION = f"{DOCUMENTATION}/authentication/"
ABOUT_TOKENS = f"{ABOUT_AUTHENTICATION}#token-authentication"
ABOUT_LICENSES = f"{ABOUT_AUTHENTICATION}#license-authentication"


class Unauthorized(DomainError):
    """The credential is missing or invalid. The response has the header `WWW-Authenticate`."""

    status = 401
    title = "Unauthorized"
    detail = "You must be authenticated to complete the request"


class TokenMissing(Unauthorized):
    code = "TOKEN_MISSING"
    about = ABOUT_AUTHENTICATION


class TokenInvalid(Unauthorized):
    """The token is unknown, revoked, or of another account."""

    code = "TOKEN_INVALID"
    about = ABOUT_TOKENS


class TokenFormatInvalid(Unauthorized):
    code = "TOKEN_FORMAT_INVALID"
    about = ABOUT_TOKENS
    detail = "Token format is invalid (make sure that you're providing a token value, not a token's UUID identifier)"


class TokenExpired(Unauthorized):
    code = "TOKEN_EXPIRED"
    detail = "Token is expired"


class SignInRefused(Unauthorized):
    """The email and the password are invalid."""

    source = {"header": "Authorization"}


class EmailRequired(SignInRefused):
    code = "EMAIL_REQUIRED"
    detail = "email is required"


class EmailInvalid(SignInRefused):
    """No user of the account has this email."""

    code = "EMAIL_INVALID"
    detail = "email must be valid"


class PasswordNotSupported(SignInRefused):
    """The user has no password: others make their tokens."""

    code = "PASSWORD_NOT_SUPPORTED"
    detail = "password is unsupported"


class PasswordRequired(SignInRefused):
    code = "PASSWORD_REQUIRED"
    detail = "password is required"


class PasswordInvalid(SignInRefused):
    code = "PASSWORD_INVALID"
    detail = "password must be valid"


class CredentialsInvalid(SignInRefused):
    """Any of the above, without revealing which."""

    code = "CREDENTIALS_INVALID"
    detail = "email and password must be valid"


class AccessDenied(DomainError):
    """The credential is valid, but its bearer may do nothing at all."""

    status = 403
    title = "Access denied"


class UserBanned(AccessDenied):
    """The bearer of the token, or the owner of the license that is, is banned."""

    code = "USER_BANNED"
    detail = "User is banned"


class TooManyRequests(DomainError):
    """The client exceeded a rate limit. The headers say which, and when to try again."""

    status = 429
    title = "Too many requests"
    detail = "Throttle limit has been reached for your IP address. Please slow down."
    code = "TOO_MANY_REQUESTS"
    early = True

    def __init__(self, headers: Mapping[str, str], *, seconds: int) -> None:
        super().__init__()
        self.headers = {**headers, "Retry-After": str(seconds)}
