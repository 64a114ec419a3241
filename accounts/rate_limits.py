"""Rate limits of sign-ins, password changes, guesses, sign-ups, mail and requests (contract: platform 11.1).

Each limit counts by several facts of a caller. One that counts by a text of the client's choice, such as an email, is
always hit after one that counts by IP address: so the number of counters that a client can create is limited too.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone
from django.utils.crypto import salted_hmac

from accounts.errors import TooManyRequests
from accounts.models import RateLimitCounter
from keygen_site.jsonapi import codec


@dataclass(frozen=True)
class RateLimitState:
    """The state of a rate limit for one caller.

    Attributes:
        window: the name of the limit.
        count, limit: the attempts so far, and how many are allowed.
        until: the end of the window.
    """

    window: str
    count: int
    limit: int
    until: datetime

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.count)

    @property
    def headers(self) -> dict[str, str]:
        """The response headers (contract: platform 3.3, 11.1)."""
        return {
            "X-RateLimit-Window": self.window,
            "X-RateLimit-Count": str(self.count),
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(self.until.timestamp())),
        }


@dataclass(frozen=True)
class RateLimit:
    """A number of attempts that a caller has in a window of time, which begins with the first one.

    Attributes:
        window: the name of the limit, as in the header `X-RateLimit-Window`.
        attempts: how many are allowed.
        period: the length of the window.
    """

    window: str
    attempts: int
    period: timedelta

    def hit(self, *caller: object) -> RateLimitState:
        """Count an attempt of a caller, identified by e.g. an account, an IP address and an email.

        Not in a transaction that the refusal of the attempt rolls back: the attempt would not count.

        Raises:
            TooManyRequests: the attempt exceeds the limit.
        """
        row = RateLimitCounter.objects.hit(self._digest(caller), self.period)
        state = RateLimitState(self.window, row.number, self.attempts, row.until)
        if state.count > state.limit:
            seconds = (state.until - timezone.now()).total_seconds()
            raise TooManyRequests(state.headers, seconds=max(1, math.ceil(seconds)))
        return state

    def permits(self, *caller: object) -> bool:
        """Count an attempt, and return whether it is within the limit."""
        try:
            self.hit(*caller)
        except TooManyRequests:
            return False
        return True

    def refuse_if_spent(self, *caller: object) -> None:
        """Refuse a caller who has no attempt left, and count nothing otherwise.

        Raises:
            TooManyRequests: as `hit()` does.
        """
        if RateLimitCounter.objects.running(self._digest(caller)).filter(number__gte=self.attempts).exists():
            self.hit(*caller)

    def refund(self, *caller: object) -> None:
        """Subtract an attempt, one that succeeded."""
        RateLimitCounter.objects.refund(self._digest(caller))

    def _digest(self, caller: tuple[object, ...]) -> bytes:
        return keyed_digest(self.window, self.attempts, self.period, *caller)


def keyed_digest(*facts: object) -> bytes:
    """A digest of facts about a caller. IP addresses and emails can be guessed, so it depends on the SECRET_KEY."""
    text = codec.dumps([str(fact) for fact in facts]).decode()
    return salted_hmac("accounts.rate_limits", text, algorithm="sha256").digest()


CONSOLE = "console"  # the scope of limits of sign-ins and resets in the console, where no account is stated
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)

# Per account, IP address and email, against guessing the password of one user.
SIGN_INS = RateLimit("auth", 5, MINUTE)
# Per account and IP address, against guessing the passwords of many users. Failures only: a whole office may share an
# IP address.
FAILED_SIGN_INS = RateLimit("auth", 5, MINUTE)
# Per account and email, against guessing from many IP addresses. Failures only: see `accounts.sign_in.count_guess`.
PASSWORD_GUESSES = RateLimit("auth", 100, HOUR)
# Per account, IP address and email.
PASSWORD_RESETS = RateLimit("rstpwd", 5, HOUR)
# Per account and IP address.
PASSWORD_RESETS_BY_IP = RateLimit("rstpwd", 30, HOUR)
# Per account, IP address and user.
PASSWORD_CHANGES = RateLimit("mutpwd", 5, timedelta(minutes=10))
SECOND_FACTOR_CHANGES = RateLimit("mutmfa", 5, timedelta(minutes=10))
# Per account and IP address, without a credential.
PASSWORD_CHANGES_BY_IP = RateLimit("mutpwd", 20, timedelta(minutes=10))
# Per account and IP address: users who sign up in an account that is not protected.
NEW_USERS = RateLimit("users", 30, HOUR)
# Per account and IP address: keys that do not exist, or that the bearer may not see.
KEY_GUESSES = RateLimit("validate", 60, MINUTE)
# Per email, over all accounts and IP addresses.
PASSWORD_RESET_MAILS = RateLimit("rstpwd mail", 20, HOUR)
# Per account and recipient: other mail. Not over all accounts: another account could keep warnings from a user.
MAILS_BY_RECIPIENT = RateLimit("mail", 20, HOUR)
# Per account: mail to its admins.
MAILS_BY_ACCOUNT = RateLimit("mail", 60, HOUR)
# Per account: mail to its customers, see also MAILS_BY_RECIPIENT.
CUSTOMER_MAILS = RateLimit("customer mail", 300, HOUR)

# Per account: invitations to its team.
INVITATIONS = RateLimit("invitations", 60, HOUR)
# Per operator: mails that test the mail server, for which a request waits.
TEST_MAILS = RateLimit("test mail", 5, timedelta(minutes=10))


def count_sign_up(ip_address: str) -> None:
    """Count the sign-up of an account, where the setting SIGN_UPS_PER_HOUR limits their number.

    Raises:
        TooManyRequests: the sign-up exceeds the limit.
    """
    if settings.SIGN_UPS_PER_HOUR:
        RateLimit("accounts", settings.SIGN_UPS_PER_HOUR, HOUR).hit(ip_address)


def count_request(*caller: object) -> RateLimitState | None:
    """Count a request of a caller, where the settings limit their number.

    Returns:
        The state of the tightest limit, for the headers of the response; None without limits.

    Raises:
        TooManyRequests: the request exceeds a limit.
    """
    states = [limit.hit(*caller) for limit in _request_limits()]
    return min(states, key=lambda state: state.remaining / state.limit, default=None)


def refuse_requests_if_spent(*caller: object) -> None:
    """Refuse a caller whom `count_request()` would refuse, and count nothing otherwise.

    Raises:
        TooManyRequests: the caller has no request left.
    """
    for limit in _request_limits():
        limit.refuse_if_spent(*caller)


def _request_limits() -> list[RateLimit]:
    limits = (
        ("1s", settings.REQUESTS_PER_SECOND, timedelta(seconds=1)),
        ("1m", settings.REQUESTS_PER_MINUTE, MINUTE),
    )
    return [RateLimit(window, number, period) for window, number, period in limits if number]
