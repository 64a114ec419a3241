"""Links in mails, and the pages that they lead to."""

import re

from django.test import Client

from tests.console import page

NEW = "a better one"


def link_of(message):
    """Return the link to the console in a message: path and query."""
    return re.search(r"http://testserver(/admin/\S+)", message.body)[1]


def open_link(link, client=None):
    """Return a client that has opened a link, and the page that it came to."""
    client = client or Client()
    return client, client.get(link, follow=True)


def choose_password(client, name, password=NEW, **values):
    """Send the form of the page that a link leads to: `join` or `reset`."""
    return client.post(page(name), {"new_password": password, "new_password_again": password, **values})
