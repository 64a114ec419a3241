"""The API behaves as its description says: thousands of requests made up from the description (schemathesis).

Half of the ids are of rows that there are, so that requests get past the first look. Each one is rolled back.
"""

import json
import os
from random import Random

import pytest
import schemathesis
from django.core.signals import request_finished, request_started
from django.db import close_old_connections, transaction
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from accounts.models import Token
from keygen_site.jsonapi.openapi.generator import build
from keygen_site.wsgi import application
from pools.models import PendingImport
from tests.cast import add_keys, numbered, token_of
from tests.fuzzing import examples, world_of

CASES = int(os.environ.get("CASES", examples(10)))  # for each of the operations
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]


@schemathesis.serializer("text/csv", "application/x-ndjson")
def as_file(context, value):
    """Files are sent as they are."""
    return str(value).encode(errors="replace")


def closed(schema):
    """The same description, but of objects that have no other members than those it names: so none is forgotten."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {name: closed(value) for name, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") in ("object", ["object", "null"]):
        schema.setdefault("additionalProperties", False)
    return schema


def described(mode, each_rule):
    """The description, as the origin of requests.

    Args:
        mode: `positive` for such as it allows, `negative` for others.
        each_rule: whether also one for each rule of a schema is made.
    """
    generation = {"mode": mode, "with-security-parameters": False, "database": "none"}
    # The examples are requests that the description allows, in both modes.
    phases = {"coverage": {"enabled": each_rule}, "examples": {"enabled": mode == "positive"}}
    config = schemathesis.Config.from_dict({"generation": generation, "phases": phases})
    schema = schemathesis.openapi.from_dict(closed(json.loads(json.dumps(build()))), config=config)
    schema.app = application
    return schema


allowed = described("positive", each_rule=True)
# Of these there is nothing that could be asked wrongly.
refused = described("negative", each_rule=False).exclude(path_regex="/(ping|health)$")
made_up = settings(max_examples=CASES, suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def same_connection():
    """Requests run in the transaction of the test, so none of them may close its connection."""
    for signal in (request_started, request_finished):
        signal.disconnect(close_old_connections)
    yield
    for signal in (request_started, request_finished):
        signal.connect(close_old_connections)


@pytest.fixture
def world(acme):
    """The ids of a row of each kind, by the names of the kind in documents and in addresses."""
    key_import = PendingImport.objects.create(
        account=acme.account, policy=acme.policy, bearer_id=acme.admin.pk, request={"dry_run": False}, state="done"
    )
    rows = {"accounts": acme.account, "key-imports": key_import, "tokens": Token.generate(acme.product)[0]}
    collections = world_of(acme) | {name: row.pk for name, row in rows.items()}
    add_keys(acme.policy, *numbered(4)[1:])  # the first one is there
    return {name: str(pk) for plural, pk in collections.items() for name in (plural, singular(plural))}


@pytest.fixture
def bearers(acme):
    """Credentials: of the admin, of bearers with fewer permissions, an invalid one, and none."""
    admin = token_of(acme.admin)
    others = [token_of(acme.bearer(role)) for role in ("read-only", "product", "license", "user")]
    return [admin] * 5 + others + ["nonsense", None]


def singular(name):
    return {"policies": "policy", "processes": "process"}.get(name, name.removesuffix("s"))


def with_real_ids(value, ids, chance):
    """A document in which some references are to rows that there are."""
    if isinstance(value, list):
        return [with_real_ids(item, ids, chance) for item in value]
    if not isinstance(value, dict):
        return value
    value = {name: with_real_ids(content, ids, chance) for name, content in value.items()}
    type = value.get("type")
    if "id" in value and isinstance(type, str) and type in ids and chance.random() < 0.5:
        value["id"] = ids[type]
    return value


# PostgreSQL is the stricter one, and one of the two is enough for tests of documents.
@pytest.mark.postgresql
@allowed.parametrize()
@made_up
def test_api_answers_as_described(case, world, bearers):
    send(case, world, bearers)


@pytest.mark.postgresql
@refused.parametrize()
@made_up
def test_api_answers_as_described_to_invalid_requests(case, world, bearers):
    send(case, world, bearers)


def send(case, world, bearers):
    """Send a request, and compare the answer with the description."""
    chance = Random(repr((case.path_parameters, case.query, case.headers, case.body)))
    for name in case.path_parameters:
        collection = case.path.partition("{id}")[0].rstrip("/").rpartition("/")[2]
        wanted = collection if name == "id" else name
        if wanted in world and chance.random() < 0.9:
            case.path_parameters[name] = world[wanted]
    case.body = with_real_ids(case.body, world, chance)
    if token := chance.choice(bearers):
        case.headers["Authorization"] = f"Bearer {token}"

    undone = transaction.atomic()
    undone._from_testcase = True  # as the tests' own: an export, which commits each page, may run within it
    with undone:
        response = case.call()
        transaction.set_rollback(True)

    case.validate_response(response, checks=CHECKS)
