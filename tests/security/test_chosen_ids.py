"""A license whose id a client chose, that of an admin, a user or a product, is no more than any other license.

`POST /licenses` accepts an `id`. Code that compares only the ids of bearers would take the license for the other one.
"""

import pytest

from accounts.models import Token
from keygen_site.jsonapi.openapi.routes import list_endpoints
from licensing.models import License
from tests.cast import make_policy
from tests.licensing.test_issue_license import license_document
from tests.tables import rolled_back
from tests.tenant_rows import Belongings, request_of


@pytest.fixture
def own(acme):
    return Belongings(acme.account, acme.product, "acme")


def issue(api, bearer, policy, **members):
    response = api(bearer).post("licenses", license_document(policy, **members))
    assert response.status_code == 201, response.content
    return License.objects.get(pk=response.json()["data"]["id"])


@pytest.mark.parametrize("target", ["admin", "user", "product"])
def test_a_license_with_the_id_of_another_bearer_may_do_what_any_license_may(acme, api, own, target):
    person = {"admin": acme.admin, "user": own.rows["user"], "product": own.rows["product"]}[target]
    policy = make_policy(acme.product, "Open", authentication_strategy="MIXED", protected=False)
    chosen = issue(api, acme.product, policy, id=str(person.pk))
    ordinary = issue(api, acme.product, policy)
    if target != "product":
        own.rows["user"] = person
        own.rows["token of user"] = Token.generate(person)[0]
    callers = [api(license) for license in (chosen, ordinary)]

    differing, tried = [], 0
    for endpoint in list_endpoints():
        if not endpoint.action or endpoint.path == "/v1/accounts":
            continue
        path, document, media_type = request_of(endpoint, "acme", own)
        statuses, counts = [], []
        for caller in callers:
            with rolled_back():
                response = caller.request(endpoint.method, path, document, media_type)
            statuses.append(response.status_code)
            shown = response.json() if response.get("Content-Type", "").startswith("application/vnd.api+json") else {}
            data = shown.get("data")
            counts.append(len(data) if isinstance(data, list) else bool(data))
        tried += 1
        if statuses[0] != statuses[1] or counts[0] != counts[1]:
            differing.append((endpoint.method, path, statuses, counts))

    assert tried > 90
    assert differing == []
