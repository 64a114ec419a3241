"""Requests that change a row lock it first, and then see the changes of another transaction."""

from functools import partial

import pytest

from keygen_site.jsonapi.openapi.routes import list_endpoints
from tests.cast import make_company
from tests.races import run_while_held
from tests.tenant_rows import Belongings, kind_of, request_of

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

# Writes at the URL of a row that do not lock it: each is one UPDATE of fields that it sets or adds to.
WITHOUT_LOCK = {
    *("LicenseViewSet.validate", "LicenseViewSet.check_out"),
    *("LicenseViewSet.increment_usage", "LicenseViewSet.decrement_usage"),
    *("MachineViewSet.check_out", "MachineViewSet.generate_proof"),
    *("MachineViewSet.ping", "MachineViewSet.ping_heartbeat", "ProcessViewSet.ping"),
    # The service locks, after the transaction in which the code is used up (tests/security/test_second_factors_api.py).
    *("SecondFactorViewSet.partial_update", "SecondFactorViewSet.destroy"),
    *("UserViewSet.ban", "UserViewSet.unban", "UserViewSet.update_password", "UserViewSet.reset_password"),
}


def name_of(endpoint):
    return f"{endpoint.view.__name__}.{endpoint.action}"


def writes():
    """Every write at the URL of a row, or that declares a lock; without PUT where PATCH does the same."""
    return [
        endpoint
        for endpoint in list_endpoints()
        if endpoint.action and not endpoint.is_put_for_patch
        if (endpoint.method != "GET" and "id" in endpoint.parameters) or endpoint.operation.locks
    ]


def test_every_write_at_the_url_of_a_row_declares_a_lock_but_for_known_ones():
    unlocked = {name_of(endpoint) for endpoint in writes() if not endpoint.operation.locks}

    assert unlocked == WITHOUT_LOCK


def test_every_write_that_locks_waits_for_the_row_and_sees_its_deletion(api):
    """The other transaction has deleted the row, but has not ended, when the request arrives: afterwards it is 404.

    A request that does not lock would find the row, and change or delete a row that no longer exists.
    """
    wrong, asked = [], set()
    for number, endpoint in enumerate(writes()):
        name = name_of(endpoint)
        if name in WITHOUT_LOCK:
            continue
        company = make_company(f"company-{number}")
        own = Belongings(company.account, company.product, f"name-{number}")
        speaker = api(company.admin, company.account.slug)
        if name == "TokenViewSet.regenerate_current":
            row = company.admin.tokens.latest("created")
        else:
            # An attached row has no URL of its own: its parent row is locked.
            row = own.rows[kind_of(endpoint, "id" if "id" in endpoint.parameters else endpoint.view.parent.name)]
        path, document, media_type = request_of(endpoint, company.account.slug, own)

        request = partial(speaker.request, endpoint.method, path, document, media_type)
        waited, response = run_while_held(row.delete, request)

        asked.add(name)
        if not waited or getattr(response, "status_code", None) != 404:
            wrong.append((endpoint.method, name, waited, response))
    assert len(asked) > 20
    assert wrong == []
