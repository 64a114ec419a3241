"""Responses must not reveal users, ids of other accounts, or keys of other products.

The attacks of the security review's M2, L1, L2, L3 and L8, over all spellings and resources.
"""

import json
from datetime import timedelta
from time import time
from unittest import mock
from uuid import uuid4

import pytest
from django.contrib.auth.hashers import MD5PasswordHasher
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.password_reset import make_reset_token
from keygen_site.jsonapi.openapi.routes import list_endpoints
from licensing.models import License, Machine, Process
from licensing.services import issue_license
from pools.services.import_workers import run_waiting_imports
from pools.services.keys import withdraw_key
from tests.accounts.documents import basic
from tests.cast import add_keys, make_license, make_policy
from tests.errors import not_found
from tests.licensing.machines import activation, make_machine, make_process, part
from tests.licensing.test_license_check_out import opened
from tests.pools.background import waiting
from tests.pools.documents import linkage

PASSWORD = "open sesame"
NEW = "a better one"


@pytest.fixture
def joe(acme):
    return acme.user("user", email="joe@acme.test", password=PASSWORD)


def reset_path(identifier):
    return f"users/{identifier}/actions/reset-password"


def reset_document(token="x", new=NEW):
    return {"meta": {"passwordResetToken": token, "newPassword": new}}


class TestWhoExists:
    def answer(self, api, identifier, document, number):
        """The response without the parts that repeat the request. Each request has its own IP address."""
        response = api().post(reset_path(identifier), document, X_Forwarded_For=f"198.51.100.{number}")
        body = json.loads(response.content)
        body.get("meta", {}).pop("id", None)
        return response.status_code, json.dumps(body).replace(identifier.lower(), "…")

    def test_reset_password_answers_alike_whether_or_not_the_user_exists(self, acme, api, joe, rival, settings):
        settings.BEHIND_TLS_PROXY = True
        passwordless = acme.user("user", email="ann@acme.test")
        with mock.patch("django.core.signing.time.time", return_value=time() - timedelta(hours=25).total_seconds()):
            expired = make_reset_token(rival.admin)  # of the attacker
        documents = [
            *({}, {"meta": None}, {"meta": {}}, {"meta": {"nonsense": 1}}, {"data": {}}),
            *(
                reset_document(),
                reset_document(""),
                reset_document(1),
                reset_document("x", ""),
                reset_document("x", "1"),
            ),
            *(reset_document(make_reset_token(rival.admin)), reset_document(expired)),
        ]
        pairs = [(user.email, "unknown@acme.test") for user in (joe, passwordless, acme.admin)]
        pairs += [(str(user.pk), str(uuid4())) for user in (joe, passwordless, acme.admin)]
        told, number = [], 0
        for document in documents:
            for known, unknown in pairs:
                number += 1
                answers = [self.answer(api, name, document, number) for name in (known, unknown)]
                if answers[0] != answers[1]:
                    told.append((document, known, answers))

        assert not told

    def test_spellings_of_a_user_share_a_limit(self, api, joe, settings):
        settings.BEHIND_TLS_PROXY = True
        spellings = {
            "192.0.2.1": ["joe@acme.test", "JOE@acme.test", "joe@acme.test%20", "%20%20joe@acme.test", "joe@acme.tesT"],
            "192.0.2.2": [str(joe.pk), str(joe.pk).upper(), joe.pk.hex, joe.pk.hex.upper(), str(joe.pk)],
        }
        for ip_address, names in spellings.items():
            statuses = [
                api().post(reset_path(name), reset_document(), X_Forwarded_For=ip_address).status_code
                for name in [*names, names[0]]
            ]
            assert statuses == [404] * 5 + [429]

    def test_many_users_share_a_limit_by_address(self, api, acme):
        statuses = [api().post(reset_path(f"u{n}@acme.test"), reset_document()).status_code for n in range(21)]

        assert statuses == [404] * 20 + [429]

    def test_forgotten_passwords_take_the_same_steps(self, acme, rival, api, joe, settings, monkeypatch):
        """Work that only an existing user needs, such as the text of the mail, is done after the response."""
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        jobs, statements = [], []
        monkeypatch.setattr("accounts.background.run_in_background", lambda *job: jobs.append(job))
        monkeypatch.setattr("accounts.password_reset.render_to_string", mock.Mock(side_effect=AssertionError))
        for account, email in (("acme", joe.email), ("rival", "unknown@acme.test")):
            with CaptureQueriesContext(connection) as queries:
                assert api(account=account).post("passwords", {"meta": {"email": email}}).status_code == 204
            statements.append([query["sql"].partition(" ")[0] for query in queries])

        assert len(jobs) == 1
        assert statements[0] == statements[1]

    @pytest.mark.parametrize("password", ["wrong", "", "   "])
    def test_uniform_errors_cost_the_same(self, api, acme, joe, settings, monkeypatch, password):
        settings.UNIFORM_SIGN_IN_ERRORS = settings.BEHIND_TLS_PROXY = True
        acme.user("user", email="ann@acme.test")  # without a password
        hashes, encode = [], MD5PasswordHasher.encode
        monkeypatch.setattr(MD5PasswordHasher, "encode", lambda *given: hashes.append(given) or encode(*given))
        answers = set()
        for number, email in enumerate(("joe@acme.test", "ann@acme.test", "unknown@acme.test")):
            del hashes[:]
            headers = {"Authorization": basic(email, password), "X-Forwarded-For": f"198.51.100.{number}"}
            response = api().post("tokens", **headers)
            answers.add((response.status_code, response.json()["errors"][0]["code"], len(hashes)))

        assert len(answers) == 1


