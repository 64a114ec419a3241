"""The page of the API at /docs."""

from html.parser import HTMLParser

import pytest
from django.contrib.staticfiles import finders

from keygen_site.jsonapi.errors import REFERENCE
from keygen_site.jsonapi.exceptions import error_object
from keygen_site.jsonapi.openapi.error_codes import known_errors
from keygen_site.jsonapi.openapi.generator import build
from keygen_site.jsonapi.openapi.markdown import render

pytestmark = pytest.mark.without_database


class Page(HTMLParser):
    """The ids and links of a page, the URLs it loads, and content that a strict content security policy would block."""

    def __init__(self, response):
        super().__init__()
        self.ids, self.links, self.loaded, self.inline = [], [], [], []
        self.feed(response.content.decode())

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        is_inline_script = tag == "script" and "src" not in attributes
        if (
            is_inline_script
            or tag == "style"
            or "style" in attributes
            or any(name.startswith("on") for name in attributes)
        ):
            self.inline.append(self.get_starttag_text())
        self.loaded += [attributes[name] for name in ("src", "href") if name in attributes and tag != "a"]
        self.links += [attributes["href"]] if tag == "a" else []
        self.ids += [attributes["id"]] if "id" in attributes else []


@pytest.fixture
def response(client):
    return client.get("/docs")


@pytest.fixture
def page(response):
    return Page(response)


class TestPage:
    def test_reference_page_shows_every_operation_with_its_command(self, response, page):
        operations = [each for methods in build()["paths"].values() for each in methods.values()]

        assert [each["operationId"] for each in operations if each["operationId"] not in page.ids] == []
        assert response.content.decode().count('<pre class="curl"><code>curl ') == len(operations)

    def test_reference_page_has_an_anchor_for_every_error_code_and_attribute(self, page):
        assert {error.code for error in known_errors()} - set(page.ids) == set()
        assert {"keys-object-attrs-key", "policies-object-relationships-product", "errors", "signatures"} < set(
            page.ids
        )

    def test_reference_page_needs_nothing_from_elsewhere(self, response, page):
        assert response["Content-Security-Policy"].startswith("default-src 'self'")
        assert page.inline == []
        assert [link for link in page.loaded if not link.startswith("/static/")] == []
        assert all(finders.find(link.removeprefix("/static/")) for link in page.loaded)

    def test_reference_page_has_unique_ids_and_no_dead_link(self, page):
        assert len(page.ids) == len(set(page.ids))
        local = {link[1:] for link in page.links if link.startswith("#")}
        assert local - set(page.ids) == set()
        assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json", "/admin/"}

    def test_reference_page_shows_html_in_texts_as_text(self):
        assert render("a <script>b</script> `<c>`") == (
            "<p>a &lt;script&gt;b&lt;/script&gt; <code>&lt;c&gt;</code></p>\n"
        )


def test_errors_that_only_this_server_has_link_to_their_code():
    own = [error for error in known_errors() if error.about == REFERENCE]

    assert [error_object(error)["links"] for error in own] == [{"about": f"/docs#{error.code}"} for error in own]
    assert {"BUSY", "IDEMPOTENCY_KEY_REUSED", "IMPORT_REJECTED", "KEY_DISCLOSED"} <= {error.code for error in own}


@pytest.mark.django_db
def test_sign_in_page_links_the_reference(client):
    assert "/docs" in Page(client.get("/admin/login/")).links
