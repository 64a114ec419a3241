"""What holds for the project as a whole, read from its own source and routes."""

import ast
from pathlib import Path

from django.urls import URLPattern, get_resolver

from accounts.api.base import APIViewSet
from accounts.roles import ALLOWED_ROLES
from keygen_site.jsonapi.viewsets import BaseViewSet

ROOT = Path(__file__).parent.parent
# What each package may import of ours: accounts <- licensing <- pools. The kit in keygen_site imports none of them.
MAY_IMPORT = {
    "accounts": {"accounts", "keygen_site"},
    "licensing": {"accounts", "licensing", "keygen_site"},
    "pools": {"accounts", "licensing", "pools", "keygen_site"},
    "keygen_site": {"keygen_site"},
}
HTTP = ("django.http", "rest_framework", "rest_framework_json_api")


def modules():
    for package in MAY_IMPORT:
        for path in sorted((ROOT / package).rglob("*.py")):
            yield package, path


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_imports_go_one_way():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in modules()
        for name in imported(path)
        if path != ROOT / "keygen_site" / "urls.py"  # brings the apps together, as settings.py does
        if name.split(".")[0] in MAY_IMPORT and name.split(".")[0] not in MAY_IMPORT[package]
    ]

    assert not wrong


def test_models_and_services_know_nothing_of_http():
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package, path in modules()
        if path.stem in ("models", "services", "errors") or path.parent.name in ("models", "services")
        for name in imported(path)
        if name.startswith(HTTP)
    ]

    assert not wrong


def patterns(resolver):
    for entry in resolver.url_patterns:
        if isinstance(entry, URLPattern):
            yield entry
        else:
            yield from patterns(entry)


def routes():
    """(viewset, action) of every route of the API, without doubles."""
    views = [getattr(pattern.callback, "cls", None) for pattern in patterns(get_resolver())]
    callbacks = [pattern.callback for pattern in patterns(get_resolver())]
    found = {
        (view, action)
        for view, callback in zip(views, callbacks, strict=True)
        if view and issubclass(view, BaseViewSet)
        for action in callback.actions.values()
    }
    return sorted(found, key=lambda route: (route[0].__name__, route[1]))


def test_every_action_of_every_route_has_a_permission_of_the_roles_table():
    wrong = [
        f"{viewset.__name__}.{action}"
        for viewset, action in routes()
        if not issubclass(viewset, APIViewSet) or viewset.operations[action].permission not in ALLOWED_ROLES
    ]

    assert not wrong


def test_no_file_is_too_long():
    lengths = {str(path): len(path.read_text().splitlines()) for _, path in modules() if "migrations" not in path.parts}

    assert {path: length for path, length in lengths.items() if length > 450} == {}
