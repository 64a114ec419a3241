"""The description of the API at /openapi.json, and the page at /docs."""

import re
from html.parser import HTMLParser

import pytest
from django.contrib.staticfiles import finders
from django.urls import URLResolver, get_resolver, resolve
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from keygen_site.jsonapi.openapi.generator import build
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

        described = {
            (resolve(address(path)).route.removeprefix("^"), method)
            for path, method, _ in operations(build(single_account=single_account))
        }

        assert described == known - twins

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
            or operation["tags"] != ["service"]
            and not operation["responses"].keys() >= {"400", "401", "403", "404", "429", "503"}
        ]

        assert wrong == []

    def test_openapi_description_has_a_summary_without_placeholders(self):
        summaries = [operation["summary"] for _, _, operation in operations(DOCUMENT)]

        assert [summary for summary in summaries if not summary or "{" in summary] == []

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
            if operation["tags"] != ["service"] and "Permission `" not in operation["description"]
        ]

        assert wrong == []


class TestPage:
    def test_openapi_page_shows_every_operation(self, client):
        page = client.get("/docs").content.decode()

        assert [name for name in NAMES if f'id="{name}"' not in page] == []

    def test_openapi_page_needs_nothing_from_elsewhere(self, client):
        response = client.get("/docs")

        assert response["Content-Security-Policy"].startswith("default-src 'self'")
        page = Page()
        page.feed(response.content.decode())
        assert page.inline == []
        assert [link for link in page.loaded if not link.startswith("/static/")] == []
        assert all(finders.find(link.removeprefix("/static/")) for link in page.loaded)

    def test_openapi_page_has_ids_that_are_unique(self, client):
        found = re.findall(r' id="([^"]+)"', client.get("/docs").content.decode())

        assert len(found) == len(set(found))


class Page(HTMLParser):
    """What a page loads, and what a strict content security policy would not let it do."""

    def __init__(self):
        super().__init__()
        self.loaded, self.inline = [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag in ("script", "style") or "style" in attributes or any(name.startswith("on") for name in attributes):
            self.inline.append(self.get_starttag_text())
        if tag == "link":
            self.loaded.append(attributes["href"])
        if "src" in attributes:
            self.loaded.append(attributes["src"])


def address(path):
    """An address that fits a path with variable parts."""
    return re.sub(r"{\w+}", ID, path)


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
