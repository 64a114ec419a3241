"""Walks through the console by its links, as a person would, to find a page of each kind."""

from urllib.parse import urlsplit

from django.urls import Resolver404, resolve

MAX_PAGES = 150
# Kinds of page that are not walked to: they end the session, or are downloads or data.
LEFT_OUT = {"logout", "jsi18n"}
# Parameters that do not change the kind of a page: its form, where it leads back to, its order, its number.
SAME_PAGE = {"once", "_changelist_filters", "o", "p"}


def kind_of(url):
    """The name of the route of a URL of the console, with the names of its parameters; None for other URLs.

    A list is one kind of page with each of its filters, but not with each combination of them.
    """
    parts = urlsplit(url)
    try:
        match = resolve(parts.path)
    except Resolver404:
        return None
    if "admin" not in match.namespaces or match.url_name in LEFT_OUT or "csv" in parts.query:
        return None
    names = {name.partition("=")[0] for name in parts.query.split("&") if name} - SAME_PAGE
    return (match.url_name, *names) if len(names) < 2 else None


def walk(page, base, visited, start="/admin/"):
    """Open a page of each kind that links lead to, and yield its path.

    `page` shows it meanwhile, and may be changed in size and theme but not left. Kinds in `visited` are left out, and
    those that were opened are added to it.
    """
    waiting = [start]
    seen = {start}
    while waiting:
        path = waiting.pop(0)
        response = page.goto(base + path)
        assert response.ok, f"{path}: {response.status}"
        links = page.eval_on_selector_all("a[href]:not([download])", "links => links.map((link) => link.href)")
        if kind_of(path) not in visited:
            visited.add(kind_of(path))
            yield path
        assert len(visited) < MAX_PAGES, sorted(map(str, visited))
        for link in links:
            parts = urlsplit(link)
            path = f"{parts.path}?{parts.query}" if parts.query else parts.path
            kind = link.startswith(base) and kind_of(path)
            if kind and kind not in visited and kind not in seen:
                seen.add(kind)
                waiting.append(path)
