"""Template filters of the console's pages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import escape
from django.utils.safestring import mark_safe
from django.utils.text import capfirst

from accounts.admin.base import format_time
from accounts.admin.ended_sessions import keep_notice

register = template.Library()


@register.filter
def moment(timestamp: datetime | None) -> str:
    """A timestamp as HTML. The script shows it in the local time of the browser, and UTC on a click."""
    return format_time(timestamp)


@register.filter
def with_labels(cells: Iterable[str], headers: Iterable[Mapping[str, Any]]) -> list[str]:
    """The cells of a row of a list, as HTML, with the header of their column for narrow screens."""
    return [
        # `cell` is HTML by Django, which begins with <td or <th.
        mark_safe(f'{cell[:3]} data-label="{escape(capfirst(header["text"]))}"{cell[3:]}')  # noqa: S308
        if header.get("sortable") is not None and not str(header["text"]).startswith("<")
        else cell
        for cell, header in zip(cells, headers, strict=False)
    ]


@register.simple_tag(takes_context=True)
def keep_messages(context: Context) -> str:
    """Keep the message about an ended session for the page after the sign-in."""
    keep_notice(context["request"])
    return ""