class TestIdsOfOtherAccounts:
    def test_an_id_of_another_account_is_answered_like_one_of_the_own(self, acme, rival, api):
        """For every resource whose id a client may choose."""
        serializers = {endpoint.view.serializer_class for endpoint in list_endpoints() if endpoint.action == "create"}
        chosen = {each.Meta.model for each in serializers if getattr(each.Meta, "client_ids", False)}
        rows, own = {License: [], Machine: [], Process: []}, None
        for company in (acme, rival):
            license = make_license(company.unpooled)
            machine = make_machine(license, "MACHINE")
            own = own or (license, machine)
            rows[License].append(license)
            rows[Machine].append(machine)
            rows[Process].append(make_process(machine))
        documents = {
            License: {"data": {"type": "licenses", "relationships": {"policy": linkage(acme.unpooled)}}},
            Machine: activation(own[0], "NEW"),
            Process: part("processes", own[1], pid="NEW"),
        }
        assert chosen == rows.keys()
        for model, pair in rows.items():
            document, answers = documents[model], []
            for row in pair:
                document["data"]["id"] = str(row.pk)
                response = api(acme.admin).post(document["data"]["type"], document)
                answers.append((response.status_code, response.json()["errors"]))
            assert answers[0] == answers[1]
            assert (answers[0][0], answers[0][1][0]["code"]) == (422, "ID_CONFLICT")


class TestHiddenOwner:
    """A product sees the customers of its licenses, not colleagues of the staff that own one."""

    @pytest.fixture(params=["developer", "admin"])
    def owner(self, request, acme):
        return acme.user(request.param, email="secret@acme.test")

    @pytest.fixture
    def license(self, acme, owner):
        license = make_license(acme.unpooled, "LICENSE-KEY", owner=owner)
        attached = acme.user("developer", email="secret-too@acme.test")
        license.license_users.create(account=acme.account, user=attached)
        return license

    def test_no_answer_tells_the_email_of_a_hidden_user(self, acme, api, owner, license):
        told = []
        product = api(acme.product)
        for path in ("owner", "user", "users", f"users/{owner.pk}"):
            if b"secret" in product.get(f"licenses/{license.pk}/{path}").content:
                told.append(path)
        for include in ("owner", "user", "users", "owner,users"):
            file = product.get(f"licenses/{license.pk}/actions/check-out?include={include}")
            posted = product.post(f"licenses/{license.pk}/actions/check-out", {"meta": {"include": include.split(",")}})
            for certificate in (file.content.decode(), posted.json()["data"]["attributes"]["certificate"]):
                if "secret" in json.dumps(opened(acme.account, certificate)[0]):
                    told.append(include)

        for name in ("owner", "user"):
            if product.get(f"licenses?{name}=secret@acme.test").json()["data"]:
                told.append(f"?{name}")

        assert not told
        assert product.get(f"licenses/{license.pk}/owner").json() == {"data": None}

    def test_those_who_see_the_owner_still_do(self, acme, api, license):
        shown = api(acme.admin).get(f"licenses/{license.pk}/owner").json()["data"]
        assert shown["attributes"]["email"] == "secret@acme.test"
        customer = acme.user("user", email="customer@acme.test")
        own = make_license(acme.unpooled, "ANOTHER-KEY", owner=customer)
        for bearer in (acme.product, customer):
            shown = api(bearer).get(f"licenses/{own.pk}/owner").json()["data"]
            assert shown["attributes"]["email"] == "customer@acme.test"


