"""The owner of an import form, so that a pasted text survives the end of a session.

A session may end while its operator pastes keys, and a sign-in in another window changes the CSRF token of all open
forms. The form of an import therefore names its operator in a signed text. Only the receiver of the form knows that
text, so it replaces the CSRF token. Without a session it permits one thing only: to store the text or files for that
operator, who can see and import them after a sign-in.

The signature ends with the sessions of the operator: a new password or email, a ban, or "sign out everywhere".
"""

from datetime import timedelta

from django.core import signing

from accounts.models import User
from keygen_site.db.uuids import parse_uuid

FORM_LIFETIME = timedelta(hours=24)
_SALT = "pools.admin.form_owners"


def sign_form(operator: User) -> str:
    """The text by which `find_form_owner` finds the operator for whom a form was made."""
    return _signer(operator).sign(str(operator.pk))


def find_form_owner(text: str) -> User | None:
    """The operator for whom a form was made within FORM_LIFETIME, if they may still import. Else None."""
    pk = parse_uuid(text.partition(":")[0])
    operator = User.objects.select_related("account").filter(pk=pk).first() if pk else None
    if operator is None or not operator.may_use_console or not operator.has_perm("pools.add_keyimport"):
        return None
    try:
        _signer(operator).unsign(text, max_age=FORM_LIFETIME)
    except signing.BadSignature:
        return None
    return operator


def _signer(operator: User) -> signing.TimestampSigner:
    return signing.TimestampSigner(salt=f"{_SALT} {operator.get_session_auth_hash()}")
