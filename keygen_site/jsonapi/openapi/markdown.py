"""Renders the Markdown of the description as HTML. HTML in it is shown as text."""

from typing import NamedTuple

from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from markdown_it import MarkdownIt

_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


class Heading(NamedTuple):
    """A heading of the second level, with the id that links lead to."""

    id: str
    text: str


def render(text: str) -> SafeString:
    """A text of one or more paragraphs."""
    return mark_safe(_MARKDOWN.render(text))  # noqa: S308


def render_line(text: str) -> SafeString:
    """A text without paragraphs, for a cell of a table."""
    return mark_safe(_MARKDOWN.renderInline(text))  # noqa: S308


def render_with_headings(text: str) -> tuple[SafeString, list[Heading]]:
    """A text, and its headings of the second level, which get ids."""
    tokens = _MARKDOWN.parse(text)
    headings = []
    for token, content in zip(tokens, tokens[1:], strict=False):
        if token.type == "heading_open" and token.tag == "h2":
            headings.append(Heading(slugify(content.content), content.content))
            token.attrSet("id", headings[-1].id)
    return mark_safe(_MARKDOWN.renderer.render(tokens, _MARKDOWN.options, {})), headings  # noqa: S308
