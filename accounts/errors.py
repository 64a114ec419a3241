"""Errors of authentication and of rate limits (contract: platform 5.3, 5.4, 11.1)."""

from collections.abc import Mapping

from keygen_site.jsonapi.errors import DOCUMENTATION, REFERENCE, DomainError

ABOUT_AUTHENTICATION = f"{DOCUMENTATION}/authentication/"
ABOUT_TOKENS = f"{ABOUT_AUTHENTICATION}#token-authentication"
ABOUT_LICENSES = f"{ABOUT_AUTHENTICATION}#license-authentication"


class Unauthorized(DomainError):
    """The credential is missing or invalid. The response has the header `WWW-Authenticate`."""

    status = 401
    title = "Unauthorized"
    detail = "You must be authenticated to complete the request"


class TokenMissing(Unauthorized):
    """The request has no credential."""

    code = "TOKEN_MISSING"
    about = ABOUT_AUTHENTICATION


class TokenInvalid(Unauthorized):
    """The token is unknown, revoked, or of another account."""

    code = "TOKEN_INVALID"
    about = ABOUT_TOKENS


class TokenFormatInvalid(Unauthorized):
    """The credential is the id of a token instead of its text."""

    code = "TOKEN_FORMAT_INVALID"
    about = ABOUT_TOKENS
    detail = "Token format is invalid (make sure that you're providing a token value, not a token's UUID identifier)"


class TokenExpired(Unauthorized):
    """The token has expired."""

    code = "TOKEN_EXPIRED"
    detail = "Token is expired"


class SessionInvalid(Unauthorized):
    """The session of the cookie is unknown, has ended, or is of another account."""

    code = "SESSION_INVALID"


class SessionExpired(Unauthorized):
    """The session of the cookie has expired, or its token has."""

    code = "SESSION_EXPIRED"
    detail = "Session is expired"


class SignInRefused(Unauthorized):
    """The email and the password are invalid."""

    source = {"header": "Authorization"}


class EmailRequired(SignInRefused):
    """The sign-in has no email."""

    code = "EMAIL_REQUIRED"
    detail = "email is required"


class EmailInvalid(SignInRefused):
    """No user of the account has this email."""

    code = "EMAIL_INVALID"
    detail = "email must be valid"


class PasswordNotSupported(SignInRefused):
    """The user has no password and cannot sign in."""

    code = "PASSWORD_NOT_SUPPORTED"
    detail = "password is unsupported"


class PasswordRequired(SignInRefused):
    """The sign-in has no password."""

    code = "PASSWORD_REQUIRED"
    detail = "password is required"


class PasswordInvalid(SignInRefused):
    """The password is wrong."""

    code = "PASSWORD_INVALID"
    detail = "password must be valid"


class CredentialsInvalid(SignInRefused):
    """The email or the password of a sign-in is wrong. The response does not reveal which."""

    code = "CREDENTIALS_INVALID"
    detail = "email and password must be valid"


class CodeRequired(Unauthorized):
    """The user has a second factor, and the sign-in has no code of it (contract: security 1.6)."""

    code = "OTP_REQUIRED"
    detail = "second factor is required"
    source = {"pointer": "/meta/otp"}


class CodeInvalid(Unauthorized):
    """The code of the second factor is wrong, or was used before."""

    code = "OTP_INVALID"
    detail = "second factor must be valid"
    source = {"pointer": "/meta/otp"}


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
    about = REFERENCE
    early = True

    def __init__(self, headers: Mapping[str, str], *, seconds: int) -> None:
        super().__init__()
        self.headers = {**headers, "Retry-After": str(seconds)}


class LinkInvalid(DomainError):
    """A link of a mail was used, has expired, was revoked or replaced, or never was one."""

    status = 410
    detail = "This link no longer works."
