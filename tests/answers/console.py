"""The sections about the console: its pages as people of each group see them, and the effects of its forms."""

import re
from html.parser import HTMLParser
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.answers.recording import Recorder, Response
from tests.answers.tables import PASSWORD, lines, words

ROOT = "root@example.test"
GROUPS = ["Operator", "Support", "Auditor"]
# The pages below each of these pages.
PAGES = {
    "": "licensing/ pools/ accounts/ nothing/ password_change/ jsi18n/ autocomplete/ auth/group/ auth/group/add/",
    "licensing/policy/": """
        ?q=terms add/ {pooled}/change/ {empty}/change/ {terms}/change/ x/change/ {terms}/history/ {terms}/delete/
    """,
    "pools/pool/": """
        ?q=pool add/ export/ {pooled}/change/ {pooled}/change/?days=90 {empty}/change/ {terms}/change/ x/change/
        {pooled}/imports/ {pooled}/activity/ {pooled}/usage/ {pooled}/terms/ {pooled}/alert/ {pooled}/history/
        {pooled}/delete/ {pooled}/pop/ {pooled}/export/ {terms}/pop/
    """,
    "licensing/product/": """
        add/ {rocket}/change/ {rival-product}/change/ acts/token/?id={rocket} acts/token/?id={rival-product}
    """,
    "licensing/license/": """
        ?q=LICENSE-OF-JOE ?q=joe@acme.test ?q=Pool ?status=SUSPENDED ?policy__id__exact={terms} add/
        add/?policy={pooled} {license}/change/ {suspended}/change/ {pooled-license}/change/ {license}/history/
        acts/suspend/?id={license} acts/suspend/?id={license}&id={expiring} acts/reinstate/?id={suspended}
        acts/renew/?id={license} acts/revoke/?id={license} acts/revoke/ acts/revoke/?id=x
    """,
    "pools/key/": """
        ?policy={pooled} ?policy={pooled}&state=popped ?policy={pooled}&state=withdrawn ?policy={pooled}&import={import}
        ?policy={pooled}&since=7 ?policy=x ?q=POOL-0001 ?q=0005 ?q=Order%201 ?q={pooled-license} ?q=nothing ?e=1 add/
        {key-12}/change/ {popped}/change/ {other-key}/change/ {joe}/change/ acts/reveal/?id={key-12}
        acts/return/?id={popped} acts/withdraw/?id={key-12}&id={key-11}
    """,
    "pools/keyimport/": "?q=First {import}/change/ acts/withdraw/?id={import}",
    "activity/": "?policy={pooled} ?kind=licenses ?who={joe} ?reference=Order%202",
    "accounts/user/": """
        ?q=joe ?role__exact=admin ?is_staff__exact=1 add/ {joe}/change/ {admin-user}/change/ {rival-user}/change/
        acts/token/?id={joe} acts/ban/?id={joe}&id={jane} acts/unban/?id={banned}
    """,
    "accounts/token/": "?q=x {joe-token}/change/ acts/revoke/?id={joe-token}",
    "accounts/account/": "add/ {acme}/change/",
}
# A page, and the values for its form, separated by semicolons.
FORMS = """
    licensing/policy/add/ name=By form; product={rocket}
    licensing/policy/add/ name=; product={rocket}; duration_number=1; scheme=ED25519_SIGN
    pools/pool/add/ name=By form; product={rocket}
    pools/pool/add/ name=By form; new_product=Sketchline; duration_number=1; duration_unit=years; duration_never=
    pools/pool/{pooled}/terms/ name=Renamed; max_uses=3
    pools/pool/{pooled}/alert/ alert_at=5; alert_unit=keys
    pools/pool/{pooled}/alert/ alert_at=0; alert_unit=days
    pools/pool/{pooled}/usage/ name=By form
    licensing/policy/{terms}/change/ max_users=0
    pools/pool/{pooled}/pop/ count=2; reference=By hand
    pools/pool/{pooled}/pop/ count=100
    pools/pool/{pooled}/pop/ count=0
    pools/pool/{empty}/pop/
    pools/pool/{pooled}/export/ state=available; format=csv
    pools/pool/{pooled}/export/ state=popped; format=ndjson
    pools/pool/{pooled}/export/ state=x; format=text
    licensing/product/add/ name=By form; code=form; account={acme}
    licensing/product/add/ name=By form; code=rocket; account={acme}
    licensing/product/{rocket}/change/ name=Renamed; url=https://rocket.example.com
    licensing/product/acts/token/?id={rocket} name=By form
    licensing/license/add/ policy={pooled}; owner=joe@acme.test; name=By form; reference=Order 5
    licensing/license/add/ policy={empty}
    licensing/license/add/ policy={terms}; owner=nobody@acme.test
    licensing/license/ action=suspend; _selected_action={license}
    licensing/license/acts/suspend/?id={license}
    licensing/license/acts/suspend/?id={suspended}
    licensing/license/acts/suspend/?id={license}&id={suspended}
    licensing/license/acts/reinstate/?id={suspended}
    licensing/license/acts/renew/?id={license}
    licensing/license/acts/renew/?id={pooled-license}
    licensing/license/acts/revoke/?id={license}
    pools/key/acts/reveal/?id={key-12} reference=Ticket 1
    pools/key/acts/return/?id={popped} reference=Mistake
    pools/key/acts/return/?id={key-12}
    pools/key/acts/withdraw/?id={key-12}&id={popped} reference=Leaked
    pools/keyimport/acts/withdraw/?id={import}
    accounts/user/add/ email=form@acme.test; role=user; new_password=open sesame; account={acme}
    accounts/user/add/ email=joe@acme.test; new_password=x; account={acme}
    accounts/user/{joe}/change/ first_name=Joseph; new_password=another one
    accounts/user/{admin-user}/change/ role=user
    accounts/user/acts/token/?id={joe} name=By form
    accounts/user/acts/ban/?id={joe}&id={banned}
    accounts/user/acts/unban/?id={banned}
    accounts/token/acts/revoke/?id={joe-token}
    accounts/account/add/ name=By form; slug=form; admin_email=a@form.test
    accounts/account/add/ name=By form; slug=acme
    accounts/account/{acme}/change/ name=Renamed
"""
UPLOADS: list[dict[str, Any]] = [
    {"keys": "PASTED-0001\nPASTED-0002\n", "name": "Pasted"},
    {"keys": "PASTED-0001\nshort\nPOOL-0001\n"},
    {"keys": "POOL-0001\n"},
    {"keys": "code,note\nPASTED-0001,x\n", "format": "csv", "column": "code"},
    {"keys": ""},
    {"file": b'{"key": "FILED-0001"}\n'},
]


