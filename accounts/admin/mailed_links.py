"""The response after a link was made for another person: a message, or the link itself if mail is not set up."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from accounts.admin.form_once import SecretResponse
from accounts.mail import can_send_mail

if TYPE_CHECKING:
    from accounts.admin.base import ConsoleAdmin


def link_response(
    admin: "ConsoleAdmin", request: HttpRequest, *, email: str, link: str, until: datetime, done: str, back: str
) -> HttpResponse:
    """The response after a link was made.

    Args:
        email: whose link it is.
        done: a sentence that reports the change.
        back: the URL of the next page.
    """
    end = f"{until:%-d %b %Y, %H:%M} UTC"
    if can_send_mail():
        admin.message_user(request, f"{done} A mail with a link was sent to {email}. It works until {end}.")
        return HttpResponseRedirect(back)
    return SecretResponse(
        title=f"Link for {email}",
        text=link,
        section=admin.section,
        back=back,
        note=f"{done} This server cannot send mail: send this link to {email} yourself, and to no one else. "
        f"The person who opens it chooses the password. It works once, until {end}.",
    )
