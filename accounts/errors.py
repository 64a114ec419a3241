"""What is said to those who are not let in (contract: platform 5.3, 5.4, 11.1)."""

from keygen_site.jsonapi.errors import DOCUMENTATION, DomainError

ABOUT_AUTHENTICATION = f"{DOCUMENTATION}/authentication/"
ABOUT_TOKENS = f"{ABOUT_AUTHENTICATION}#token-authentication"
ABOUT_LICENSES = f"{ABOUT_AUTHENTICATION}#license-authentication"


class Unauthorized(DomainError):
    """A credential that is missing or no good; the header `WWW-Authenticate` comes with the answer."""

    status = 401
    title = "Unauthorized"
    detail = "You must be authenticated to complete the request"


class TokenMissing(Unauthorized):
    code = "TOKEN_MISSING"
    about = ABOUT_AUTHENTICATION


class TokenInvalid(Unauthorized):
    """Unknown, revoked, or of another account."""

    code = "TOKEN_INVALID"
    about = ABOUT_TOKENS


class TokenFormatInvalid(Unauthorized):
    code = "TOKEN_FORMAT_INVALID"
    about = ABOUT_TOKENS
    detail = "Token format is invalid (make sure that you're providing a token value, not a token's UUID identifier)"


class TokenExpired(Unauthorized):
    code = "TOKEN_EXPIRED"
    detail = "Token is expired"


class LicenseInvalid(Unauthorized):
    """No license of the account has this key."""

    code = "LICENSE_INVALID"
    about = ABOUT_LICENSES


class SignInRefused(Unauthorized):
    """An e-mail and password that are no good."""

    source = {"header": "Authorization"}


class EmailRequired(SignInRefused):
    code = "EMAIL_REQUIRED"
    detail = "email is required"


class EmailInvalid(SignInRefused):
    """Nobody in the account has it."""

    code = "EMAIL_INVALID"
    detail = "email must be valid"


class PasswordNotSupported(SignInRefused):
    """The user has none: somebody else gives them their tokens."""

    code = "PASSWORD_NOT_SUPPORTED"
    detail = "password is unsupported"


class PasswordRequired(SignInRefused):
    code = "PASSWORD_REQUIRED"
    detail = "password is required"


class PasswordInvalid(SignInRefused):
    code = "PASSWORD_INVALID"
    detail = "password must be valid"


class CredentialsInvalid(SignInRefused):
    """Any of the above, without telling which."""

    code = "CREDENTIALS_INVALID"
    detail = "email and password must be valid"


class AccessDenied(DomainError):
    """A good credential, of somebody who may do nothing at all."""

    status = 403
    title = "Access denied"


class UserBanned(AccessDenied):
    """The user, or the owner of the license, that a token speaks for."""

    code = "USER_BANNED"
    detail = "User is banned"


class TokenNotAllowed(AccessDenied):
    code = "TOKEN_NOT_ALLOWED"
    detail = "Token authentication is not allowed by policy"
    about = ABOUT_TOKENS


class LicenseBanned(AccessDenied):
    """Its owner is."""

    code = "LICENSE_BANNED"
    detail = "License is banned"


class LicenseSuspended(AccessDenied):
    code = "LICENSE_SUSPENDED"
    detail = "License is suspended"


class LicenseExpired(AccessDenied):
    code = "LICENSE_EXPIRED"
    detail = "License is expired"


class LicenseNotAllowed(AccessDenied):
    code = "LICENSE_NOT_ALLOWED"
    detail = "License key authentication is not allowed by policy"
    about = ABOUT_LICENSES


class TooManyRequests(DomainError):
    """Somebody tries too often; the headers say what, and when it makes sense to try again."""

    status = 429
    title = "Too many requests"
    detail = "Throttle limit has been reached for your IP address. Please slow down."
    code = "TOO_MANY_REQUESTS"
    early = True

    def __init__(self, headers, *, seconds):
        super().__init__()
        self.headers = {**headers, "Retry-After": str(seconds)}
