"""The addresses of the API, read from Django's routes."""

import re
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, get_resolver

BASE = "/v1/"
_BASE_OF_ACCOUNT = f"{BASE}accounts/{{account}}/"
# What ends an address without being part of it: a suffix that names the media type, and a slash.
_END = re.compile(r"(?:\(\?:\\\.\(\?P<format>[^)]*\)\)\?)?/\?\$$")
_CONVERTER = re.compile(r"<(?:\w+:)?(\w+)>")
_NAMED_GROUP = re.compile(r"\(\?P<(\w+)>")


@dataclass(frozen=True)
class Endpoint:
    """What answers one method at one address.

    Attributes:
        path: the address as OpenAPI writes it, e.g. `/v1/accounts/{account}/keys/{id}`.
        method: e.g. `GET`.
        view: the viewset, or a function.
        action: the viewset's; empty for a function.
        name: what the viewset is called in its routes, e.g. `license-users`.
    """

    path: str
    method: str
    view: Any
    action: str = ""
    name: str = ""

    @property
    def parameters(self):
        """The names of the variable parts of the address."""
        return re.findall(r"{(\w+)}", self.path)


def endpoints(single_account=False):
    """All that a client can ask for below /v1, in the order of the routes, without doubles.

    Most addresses are there with the account in front, and without. The former are meant to be used, except where
    there is a single account; then the longer ones are understood too.
    """
    found = {}
    for path, pattern in _routes(get_resolver(), "/"):
        if path.startswith(BASE):
            for endpoint in _endpoints(path, pattern):
                found.setdefault((endpoint.path, endpoint.method), endpoint)
    long, short = _BASE_OF_ACCOUNT, BASE
    if single_account:
        long, short = short, long
    return [
        endpoint
        for (path, method), endpoint in found.items()
        if not path.startswith(short) or (long + path.removeprefix(short), method) not in found
    ]


def _routes(resolver, prefix):
    for entry in resolver.url_patterns:
        path = prefix + template_of(str(entry.pattern))
        if isinstance(entry, URLPattern):
            yield path, entry
        else:
            yield from _routes(entry, path)


def _endpoints(path, pattern):
    view = getattr(pattern.callback, "cls", None)
    if view is None:
        return [Endpoint(path, "GET", pattern.callback)]
    name = pattern.callback.initkwargs.get("basename") or view.queryset.model._meta.model_name
    return [
        Endpoint(path, method.upper(), view, action, name)
        for method, action in pattern.callback.actions.items()
        if method != "head"
    ]


def template_of(pattern):
    """A route as OpenAPI writes it: `^keys/(?P<pk>[^/]+?)/?$` is `keys/{id}`."""
    text = _END.sub("", pattern.removeprefix("^"))
    while group := _NAMED_GROUP.search(text):
        name = {"pk": "id"}.get(group[1], group[1])
        text = f"{text[: group.start()]}{{{name}}}{text[_end_of(text, group.start()) :]}"
    return _CONVERTER.sub(r"{\1}", text)


def _end_of(text, start):
    """Where the group that begins at `start` is over."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"(": 1, ")": -1}.get(text[index], 0)
        if depth == 0:
            return index + 1
    raise ValueError(text)
