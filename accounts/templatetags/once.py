"""Ids of forms that templates make themselves, see `accounts.admin.form_once`."""

from uuid import UUID

from django import template
from uuid_utils.compat import uuid7

register = template.Library()


@register.simple_tag
def new_form_id() -> UUID:
    """The id of a form that is sent to the page of an action."""
    return uuid7()
