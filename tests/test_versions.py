"""Every route in every version of the API: an answer, never a server error."""

import pytest
from django.db import transaction

from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.versions import VERSIONS
from tests.fuzzing import assert_answered
from tests.tenant_rows import Belongings, request_of


@pytest.mark.parametrize("version", VERSIONS)
def test_every_route_answers(acme, api, version):
    own, speaker = Belongings(acme.account, acme.product, "acme"), api(acme.admin)
    answered = 0
    for endpoint in list_endpoints():
        path, document, media_type = request_of(endpoint, "acme", own)
        with transaction.atomic():
            response = speaker.request(endpoint.method, path, document, media_type, Keygen_Version=version)
            transaction.set_rollback(True)
        assert_answered(response)
        answered += response.status_code < 300
    assert answered > 80
