"""Template tags of the page with the activity."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from pools.admin.activity_lines import Part

register = template.Library()


@register.simple_tag
def activity_part(part: Part) -> SafeString:
    """A part of a line as HTML."""
    text = format_html("<bdi>{}</bdi>", part.text) if part.is_name else format_html("{}", part.text)
    if part.is_code:
        text = format_html("<code>{}</code>", part.text)
    return format_html('<a href="{}">{}</a>', part.url, text) if part.url else text


@register.simple_tag
def activity_parts(parts: Iterable[Part]) -> SafeString:
    """The parts of a line as HTML, with blanks between them."""
    return format_html_join(" ", "{}", ((activity_part(part),) for part in parts))


@register.simple_tag
def activity_time(timestamp: datetime) -> SafeString:
    """The time of the day, which the script shows in the local time; the tooltip has date and time in UTC."""
    utc = timestamp.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{} UTC" data-hour>{}</time>',
        utc.isoformat(),
        f"{utc:%-d %b %Y, %H:%M:%S}",
        f"{utc:%H:%M}",
    )


@register.simple_tag
def activity_day(day: date, today: date) -> str:
    """A day as people say it."""
    if day == today:
        return "Today"
    return "Yesterday" if day == today - timedelta(days=1) else f"{day:%A, %-d %B %Y}"
