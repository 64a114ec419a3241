"""What lets somebody choose a new password who has forgotten the old one."""

from datetime import timedelta

from django.core import signing
from django.utils.crypto import constant_time_compare, salted_hmac

from accounts.errors import Unauthorized

LIFETIME = timedelta(hours=24)
_SALT = "accounts.passwords"


class ResetTokenExpired(Unauthorized):
    detail = "is expired"
    source = {"pointer": "/meta/passwordResetToken"}


class OldPasswordInvalid(Unauthorized):
    detail = "is not valid"
    source = {"pointer": "/meta/oldPassword"}


def reset_token(user):
    """A text that proves, for a while and once, that whoever has it reads the user's mail. It is stored nowhere."""
    return signing.dumps({"user": str(user.pk), "now": _state(user)}, salt=_SALT)


def is_reset_token(token, user):
    """Whether a text is a reset token of a user who still has the password of then.

    Raises:
        ResetTokenExpired: it was, too long ago.
    """
    try:
        said = signing.loads(token, salt=_SALT, max_age=LIFETIME)
    except signing.SignatureExpired:
        raise ResetTokenExpired from None
    except signing.BadSignature:
        return False
    return said["user"] == str(user.pk) and constant_time_compare(said["now"], _state(user))


def _state(user):
    """What changes with the password or the address, and tells neither."""
    return salted_hmac(_SALT, f"{user.password} {user.email}", algorithm="sha256").hexdigest()[:32]
