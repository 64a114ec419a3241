"""Links in mail lead to this server, not to the Host that a client sends."""

import json
import re

import pytest
from django.test import Client

HOSTS = ["testserver", "testserver:9999", "TESTSERVER", "localhost", "localhost:1", "evil.example.com"]


@pytest.mark.parametrize("site", ["https://keys.example.com", "http://testserver"])
def test_links_in_mail_do_not_depend_on_the_client(acme, mailbox, settings, site):
    settings.SITE_URL = site
    settings.ALLOWED_HOSTS = ["*"]
    document = json.dumps({"meta": {"email": acme.admin.email}})

    for number, host in enumerate(HOSTS):
        headers = {"Host": host, "X-Forwarded-Host": host, "X-Forwarded-Proto": "https"}
        client = Client(headers=headers, REMOTE_ADDR=f"192.0.2.{number}")
        response = client.post("/v1/accounts/acme/passwords", document, content_type="application/json")
        assert response.status_code == 204

    links = [re.search(r"POST (\S+)/v1/", message.body)[1] for message in mailbox]
    assert links == [site] * len(HOSTS)


def test_links_in_mail_have_the_first_host_by_default(settings):
    assert (settings.SITE_URL, settings.ALLOWED_HOSTS[0]) == ("http://testserver", "testserver")