class TestKeysOfOtherProducts:
    """An import, a dry run first, tells a product nothing about texts that are not its own."""

    @pytest.fixture
    def texts(self, acme, audit):
        """Texts by the place where the account has them; `own …` is in the product of the importing policy."""
        other = make_policy(acme.another_product(), "Other", use_pool=True)
        found = {}
        for name, policy in (("own", make_policy(acme.product, "Second", use_pool=True)), ("other", other)):
            keys = [f"{name.upper()}-KEY-{number}" for number in range(5)]
            add_keys(policy, *keys)
            assert policy.pool.pop(audit).key == keys[0]
            issued = issue_license(policy=policy, audit=audit)
            withdraw_key(policy=policy, text=keys[2], audit=audit)
            license = make_license(make_policy(policy.product, f"Unpooled {name}"), f"{name.upper()}-LICENSE")
            deleted = make_license(make_policy(policy.product, f"Gone {name}"), f"{name.upper()}-DELETED")
            deleted.delete()
            found |= {
                f"{name} popped": keys[0],
                f"{name} issued": issued.key,
                f"{name} withdrawn": keys[2],
                f"{name} available": keys[3],
                f"{name} license": license.key,
                f"{name} license id": str(license.pk),
                f"{name} deleted": f"{name.upper()}-DELETED",
            }
        add_keys(acme.policy, "HERE-KEY-1")
        return found | {"here": "HERE-KEY-1"}

    def reasons(self, client, policy, texts, query):
        body = "\n".join(["NEW-KEY-0001", *texts.values()]).encode()
        path = f"policies/{policy.pk}/pool/actions/import?{query}"
        meta = client.request("POST", path, body, "text/plain").json()["meta"]
        by_line = {each["line"]: (each["code"], each["detail"]) for each in meta["rejections"]}
        return {name: by_line.get(number) for number, name in enumerate(texts, start=2)}, meta

    def test_the_import_of_an_admin_tells_a_product_nothing(self, acme, api, texts):
        """Its report has texts of other products, and where they are."""
        body = "\n".join(["NEW-KEY-0001", *texts.values()])
        for query in ("?background&skip-invalid", "?background&dry-run", "?background"):
            pending = waiting(api(acme.admin), f"policies/{acme.policy.pk}/pool/actions", body.encode(), query)
            run_waiting_imports(wait=False)

            response = api(acme.product).get(f"key-imports/{pending.pk}")

            assert (response.status_code, response.json()["errors"]) == (404, [not_found("import", pending.pk)])

    @pytest.mark.parametrize("query", ["dry-run=true&skip-invalid=true", "dry-run=true", "skip-invalid=true", ""])
    def test_a_product_learns_one_reason(self, acme, api, texts, query):
        reasons, _ = self.reasons(api(acme.product), acme.policy, texts, query)

        foreign = {reason for name, reason in reasons.items() if name.startswith("other")}
        assert foreign == {("taken", "The key is already taken in this account")}
        assert reasons["own license id"] == reasons["other license id"]
        codes = {name: reason[0] for name, reason in reasons.items()}
        assert (codes["own popped"], codes["own available"], codes["here"]) == ("popped", "elsewhere", "available")
        assert codes["own license"] == "license"

    def test_staff_learn_more(self, acme, api, texts):
        reasons, _ = self.reasons(api(acme.admin), acme.policy, texts, "dry-run=true")

        codes = {name: reason[0] for name, reason in reasons.items()}
        assert "taken" not in codes.values()
        assert (codes["other popped"], codes["other license id"]) == ("popped", "license_id")

    def test_no_warning_tells_that_a_foreign_key_looks_alike(self, acme, api, texts):
        look_alikes = {"look-alike": texts["other available"].replace("-", "\u2010")}
        warnings = {}
        for role, bearer in (("product", acme.product), ("admin", acme.admin)):
            _, meta = self.reasons(api(bearer), acme.policy, look_alikes, "dry-run")
            warnings[role] = [each["code"] for each in meta["warnings"]]

        assert ("look_alike" in warnings["product"], "look_alike" in warnings["admin"]) == (False, True)


def test_lists_take_a_few_metadata_filters(acme, api):
    """Each compares all metadata of the account, and the time grew with the square of their number."""
    admin, lists = api(acme.admin), 0
    for endpoint in list_endpoints():
        filterset = getattr(endpoint.view, "filterset_class", None)
        if endpoint.action != "list" or not filterset or "metadata" not in filterset.base_filters:
            continue
        rows = {kind: acme.bearer(kind) for kind in ("user", "product", "license")} | {"policy": acme.policy}
        path = endpoint.path.format(account="acme", **{name: row.pk for name, row in rows.items()})
        for spelling in ("metadata[k{}]=v", "metadata[a][k{}]=v", "metadata[k][]=v{}"):
            few, many = ("&".join(spelling.format(number) for number in range(count)) for count in (10, 11))
            assert admin.get(f"{path}?{few}").status_code == 200
            refused = admin.get(f"{path}?{many}")
            error = refused.json()["errors"][0]
            assert (refused.status_code, error["source"]) == (400, {"parameter": "metadata"})
        lists += 1

    assert lists >= 2
