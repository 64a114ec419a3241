"""The type of a request of the API."""

from typing import TYPE_CHECKING, Any

from rest_framework.request import Request


class APIRequest(Request):
    """A request of DRF, with the attributes that the pipeline and the middleware add to it.

    Attributes:
        id: of the request, as in the header X-Request-Id.
        account: the account that the URL names; None for a sign-up.
        user: the bearer, or None in an anonymous action.
        auth: the token, or the user who signed in by password, or None.
        version: the API version of the response. A request that is refused before has none.
        credential: the credential that was sent, or None.
        found_token: the token of that credential, before it is checked.
        found_session: the session of that credential, before it is checked.
        session_cookie: the value and the expiry of the session cookie that the response sets, or None.
        ends_session: whether the response clears the session cookie.
        refused_token: that token, if it does not authenticate.
        rate_limit: the state of the tightest rate limit; None without limits.
        authorized: whether permissions have been checked.
    """

    if TYPE_CHECKING:
        id: str
        account: Any
        user: Any
        auth: Any
        version: str
        credential: Any
        found_token: Any
        found_session: Any
        session_cookie: Any
        ends_session: bool
        refused_token: Any
        rate_limit: Any
        authorized: bool
