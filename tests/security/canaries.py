"""Secrets that can be recognised wherever they turn up, and requests that carry them."""

import base64
import json
import re

import pytest
from django.core import mail
from django.test import Client, TestCase
from uuid_utils.compat import uuid7

from accounts.models import Token
from tests.accounts.documents import basic, token_document, user_document
from tests.cast import add_keys, make_policy
from tests.console import act, page, shown, staff
from tests.licensing.test_issue_license import license_document

OLD_PASSWORD, NEW_PASSWORD, RESET_PASSWORD = "canary-of-old-7391", "canary-of-new-2846", "canary-of-reset-5517"
CONSOLE_PASSWORD = "canary-of-console-9024"
POOL_KEY = "CANARY-POOL-KEY-83617"


def spellings(secret):
    """The bytes by which a secret could be read out of something."""
    plain = secret.encode()
    found = {plain, base64.b64encode(plain), base64.urlsafe_b64encode(plain), plain.hex().encode()}
    # Base64 of a longer text that contains it, at each of the three offsets.
    for offset in range(3):
        found.add(base64.b64encode(b"\0" * offset + plain)[(offset * 8 + 5) // 6 + (offset > 0) : -4])
    return found


def is_in(secret, content):
    content = content if isinstance(content, bytes) else str(content).encode()
    return any(spelling in content for spelling in spellings(secret))


class Story:
    """Uses every route that carries a secret, with an `Idempotency-Key` where one can be sent.

    Attributes:
        secrets: by kind, the texts that were sent or received.
    """

    def __init__(self, company, api):
        self.company, self.api, self.number = company, api, 0
        self.secrets = {"password": [OLD_PASSWORD, NEW_PASSWORD, RESET_PASSWORD, CONSOLE_PASSWORD]}

    def note(self, kind, text):
        assert text
        self.secrets.setdefault(kind, []).append(text)
        return text

    def send(self, caller, method, path, document=None, **headers):
        self.number += 1
        return caller.request(method, path, document, Idempotency_Key=f"n{self.number}", **headers)

    def tell(self):
        self.passwords()
        self.tokens()
        self.keys()
        self.console()
        self.links()
        return self.secrets

    def passwords(self):
        admin = self.api(self.company.admin)
        address = "users/canary@acme.test"
        made = self.send(admin, "POST", "users", user_document(email="canary@acme.test", password=OLD_PASSWORD))
        assert made.status_code == 201, made.content
        signed_in_user = self.sign_in(OLD_PASSWORD)
        changed = {"meta": {"oldPassword": OLD_PASSWORD, "newPassword": NEW_PASSWORD}}
        assert self.send(signed_in_user, "POST", f"{address}/actions/update-password", changed).status_code == 200
        self.sign_in(NEW_PASSWORD)
        wanted = self.send(self.api(), "POST", "passwords", {"meta": {"email": "canary@acme.test"}})
        assert wanted.status_code == 204
        for sent in mail.outbox:
            for text in re.findall(r"[\w-]{20,}:[\w-]+:[\w-]{20,}", sent.body):
                self.note("reset token", text)
        self.send(admin, "PATCH", address, user_document(password=RESET_PASSWORD))
        self.sign_in(RESET_PASSWORD)

    def sign_in(self, password):
        response = self.send(self.api(), "POST", "tokens", Authorization=basic("canary@acme.test", password))
        assert response.status_code == 201, response.content
        return self.api(self.note("token", response.json()["data"]["attributes"]["token"]))

    def tokens(self):
        admin = self.api(self.company.admin)
        license = self.send(admin, "POST", "licenses", license_document(self.company.unpooled)).json()["data"]["id"]
        for path in (
            f"products/{self.company.product.pk}/tokens",
            f"licenses/{license}/tokens",
            "users/canary@acme.test/tokens",
        ):
            made = self.send(admin, "POST", path, token_document())
            assert made.status_code in (200, 201), (path, made.content)
            self.note("token", made.json()["data"]["attributes"]["token"])
            again = self.send(admin, "PUT", f"tokens/{made.json()['data']['id']}")
            assert again.status_code == 200, again.content
            self.note("token", again.json()["data"]["attributes"]["token"])
        self.note("token", self.company.admin_token)

    def keys(self):
        admin = self.api(self.company.admin)
        self.encrypted = make_policy(self.company.product, "Encrypted", encrypted=True)
        made = self.send(admin, "POST", "licenses", license_document(self.encrypted))
        key = self.note("encrypted key", made.json()["data"]["attributes"]["key"])
        for encrypted in (True, False):
            meta = {"key": key, "encrypted": encrypted}
            self.send(admin, "POST", "licenses/actions/validate-key", {"meta": meta})
            self.send(self.api(), "POST", "licenses/actions/validate-key", {"meta": meta})
        self.send(self.api(), "GET", "me", Authorization=f"License {key}")
        add_keys(self.company.policy, POOL_KEY)
        self.note("pool key", POOL_KEY)
        pool = f"policies/{self.company.policy.pk}/pool"
        assert self.send(admin, "DELETE", pool).status_code == 200
        document = {"meta": {"key": POOL_KEY, "undelivered": True}}
        assert self.send(admin, "POST", f"{pool}/actions/return", document).status_code == 200
        self.send(admin, "POST", "key-events/actions/search", document)

    def console(self):
        person = staff(self.company, password=CONSOLE_PASSWORD)
        client, company = Client(), self.company
        answer = client.post(page("login"), {"username": person.email, "password": CONSOLE_PASSWORD})
        assert answer.status_code == 302
        issued = client.post(page("licensing_license_add"), {"policy": str(self.encrypted.pk), "reference": ""})
        self.note("encrypted key", shown(client, issued))
        for address, row in (("licensing_product_token", company.product), ("accounts_user_token", person)):
            self.note("token", shown(client, act(client, address, row, name="Shop")))
        popped = client.post(page("pools_pool_pop", company.policy.pk), {"count": 1, "once": uuid7()})
        assert POOL_KEY in shown(client, popped)
        act(client, "pools_key_reveal", company.policy.pool.get())
        client.get(page("pools_key_changelist", q=POOL_KEY))
        made = {"email": "another@acme.test", "role": "user", "metadata": "{}", "new_password": CONSOLE_PASSWORD}
        assert client.post(page("accounts_user_add"), made).status_code == 302

    def links(self):
        """Invite a person, who joins, forgets the password, and sets another one."""
        client = Client()
        client.force_login(staff(self.company, email="inviter@acme.test", password=CONSOLE_PASSWORD))
        values = {"email": "joins@acme.test", "role": "support"}
        with TestCase.captureOnCommitCallbacks(execute=True):
            assert client.post(page("accounts_invitation_add"), values).status_code == 302
        self.follow(page("join"), OLD_PASSWORD)
        response = Client().post(page("forgot_password"), {"email": "joins@acme.test"})
        assert response.status_code == 302
        self.follow(page("reset"), NEW_PASSWORD)

    def follow(self, address, password):
        """Open the link of the last mail, and choose a password."""
        token = self.note("reset token", re.search(rf"{address}\?token=(\S+)", mail.outbox[-1].body)[1])
        client = Client()
        assert client.get(address, {"token": token}).status_code == 302
        values = {"new_password": password, "new_password_again": password}
        assert client.post(address, values).status_code == 302


@pytest.fixture
def story(acme, api, settings, monkeypatch):
    monkeypatch.setattr("accounts.background.run_in_background", lambda function, *args: function(*args))
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    return Story(acme, api)


def secrets_of_document(document):
    """Replace the secrets in a request document by canaries. Returns the document and the canaries."""
    planted = []

    def plant(name, value):
        if isinstance(value, dict):
            return {inner: plant(inner, each) for inner, each in value.items()}
        if isinstance(value, list):
            return [plant(name, each) for each in value]
        if isinstance(value, str) and name.lower().endswith(("password", "token", "key")):
            planted.append(f"CANARY-{name}-{len(planted)}-6152837")
            return planted[-1]
        return value

    return plant("", document), planted


def as_json(document):
    return json.dumps(document)


def token_of_another(company):
    """A token that was deleted, so that it is refused."""
    token, text = Token.generate(company.user())
    token.delete()
    return text
