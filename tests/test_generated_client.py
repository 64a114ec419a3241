"""A client that a public generator made from /openapi.json works against the real server."""

import importlib
import json
import subprocess
import sys

import pytest

from benchmarks.testbed.live_server import live_server
from keygen_site.jsonapi.openapi.generator import build


@pytest.fixture(scope="module")
def client_package(tmp_path_factory):
    """The generated package, importable as `keygen_client`."""
    folder = tmp_path_factory.mktemp("generated")
    description = folder / "openapi.json"
    description.write_text(json.dumps(build()))
    config = folder / "config.json"
    config.write_text(json.dumps({"post_hooks": []}))  # no formatting: the generated code is not read
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--config", str(config)]
    command += ["--path", str(description), "--output-path", str(folder / "keygen_client")]
    subprocess.run(command, check=True, capture_output=True, text=True)
    sys.path.insert(0, str(folder))
    yield importlib.import_module("keygen_client")
    sys.path.remove(str(folder))


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with live_server(tmp_path_factory.mktemp("live")) as running:
        yield running


def call(name, client, *path, **options):
    """Do an operation of the generated client, by its module."""
    module = importlib.import_module(f"keygen_client.api.{name}")
    response = module.sync_detailed(*path, client=client, **options)
    return response.status_code, response.parsed


def model(name, document):
    module = importlib.import_module("keygen_client.models")
    return getattr(module, name).from_dict(document)


@pytest.mark.sqlite  # it brings its own database
def test_generated_client_creates_and_pops_a_key(client_package, server):
    client = client_package.AuthenticatedClient(base_url=server.url, token=server.token)
    document = {"data": {"type": "products", "attributes": {"name": "Rocket"}}}
    _, product = call("products.product_create", client, "acme", body=model("NewProduct", document))
    document = {
        "data": {
            "type": "policies",
            "attributes": {"name": "Pooled", "usePool": True},
            "relationships": {"product": {"data": {"type": "products", "id": str(product.data.id)}}},
        }
    }
    _, policy = call("policies.policy_create", client, "acme", body=model("NewPolicy", document))
    document = {
        "data": {
            "type": "keys",
            "attributes": {"key": "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"},
            "relationships": {"policy": {"data": {"type": "policies", "id": str(policy.data.id)}}},
        }
    }

    created, key = call("keys.key_create", client, "acme", body=model("NewKey", document))
    popped, same_key = call("pools.pool_pop", client, "acme", policy.data.id, idempotency_key="order-4711")
    empty, errors = call("pools.pool_pop", client, "acme", policy.data.id)

    assert (created, popped, empty) == (201, 200, 422)
    assert same_key.data.id == key.data.id
    assert same_key.data.attributes.key == "C1B6DE-39A6E3-DE1529-8559A0-4AF593-V3"
    assert errors.errors[0].detail == "pool is empty"
