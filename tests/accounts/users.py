"""Error documents about users."""

from tests.errors import FORBIDDEN, NOT_FOUND, assert_refused, forbidden, not_found, unprocessable

REFUSED = forbidden()
UNSEEN = "404"
UNKNOWN = "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"
EVERYBODY = ["admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user"]


def outranked(role):
    return forbidden(f"{role.replace('-', ' ')} lacks privileges to perform action on user")


def problem(detail, code, name):
    return unprocessable("users", detail, code, f"/data/attributes/{name}")


LAST_ADMIN = unprocessable(
    "users", "account must have at least 1 admin user", "ACCOUNT_ADMINS_REQUIRED", "/data/relationships/account"
)


def assert_answered(response, answer, user):
    if answer == UNSEEN:
        assert_refused(response, NOT_FOUND, not_found("user", user.pk))
    elif isinstance(answer, dict):
        assert_refused(response, FORBIDDEN, answer)
    else:
        assert response.status_code == answer
