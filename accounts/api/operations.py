"""What the actions of accounts, users and tokens take and give: see `keygen_site.jsonapi.operations`."""

from accounts.api.serializers.accounts import NEW_ACCOUNT
from accounts.api.serializers.tokens import OF_BEARER, SIGN_IN
from keygen_site.jsonapi.operations import Operation
from keygen_site.jsonapi.request_documents import Member

_TEXT = Member("string", required=True)
_TOKEN_ONCE = "The text of the token is in this answer only."
_OF_BEARER = ("users", "products", "licenses")


def _meta(**members):
    return {"meta": Member(required=True, members=members)}


NEW_ACCOUNTS = {
    "create": Operation(
        "Make an account, its admins with it",
        "Where the operator of the server lets people sign up (`SIGN_UP`), and nobody needs a credential.",
        takes=NEW_ACCOUNT,
        gives="accounts",
        status=201,
    ),
}

OWN_ACCOUNT = {
    "destroy": Operation("Delete the account", "Refused for everybody: only the server's operator may.", status=None),
}

ME = {
    "me": Operation("Show whom the credential speaks for", gives=_OF_BEARER, included="tokens"),
    "profile": Operation(
        "Show whom the credential speaks for, and the id of the token",
        gives=_OF_BEARER,
        meta={"token_id": Member("uuid", required=True, nullable=True)},
    ),
}

TOKENS = {
    "create": Operation(
        "Make a token; sign in by e-mail and password",
        f"With an e-mail and a password in Basic, a token for that user. {_TOKEN_ONCE}",
        takes=SIGN_IN,
        gives="tokens",
        status=201,
    ),
    "regenerate": Operation("Give a token a new text", f"The old one is void at once. {_TOKEN_ONCE}", gives="tokens"),
    "regenerate_current": Operation("Give the token in use a new text", _TOKEN_ONCE, gives="tokens"),
}

BEARER_TOKENS = {
    "create": Operation("Make a token that speaks for it", _TOKEN_ONCE, takes=OF_BEARER, gives="tokens"),
}

USERS = {
    "ban": Operation("Ban a user", gives="users"),
    "unban": Operation("Lift the ban of a user", gives="users"),
    "update_password": Operation(
        "Change one's own password",
        "Whoever does revokes all their tokens but the one in use.",
        takes=_meta(old_password=_TEXT, new_password=_TEXT),
        gives="users",
    ),
    "reset_password": Operation(
        "Set a password that was forgotten",
        "By the token in the mail; nobody needs a credential.",
        takes=_meta(password_reset_token=_TEXT, new_password=_TEXT),
        gives="users",
    ),
}

PASSWORDS = {
    "create": Operation(
        "Have a mail sent to somebody who forgot their password",
        "The answer is the same whether or not there is such a user.",
        takes=_meta(email=_TEXT, deliver=Member("boolean")),
        status=204,
    ),
}
