import re
from contextlib import suppress

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.urls import Resolver404, URLPattern, URLResolver, get_resolver, re_path
from django.urls.resolvers import RoutePattern

from keygen_site.jsonapi.openapi.routes import list_endpoints
from keygen_site.jsonapi.routers import SUFFIX, SegmentResolver

ID = "01a222ba-30bb-7546-9169-69a200cd5162"
BASE = "/v1/accounts/acme/"
PATHS = sorted({re.sub(r"{\w+}", ID, each.path) for each in list_endpoints(single_account=True)})
ODD = ["/v1/keys.json", "/v1/keys/", "/v1/keysx", "/v1/licenses/a/b/c", "/v1/licenses/x.json/", "/v1/%6beys"]
MOST_PATTERNS = 40  # of a resource; there are over a hundred


def in_order(path):
    """The route and the parameters that Django finds if it tries all patterns in turn; None if it finds none."""
    table = next(each for each in of_account().url_patterns if isinstance(each, SegmentResolver))
    try:
        found = URLResolver(RoutePattern(""), table.url_patterns).resolve(path)
    except Resolver404:
        return None
    return found.route.removeprefix("^"), found.kwargs, found.func


def of_account():
    return next(each for each in get_resolver().url_patterns if str(each.pattern).startswith("v1/accounts/<"))


@pytest.mark.parametrize("path", PATHS + ODD)
def test_a_path_has_the_route_that_comes_first(path):
    rest = path.removeprefix("/v1/")
    try:
        found = get_resolver().resolve(BASE + rest)
    except Resolver404:
        assert in_order(rest) is None
    else:
        kwargs = {name: value for name, value in found.kwargs.items() if name != "account"}
        route = found.route.removeprefix("v1/accounts/<str:account>/")
        assert (route, kwargs, found.func) == in_order(rest)


@pytest.mark.parametrize("path", PATHS)
def test_only_patterns_of_the_same_resource_are_tried(path, monkeypatch):
    tried = []
    resolve = URLPattern.resolve
    monkeypatch.setattr(URLPattern, "resolve", lambda pattern, path: tried.append(pattern) or resolve(pattern, path))
    with suppress(Resolver404):  # of a path that exists only without an account
        get_resolver().resolve(BASE + path.removeprefix("/v1/"))

    assert len(tried) <= MOST_PATTERNS


@pytest.mark.parametrize("route", [rf"^keys?{SUFFIX}/?$", r"^(?P<name>x)$", "keys/x", r"^$"])
def test_route_must_begin_with_a_word(route):
    with pytest.raises(ImproperlyConfigured):
        SegmentResolver([re_path(route, lambda request: None)])
