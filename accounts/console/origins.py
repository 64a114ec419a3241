from django.http import HttpRequest

from accounts.bearers import Bearer, Origin
from accounts.models import User


def actor_of(request: HttpRequest) -> Bearer:
    """The operator who sends a request to the console, for the rule of rank."""
    assert isinstance(request.user, User)  # the console lets nobody else in
    return request.user.as_bearer()


def origin_of(request, reference=""):
    """Whence an act in the console comes, for the ledger."""
    return Origin(operator=request.user.email, request_id=request.id, reference=reference)
