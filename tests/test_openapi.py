"""The description of the API at /openapi.json."""

import json
import re
import shlex

import pytest
from django.urls import URLResolver, get_resolver, resolve
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from keygen_site.jsonapi.openapi.error_codes import known_errors
from keygen_site.jsonapi.openapi.generator import build, is_described
from keygen_site.jsonapi.openapi.routes import list_endpoints

pytestmark = pytest.mark.without_database


SHORT, LONG = "v1/", "v1/accounts/<str:account>/"
ID = "01a20866-333d-73e7-b6c6-6d3a7c07d222"


def operations(document):
    return [
        (path, method, operation)
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    ]


DOCUMENT = build()


NAMES = [operation["operationId"] for _, _, operation in operations(DOCUMENT)]


class TestDescription:
    @pytest.mark.parametrize("account", ["", "acme"])
    def test_openapi_description_is_valid_openapi(self, client, settings, account):
        settings.ACCOUNT = account

        response = client.get("/openapi.json")

        assert response.headers["Content-Type"] == "application/json"
        assert response.json()["openapi"].startswith("3.1.")
        validate(response.json())

    @pytest.mark.parametrize(
        ("single_account", "shown", "hidden"), [(False, LONG, SHORT), (True, SHORT, LONG)], ids=["many", "single"]
    )
    def test_openapi_description_has_every_route_and_no_other(self, single_account, shown, hidden):
        known = set(routes(get_resolver()))
        # Most routes are there twice, with the account in front and without; one of them is shown.
        twins = {(hidden + route.removeprefix(shown), method) for route, method in known if route.startswith(shown)}
        left_out = {
            (route_of(endpoint.path), endpoint.method.lower())
            for endpoint in list_endpoints(single_account)
            if not is_described(endpoint)
        }

        described = {(route_of(path), method) for path, method, _ in operations(build(single_account=single_account))}

        assert described == known - twins - left_out

    def test_openapi_description_has_patch_instead_of_a_put_that_does_the_same(self):
        found = {path: methods for path, methods in DOCUMENT["paths"].items() if {"put", "patch"} <= methods.keys()}

        assert found == {}
        assert "put" in DOCUMENT["paths"]["/v1/accounts/{account}/tokens"]  # which has no PATCH

    def test_openapi_description_leads_to_the_action_that_it_describes(self):
        wrong = []
        for endpoint in list_endpoints():
            callback = resolve(address(endpoint.path)).func
            described = (endpoint.view, endpoint.action) if endpoint.action else endpoint.view
            found = (callback.cls, callback.actions[endpoint.method.lower()]) if endpoint.action else callback
            if found != described:
                wrong.append((endpoint.method, endpoint.path, found))

        assert wrong == []

    def test_openapi_description_gives_every_operation_its_own_name(self):
        assert len(NAMES) == len(set(NAMES))

    def test_openapi_description_describes_every_path_parameter(self):
        wrong = [
            path
            for path, _, operation in operations(DOCUMENT)
            if {each["name"] for each in followed(operation["parameters"]) if each["in"] == "path"}
            != set(re.findall(r"{(\w+)}", path))
        ]

        assert wrong == []

    def test_openapi_description_describes_the_errors_that_every_request_can_have(self):
        wrong = [
            operation["operationId"]
            for _, _, operation in operations(DOCUMENT)
            if not operation["responses"].keys() >= {"400"}
            or operation["tags"] != ["Service"]
            and not operation["responses"].keys() >= {"400", "401", "403", "404", "429", "503"}
        ]

        assert wrong == []

    def test_openapi_description_has_a_unique_summary_without_placeholders(self):
        summaries = [operation["summary"] for _, _, operation in operations(DOCUMENT)]

        assert len(summaries) == len(set(summaries))
        assert [summary for summary in summaries if not summary or "{" in summary] == []

    def test_openapi_description_describes_every_property_and_parameter(self):
        undescribed = [path for path, schema in properties_in(DOCUMENT) if not description_of(schema)]
        parameters = [each for _, _, operation in operations(DOCUMENT) for each in followed(operation["parameters"])]

        assert undescribed == []
        assert [each["name"] for each in parameters if not each["description"]] == []

    def test_openapi_description_has_described_tags_in_the_order_of_use(self):
        names = [tag["name"] for tag in DOCUMENT["tags"]]

        assert names[:3] == ["Pools", "Keys", "Key imports"]
        assert [tag for tag in DOCUMENT["tags"] if not tag["description"].endswith(".")] == []
        # The operations are in the same order, and each has one of the tags.
        assert list(dict.fromkeys(operation["tags"][0] for _, _, operation in operations(DOCUMENT))) == names

    def test_openapi_description_has_a_command_for_every_operation(self):
        wrong = []
        for path, method, operation in operations(DOCUMENT):
            arguments = shlex.split(operation["x-codeSamples"][0]["source"])
            named = {value for option, value in zip(arguments, arguments[1:], strict=False) if option == "-X"}
            sent = [value for option, value in zip(arguments, arguments[1:], strict=False) if option == "-d"]
            is_upload = "--data-binary" in arguments
            expected = named or {"POST" if sent or is_upload else "GET"}
            content = operation.get("requestBody", {}).get("content", {}).get("application/vnd.api+json", {})
            document = [content["example"]] if "example" in content else []
            last = path.rpartition("/")[2]
            if (
                (arguments[0], expected) != ("curl", {method.upper()})
                or [json.loads(value) for value in sent] != document
                or not (last.startswith("{") or last in operation["x-codeSamples"][0]["source"])
            ):
                wrong.append((path, method, arguments))

        assert wrong == []

    def test_openapi_description_explains_every_error_code(self):
        listed = {each["code"]: each for each in DOCUMENT["x-error-codes"]}

        assert listed.keys() == {error.code for error in known_errors()}
        assert [code for code, each in listed.items() if not each["description"]] == []

    def test_openapi_description_lists_the_errors_of_each_operation(self):
        responses = DOCUMENT["paths"]["/v1/accounts/{account}/policies/{policy}/pool"]["delete"]["responses"]

        assert "“pool is empty”" in responses["422"]["description"]
        assert "`IDEMPOTENCY_KEY_REUSED`" in responses["422"]["description"]
        described = "".join(
            {**next(followed([response])), **response}["description"]
            for _, _, operation in operations(DOCUMENT)
            for response in operation["responses"].values()
        )
        # Those of an import in the background are in its `error`.
        background = {"IMPORT_FAILED", "IMPORT_GIVEN_UP"}
        assert {error.code for error in known_errors() if f"`{error.code}`" not in described} == background

    def test_openapi_description_has_a_schema_and_fitting_examples_for_every_body(self):
        wrong = []
        for _, _, operation in operations(DOCUMENT):
            for content in contents(operation):
                errors = [error.message for each in examples(content) for error in errors_of(content["schema"], each)]
                if errors or not content["schema"]:
                    wrong.append((operation["operationId"], errors))

        assert wrong == []

    def test_openapi_description_describes_every_filter(self):
        undescribed = []
        for endpoint in list_endpoints():
            if endpoint.action == "list" and (filterset := getattr(endpoint.view, "filterset_class", None)):
                operation = DOCUMENT["paths"][endpoint.path]["get"]
                described = {each["name"].partition("[")[0] for each in followed(operation["parameters"])}
                undescribed += [(endpoint.path, name) for name in filterset.base_filters if name not in described]

        assert undescribed == []

    def test_openapi_description_states_who_has_each_permission(self):
        wrong = [
            operation["operationId"]
            for path, method, operation in operations(DOCUMENT)
            if operation["tags"] != ["Service"] and "Permission `" not in operation["description"]
        ]

        assert wrong == []


