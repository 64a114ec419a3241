"""The endpoints of the API, read from Django's routes."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.contrib.admindocs.utils import replace_named_groups
from django.db import models
from django.urls import URLPattern, URLResolver, get_resolver

from keygen_site.jsonapi.sections import SERVICE, Section

if TYPE_CHECKING:
    from keygen_site.jsonapi.operations import Operation

BASE = "/v1/"
BASE_OF_ACCOUNT = f"{BASE}accounts/{{account}}/"
# The end of a route that the URL template leaves out: an optional suffix for the media type, and a slash.
_END = re.compile(r"(?:\(\?:\\\.\(\?P<format>[^)]*\)\)\?)?/\?\$$")
_PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>")


@dataclass(frozen=True)
class Endpoint:
    """A method of a URL.

    Attributes:
        path: the URL template of OpenAPI, e.g. `/v1/accounts/{account}/keys/{id}`.
        method: e.g. `GET`.
        view: the viewset, or a function.
        action: of the viewset; empty for a function.
        name: the viewset's name in its routes, e.g. `license-users`.
        is_put_for_patch: whether PATCH does the same.
    """

    path: str
    method: str
    view: Any
    action: str = ""
    name: str = ""
    is_put_for_patch: bool = False

    @property
    def parameters(self) -> list[str]:
        """The names of the parameters in the path."""
        return re.findall(r"{(\w+)}", self.path)

    @property
    def section(self) -> Section:
        if not self.action:
            return SERVICE
        section: Section = self.view.section or self.view.serializer_class.section
        return section

    @property
    def operation(self) -> "Operation":
        return self.view.operations[self.action]

    def model_of(self, parameter: str) -> type[models.Model] | None:
        """The model of the row that a path parameter names; None if the viewset does not look it up."""
        if parameter == "id":
            return self.view.queryset.model
        parent = self.view.parent
        return parent.rows.model if parent and parent.name == parameter else None


def list_endpoints(single_account: bool = False) -> list[Endpoint]:
    """The endpoints below /v1, in the order of the routes.

    Most have a URL with the account and one without. Only the former is listed; on a server with a single account, only
    the latter.
    """
    found: dict[tuple[str, str], Endpoint] = {}
    for path, pattern in _routes(get_resolver(), "/"):
        if path.startswith(BASE):
            for endpoint in _endpoints(path, pattern):
                found.setdefault((endpoint.path, endpoint.method), endpoint)
    long, short = BASE_OF_ACCOUNT, BASE
    if single_account:
        long, short = short, long
    return [
        endpoint
        for (path, method), endpoint in found.items()
        if not path.startswith(short) or (long + path.removeprefix(short), method) not in found
    ]


def _routes(resolver: URLResolver, prefix: str) -> Iterator[tuple[str, URLPattern]]:
    for entry in resolver.url_patterns:
        path = prefix + template_of(str(entry.pattern))
        if isinstance(entry, URLPattern):
            yield path, entry
        else:
            yield from _routes(entry, path)


def _endpoints(path: str, pattern: URLPattern) -> list[Endpoint]:
    callback: Callable[..., Any] = pattern.callback
    view = getattr(callback, "cls", None)
    if view is None:
        return [Endpoint(path, "GET", callback)]
    actions: dict[str, str] = callback.actions  # type: ignore[attr-defined]
    name = callback.initkwargs.get("basename") or view.queryset.model._meta.model_name  # type: ignore[attr-defined]
    return [
        Endpoint(path, method.upper(), view, action, name, method == "put" and actions.get("patch") == action)
        for method, action in actions.items()
        if method != "head"
    ]


def template_of(pattern: str) -> str:
    """A route as a URL template: `^keys/(?P<pk>[^/]+?)/?$` is `keys/{id}`."""
    route = replace_named_groups(_END.sub("", pattern.removeprefix("^")))
    return _PARAMETER.sub(lambda found: "{id}" if found[1] == "pk" else f"{{{found[1]}}}", route)
