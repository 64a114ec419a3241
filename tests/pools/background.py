"""Imports of the API in the background."""

from pools.models import PendingImport
from pools.services.import_workers import run_waiting_imports


def send(api, path, body, query="?background", content_type="text/plain", **headers):
    return api.post(f"{path}/import{query}", body, content_type=content_type, **headers)


def run_import(api, path, body, query="", **headers):
    """Import a file in the background, work on it in this process, and return its attributes."""
    response = send(api, path, body, f"?background&{query}", **headers)
    assert response.status_code == 202, response.json()
    run_waiting_imports(wait=False)
    return attributes_of(api, response)


def attributes_of(api, response):
    """The attributes of the import that a response is about, as they are now."""
    return api.get(response.json()["data"]["links"]["self"]).json()["data"]["attributes"]


def waiting(api, path, body=b"KEY-0001\nKEY-0002\n", query="?background", **headers):
    """The row of an import that waits for a worker."""
    return PendingImport.objects.get(pk=send(api, path, body, query, **headers).json()["data"]["id"])
