"""Methods in other spellings: a proxy's rule for DELETE does not hold for `delete`, so that must do nothing."""

from django.test import Client

from keygen_site.observability.request_context import HTTP_METHODS


def test_methods_that_are_not_upper_case_are_refused_everywhere(acme):
    pool = f"/v1/accounts/acme/policies/{acme.policy.pk}/pool"
    client = Client(headers={"Authorization": f"Bearer {acme.admin_token}"})
    before = acme.policy.pool.available().count()

    offenders = []
    for path in (pool, "/v1/accounts/acme/keys", "/v1/ping", "/healthz", "/admin/login/", "/docs"):
        for method in sorted(HTTP_METHODS):
            for spelling in {method.lower(), method.capitalize(), method[0] + method[1:].lower()}:
                response = client.generic(spelling, path)
                # Django's client drops the body of a response to HEAD.
                code = None if method == "HEAD" else response.json()["errors"][0]["code"]
                if response.status_code != 400 or code not in (None, "HTTP_METHOD_INVALID"):
                    offenders.append((spelling, path, response.status_code))

    assert not offenders
    assert acme.policy.pool.available().count() == before
