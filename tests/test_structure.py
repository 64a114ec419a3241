"""Rules of the whole project, read from its source and its routes."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from django.urls import URLPattern, get_resolver

from accounts.api.base import APIViewSet
from accounts.roles import ALLOWED_ROLES
from keygen_site.jsonapi.viewsets import BaseViewSet

pytestmark = pytest.mark.without_database


ROOT = Path(__file__).parent.parent
# From the lowest package to the highest: each may import those before it.
PACKAGES = ("keygen_site", "accounts", "licensing", "pools")
HTTP = ("django.http", "django.contrib.admin", "django_filters", "rest_framework", "rest_framework_json_api")
MAIL = ("django.core.mail", "accounts.mail")
# The parts of an app that speak HTTP. The others are models, services and their helpers.
HTTP_PARTS = {"admin", "api", "apps", "authentication", "credentials", "middleware", "templatetags"}
# Functions that import by a string, and the only places that may use them.
STRING_IMPORTS = {"import_module", "import_string", "get_model", "__import__"}
MAY_IMPORT_BY_STRING = {"keygen_site.db.migration_operations"}  # `get_model` of a migration's own state


@cache
def modules():
    """The path of each module by its name, without migrations."""
    paths = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return {name_of(path.relative_to(ROOT)): path for path in paths if "migrations" not in path.parts}


def name_of(path):
    parts = path.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(name):
    return ast.parse(modules()[name].read_text())


@cache
def imports(name):
    """The names that a module imports anywhere in it, in its functions too."""
    found = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return sorted(found)


def chain(start, forbidden):
    """The shortest chain of imports from a module to a forbidden name, or None."""
    chains, seen = [[start]], {start}
    for path in chains:
        for name in imports(path[-1]):
            if forbidden(name):
                return [*path, name]
            # Importing `a.b.c` runs `a` and `a.b` too.
            parts = name.split(".")
            for module in (".".join(parts[:end]) for end in range(1, len(parts) + 1)):
                if module in modules() and module not in seen:
                    seen.add(module)
                    chains.append([*path, module])
    return None


def is_of(packages):
    return lambda name: name.startswith(tuple(f"{package}." for package in packages)) or name in packages


def higher_than(module):
    return PACKAGES[PACKAGES.index(module.split(".")[0]) + 1 :]


def test_no_package_reaches_a_higher_one():
    # The URL configuration imports all apps. Modules that import it would be found.
    chains = [chain(name, is_of(higher_than(name))) for name in modules() if name != "keygen_site.urls"]

    assert [" → ".join(found) for found in chains if found] == []


def test_models_and_services_do_not_reach_http():
    domain = [
        name
        for name in modules()
        if not name.startswith("keygen_site") and not HTTP_PARTS.intersection(name.split(".")[1:])
    ]
    chains = [chain(name, is_of(HTTP)) for name in domain]

    assert {"accounts.models.users", "accounts.services", "licensing.validation", "pools.popping"} <= set(domain)
    assert [" → ".join(found) for found in chains if found] == []


def test_models_reach_neither_services_nor_mail():
    models = [name for name in modules() if "models" in name.split(".")] + ["pools.popping"]
    chains = [chain(name, lambda other: "services" in other.split(".") or is_of(MAIL)(other)) for name in models]

    assert {"accounts.models.users", "licensing.models.licenses", "pools.models.keys"} <= set(models)
    assert [" → ".join(found) for found in chains if found] == []


def test_no_module_is_imported_by_a_string():
    calls = [
        f"{name}:{node.lineno}"
        for name in modules().keys() - MAY_IMPORT_BY_STRING
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
        if getattr(node.func, "attr", getattr(node.func, "id", "")) in STRING_IMPORTS
    ]

    assert calls == []


def test_no_string_names_a_higher_package():
    """A label such as `licensing.License`, or a setting with the path of a module, would hide an import."""
    offenders = [
        f"{name}:{node.lineno} {node.value!r}"
        for name in modules().keys() - {"keygen_site.settings", "keygen_site.urls"}
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if re.fullmatch(rf"({'|'.join(higher_than(name))})\.[\w.]+", node.value) and higher_than(name)
    ]

    assert offenders == []


def test_accounts_does_not_name_the_packages_above():
    strings = [
        (name, node)
        for name in modules()
        if name.startswith("accounts")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Constant) and node.value in higher_than("accounts")
    ]

    assert [f"{name}:{node.lineno} {node.value!r}" for name, node in strings] == []


def patterns(resolver):
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield entry
        else:
            yield from patterns(entry)


@pytest.fixture(scope="module")
def routes():
    """(viewset, action) of every route of the API, without duplicates."""
    callbacks = [pattern.callback for pattern in patterns(get_resolver())]
    found = {
        (callback.cls, action)
        for callback in callbacks
        if issubclass(getattr(callback, "cls", object), BaseViewSet)
        for action in callback.actions.values()
    }
    return sorted(found, key=lambda route: (route[0].__name__, route[1]))


def test_every_action_of_every_route_has_a_permission(routes):
    assert len(routes) > 50
    assert [
        f"{viewset.__name__}.{action}"
        for viewset, action in routes
        if not issubclass(viewset, APIViewSet)
        or action not in viewset.operations
        or viewset.operations[action].permission not in ALLOWED_ROLES
    ] == []


def test_every_operation_of_a_viewset_has_a_route(routes):
    assert [
        f"{viewset.__name__}.{action}"
        for viewset in {viewset for viewset, _ in routes}
        for action in viewset.operations
        if (viewset, action) not in routes
    ] == []


def test_no_file_is_too_long():
    lengths = {name: len(path.read_text().splitlines()) for name, path in modules().items()}

    assert {name: length for name, length in lengths.items() if length > 450} == {}