class Form(HTMLParser):
    """The fields of the last form of a page that is posted, with the values that a browser would send.

    Attributes:
        fields: their values by name.
        options: the values of the options of selections, by their text.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, Any] = {}
        self.options: dict[str, str] = {}
        self.inside = self.name = self.option = ""
        self.feed(page)

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in pairs}
        name, type = attributes.get("name", ""), attributes.get("type", "text")
        if tag == "form" and attributes.get("method") == "post":
            self.fields = {}
        elif tag == "input" and name and type not in ("submit", "file"):
            if type not in ("checkbox", "radio") or "checked" in attributes:
                self.fields[name] = attributes.get("value", "on" if type == "checkbox" else "")
        elif tag in ("select", "textarea"):
            self.inside, self.name = tag, name
            if tag == "textarea":
                self.fields[name] = ""
        elif tag == "option" and self.inside == "select":
            self.option = attributes.get("value", "")
            if "selected" in attributes:
                self.fields[self.name] = self.option

    def handle_data(self, data: str) -> None:
        if self.inside == "textarea":
            self.fields[self.name] += data.removeprefix("\n")
        elif self.inside == "select" and self.option:
            self.options[data.strip()] = self.option

    def handle_endtag(self, tag: str) -> None:
        if tag == self.inside:
            self.inside = self.option = ""


class Person:
    """A person with a browser, at an address."""

    def __init__(self, recorder: Recorder, name: str) -> None:
        self.recorder, self.name, self.client, self.address = recorder, name, Client(), ""

    def get(self, address: str) -> Response:
        self.address = address
        return self.recorder.browse(self.client, f"GET {address}", None, self.name)

    def send(self, address: str, fields: dict[str, Any], page: Response | None = None) -> Response:
        """Fill in the form of a page, send it, and look at the page that it leads to."""
        page = page or self.get(address)
        filled = Form(page.text).fields | self.recorder.filled(fields)
        response = self.recorder.browse(self.client, f"POST {address}", filled, self.name)
        return self.get(self.recorder.named(response.headers["Location"])) if response.status == 302 else response

    def sign_in(self, email: str, password: str = PASSWORD) -> None:
        self.send("/admin/login/", {"username": email, "password": password})

    def upload(self, fields: dict[str, Any], choice: str) -> None:
        """Upload keys to the import page, look at the preview, and confirm it."""
        policy = self.get("/admin/pools/pool/{pooled}/change/")
        address = self.recorder.named(re.findall(r'href="(/admin/[^"]*/import/[^"]*)"', policy.text)[0])
        if "file" in fields:
            fields = fields | {"file": SimpleUploadedFile("keys.ndjson", fields["file"])}
        page = self.send(address, fields)
        place = self.address
        for link in re.findall(r'href="(/admin/[^"]*/rejected/)"', page.text):
            self.get(link)
        if place != address:
            self.send(place, {choice: "on"}, page)


def record(recorder: Recorder) -> None:
    people = {name: Person(recorder, name) for name in ("superuser", *GROUPS, "anonymous")}
    root, operator = people["superuser"], people["Operator"]
    with recorder.story("console"):
        recorder.command("createsuperuser", "--noinput", "--email", ROOT)
        root.sign_in(ROOT, "wrong")
        root.sign_in(ROOT)
        for group in GROUPS:
            recorder.move(minutes=1)
            groups = Form(root.get("/admin/accounts/user/add/").text).options
            fields = {"account": "{acme}", "email": f"{group}@acme.test", "role": "admin", "new_password": PASSWORD}
            root.send("/admin/accounts/user/add/", fields | {"is_staff": "on", "groups": groups[group]})
            people[group].sign_in(f"{group}@acme.test")
        people["anonymous"].sign_in("joe@acme.test")
        recorder.browse(operator.client, "POST /admin/licensing/policy/add/", {}, "Operator without a token")
    recorder.move(minutes=1)

    recorder.section = "console pages"
    for place, below in PAGES.items():
        for page in ("", *words(below)):
            for person in people.values():
                with recorder.unchanged():
                    person.get(f"/admin/{place}{page}")
    recorder.section = "console forms"
    for line in lines(FORMS):
        address, _, filled = line.partition(" ")
        fields = dict(field.strip().split("=", 1) for field in filled.split(";") if field)
        for person in (root, operator):
            with recorder.unchanged():
                person.send(f"/admin/{address}", fields)
    for fields in UPLOADS:
        for choice in ("all", "skip"):
            with recorder.unchanged():
                operator.upload(fields, choice)
    with recorder.unchanged():
        operator.send("/admin/logout/", {}, operator.get("/admin/"))
