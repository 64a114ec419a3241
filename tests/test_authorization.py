"""An action that forgets to check permissions fails, rather than answer."""

import pytest

from pools.api.key_imports import KeyImportViewSet
from pools.api.viewsets import KeyViewSet, PoolViewSet
from pools.models import PendingImport
from tests.cast import add_keys
from tests.pools.documents import key_document


@pytest.fixture
def requests(acme):
    """A request of each kind of action, and the name of the action."""
    first, _ = add_keys(acme.policy, "FIRST-KEY", "SECOND-KEY")
    pending = PendingImport.objects.create(
        account=acme.account, policy=acme.policy, bearer_id=acme.admin.pk, request={"dry_run": False}, state="done"
    )
    pool = f"policies/{acme.policy.pk}/pool"
    return [
        ("GET", "keys", None, "KeyViewSet.list"),
        ("POST", "keys", key_document(acme.policy), "KeyViewSet.create"),
        ("GET", f"keys/{first.pk}", None, "KeyViewSet.retrieve"),
        (
            "PATCH",
            f"keys/{first.pk}",
            {"data": {"type": "keys", "attributes": {"key": "THIRD-KEY"}}},
            "KeyViewSet.partial_update",
        ),
        ("DELETE", f"keys/{first.pk}", None, "KeyViewSet.destroy"),
        ("DELETE", pool, None, "PoolViewSet.pop"),
        ("GET", f"{pool}/actions/export", None, "PoolViewSet.export_keys"),
        ("GET", f"key-imports/{pending.pk}", None, "KeyImportViewSet.retrieve"),
    ]


def test_an_action_that_forgets_to_authorize_fails(api, acme, requests, monkeypatch):
    admin = api(acme.admin)
    for viewset in (KeyViewSet, PoolViewSet, KeyImportViewSet):
        monkeypatch.setattr(viewset, "authorize", lambda view, row=None: None)

    for method, path, document, name in requests:
        with pytest.raises(AssertionError, match=f"{name} did not check permissions"):
            admin.request(method, path, document)


def test_an_action_that_authorizes_does_not_fail(api, acme, requests):
    for method, path, document, _ in requests:
        assert api(acme.admin).request(method, path, document).status_code < 300