def address(path):
    """An address that fits a path with variable parts."""
    return re.sub(r"{\w+}", ID, path)


def route_of(path):
    return resolve(address(path)).route.removeprefix("^")


def properties_in(value, path=""):
    """(path, schema) of all properties in the schemas of a part of the description."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from properties_in(item, f"{path}/{index}")
    elif isinstance(value, dict):
        of_schema = value.get("properties") if "type" in value else None
        for name, schema in (of_schema or {}).items():
            yield f"{path}/{name}", schema
        for name, content in value.items():
            if name not in ("example", "examples"):
                yield from properties_in(content, f"{path}/{name}")


def description_of(schema):
    return schema.get("description") or next(followed([schema])).get("description")


def routes(resolver, prefix=""):
    """(route, method) of all below /v1."""
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern).removeprefix("^")
        if isinstance(entry, URLResolver):
            yield from routes(entry, route)
        elif route.startswith(SHORT):
            methods = getattr(entry.callback, "actions", {"get": ""})
            yield from ((route, method) for method in methods if method != "head")  # which GET answers too


def followed(values):
    for value in values:
        while "$ref" in value:
            value = component(value["$ref"])
        yield value


def component(reference):
    value = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        value = value[name]
    return value


def contents(operation):
    """The contents of the body and of all answers."""
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for body in [*bodies, *followed(operation["responses"].values())]:
        yield from (content for content in body.get("content", {}).values() if content)


def examples(content):
    schema = next(followed([content["schema"]]))
    yield from [content["example"]] if "example" in content else []
    yield from (each["value"] for each in content.get("examples", {}).values())
    yield from schema.get("examples", [])


def errors_of(schema, value):
    """The errors of a value by a schema of the description."""
    return Draft202012Validator({**schema, "components": DOCUMENT["components"]}).iter_errors(value)
