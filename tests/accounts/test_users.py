"""The people of an account: making, changing, deleting and banning them (contract: platform 8)."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from accounts.models import Token, User
from accounts.services import change_user
from licensing.models import LicenseUser
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import user_document
from tests.cast import make_license, make_policy, make_product, token_of
from tests.conftest import API
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNAUTHORIZED,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unauthorized,
    unprocessable,
)

REFUSED = forbidden()
UNSEEN = "404"
UNKNOWN = "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"
EVERYBODY = ["admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user"]


def outranked(role):
    return forbidden(f"{role.replace('-', ' ')} lacks privileges to perform action on user")


def problem(detail, code, name):
    return unprocessable("users", detail, code, f"/data/attributes/{name}")


LAST_ADMIN = unprocessable(
    "users", "account must have at least 1 admin user", "ACCOUNT_ADMINS_REQUIRED", "/data/relationships/account"
)


@pytest.fixture
def cast(acme, joe, held_license):
    """Joe owns a license that his mate shares; Eve has nothing to do with them, Max only with another product."""
    mate = acme.user("user", email="mate@acme.test")
    LicenseUser.objects.create(account=acme.account, license=held_license, user=mate)
    max = acme.user("user", email="max@acme.test")
    other = make_product(acme.account, "Other")
    make_license(make_policy(other), "license-of-max", owner=max)
    return {
        "admin": acme.admin,
        "another admin": acme.user("admin", email="second@acme.test"),
        "developer": acme.user("developer"),
        "another developer": acme.user("developer", email="dev2@acme.test"),
        "sales-agent": acme.user("sales-agent"),
        "support-agent": acme.user("support-agent"),
        "read-only": acme.user("read-only"),
        "product": acme.product,
        "license": held_license,
        "user": joe,
        "mate": mate,
        "eve": acme.user("user", email="eve@acme.test"),
        "max": max,
    }


def assert_answered(response, answer, user):
    if answer == UNSEEN:
        assert_refused(response, NOT_FOUND, not_found("user", user.pk))
    elif isinstance(answer, dict):
        assert_refused(response, FORBIDDEN, answer)
    else:
        assert response.status_code == answer


class TestDocument:
    def test_shows_a_user(self, api, acme):
        user = acme.user("user", email="ann@acme.test", first_name="Ann", last_name="Lee", metadata={"crm_id": 7})
        account, path = f"/v1/accounts/{acme.account.pk}", f"/v1/accounts/{acme.account.pk}/users/{user.pk}"

        shown = api(acme.admin).get(f"users/{user.pk}").json()["data"]

        moment = shown["attributes"]["created"]
        assert (shown["id"], shown["type"], shown["links"]) == (str(user.pk), "users", {"self": path})
        assert shown["attributes"] == {
            "fullName": "Ann Lee",
            "firstName": "Ann",
            "lastName": "Lee",
            "email": "ann@acme.test",
            "status": "ACTIVE",
            "role": "user",
            "metadata": {"crmId": 7},
            "created": moment,
            "updated": moment,
        }
        links = {
            name: {"links": {"related": f"{path}/{name}"}} for name in ("products", "licenses", "machines", "tokens")
        }
        assert shown["relationships"] == {
            "account": {"links": {"related": account}, "data": {"type": "accounts", "id": str(acme.account.pk)}},
            "group": {"links": {"related": f"{path}/group"}, "data": None},
            **links,
            "secondFactors": {"links": {"related": f"{path}/second-factors"}},
        }

    @pytest.mark.parametrize(("first", "last", "full"), [("Ann", None, None), (None, "Lee", None), ("", "", " ")])
    def test_has_a_full_name_where_both_are_known(self, acme, first, last, full):
        assert User(first_name=first, last_name=last).full_name == full

    @pytest.mark.parametrize("identifier", ["joe@acme.test", "JOE@ACME.test", "{id}", "{hex}"])
    def test_is_found_by_id_and_by_email(self, api, acme, joe, identifier):
        response = api(acme.admin).get("users/" + identifier.format(id=str(joe.pk).upper(), hex=joe.pk.hex))

        assert response.json()["data"]["id"] == str(joe.pk)

    @pytest.mark.parametrize(
        "identifier", ["nobody@acme.test", "nonsense", "admin@rival.test", "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"]
    )
    def test_is_not_found_otherwise(self, api, acme, rival, identifier):
        response = api(acme.admin).get(f"users/{identifier}")

        assert_refused(response, NOT_FOUND, not_found("user", identifier))


class TestStatus:
    OLD = timedelta(days=91)

    def of(self, joe):
        return User.objects.with_activity().get(pk=joe.pk).status, User.objects.get(pk=joe.pk).status

    def test_is_active_for_a_while(self, joe):
        assert self.of(joe) == ("ACTIVE", "ACTIVE")

    def test_is_inactive_when_nothing_happened_lately(self, joe, held_license):
        held_license.created -= self.OLD
        held_license.save()
        User.objects.filter(pk=joe.pk).update(created=timezone.now() - self.OLD)

        assert self.of(joe) == ("INACTIVE", "INACTIVE")

    @pytest.mark.parametrize("moment", ["created", "last_validated", "last_check_in", "last_check_out"])
    @pytest.mark.parametrize("way", ["owned", "shared"])
    def test_is_active_while_a_license_is_used(self, acme, joe, moment, way):
        license = make_license(acme.unpooled, owner=joe if way == "owned" else None)
        if way == "shared":
            LicenseUser.objects.create(account=acme.account, license=license, user=joe)
        license.created -= self.OLD
        setattr(license, moment, timezone.now())
        license.save()
        User.objects.filter(pk=joe.pk).update(created=timezone.now() - self.OLD)

        assert self.of(joe) == ("ACTIVE", "ACTIVE")

    def test_is_banned_whatever_happened(self, joe):
        joe.ban()

        assert self.of(joe) == ("BANNED", "BANNED")


SEEN = {role: {"user", "mate", "eve", "max"} for role in EVERYBODY} | {"license": None, "user": {"user", "mate"}}


class TestList:
    def names(self, response, cast):
        names = {str(row.pk): name for name, row in cast.items()}
        return {names[shown["id"]] for shown in response.json()["data"]}

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_has_the_users_that_a_bearer_sees(self, api, cast, who):
        response = api(cast[who]).get("users?limit=100")

        if SEEN[who] is None:
            assert_refused(response, FORBIDDEN, lacks_permission(who))
        else:
            assert self.names(response, cast) == SEEN[who]

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("roles[]=admin", {"admin", "another admin"}),
            ("roles=read-only", {"read-only"}),
            ("roles[]=developer&roles[]=sales-agent", {"developer", "another developer", "sales-agent"}),
            ("roles[]=emperor", set()),
            ("status=banned", {"eve"}),
            ("status=ACTIVE", {"mate", "max", "user"}),
            ("status=Inactive", set()),
            ("status=DEAD", set()),
            ("product={product}", {"user", "mate"}),
            ("license={license}", {"user", "mate"}),
            ("license={license}&product={product}&status=ACTIVE", {"user", "mate"}),
            ("product=nonsense", set()),
            ("product=", {"user", "mate", "eve", "max"}),
            ("assigned=true", {"user", "max"}),
            ("assigned=false", {"mate", "eve"}),
            ("active=1", {"user", "max"}),
            ("metadata[crmId]=7", {"mate"}),
            ("metadata[crm_id]=7", {"mate"}),
            ("metadata[vip]=true", {"mate", "eve"}),
            ("metadata[vip]=true&metadata[crmId]=7", {"mate"}),
            ("metadata[vip]=true&metadata[crmId]=8", set()),
            ("metadata[city]=Bonn", {"eve"}),
            ("metadata[none]=null", {"eve"}),
            ("metadata[city]=bonn", set()),
            ("metadata=Bonn", {"user", "mate", "eve", "max"}),
            ("nonsense=1", {"user", "mate", "eve", "max"}),
        ],
    )
    def test_is_filtered(self, api, acme, cast, query, expected):
        change_user(cast["mate"], {"metadata": {"crm_id": 7, "vip": True}})
        change_user(cast["eve"], {"metadata": {"city": "Bonn", "vip": "true", "none": None}})
        cast["eve"].ban()
        query = query.format(product=cast["product"].pk, license=cast["license"].pk)

        assert self.names(api(acme.admin).get(f"users?limit=100&{query}"), cast) == expected

    def test_costs_one_statement_whatever_its_length(self, api, acme, cast, django_assert_num_queries):
        admin = api(acme.admin)

        with django_assert_num_queries(2):  # one for the bearer
            admin.get("users?limit=100")

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_does_not_hide_what_can_be_shown(self, api, cast, who):
        asking = api(cast[who])
        staff = who in ("admin", "developer", "sales-agent", "support-agent", "read-only")
        for name in ("admin", "user", "mate", "eve"):
            response = asking.get(f"users/{cast[name].pk}")

            if staff or (who == "product" and name != "admin") or (who == "user" and name in ("user", "mate")):
                assert response.status_code == 200
            elif who == "license" and name in ("user", "mate"):
                assert_refused(response, FORBIDDEN, lacks_permission("license"))
            else:
                assert_refused(response, NOT_FOUND, not_found("user", cast[name].pk))


CREATES = [
    ("admin", 201),
    ("developer", 201),
    ("sales-agent", 201),
    ("support-agent", REFUSED),
    ("read-only", lacks_permission("read-only")),
    ("product", 201),
    ("license", lacks_permission("license")),
    ("user", lacks_permission("user")),
]


class TestCreate:
    @pytest.mark.parametrize(("who", "answer"), CREATES)
    def test_is_for(self, api, cast, who, answer):
        response = api(cast[who]).post("users", user_document(email="new@acme.test"))

        assert_answered(response, answer, None)

    def test_answers_with_the_user(self, api, acme):
        attributes = {"email": " New@Acme.test ", "firstName": "", "lastName": "Lee", "metadata": {"a": 1}}

        response = api(acme.admin).post("users", user_document(password=PASSWORD, **attributes))

        shown, user = response.json()["data"], User.objects.get(email="new@acme.test")
        assert response["Location"] == f"http://testserver{shown['links']['self']}"
        assert shown["attributes"] | {"created": 0, "updated": 0} == {
            "fullName": " Lee",
            "firstName": "",
            "lastName": "Lee",
            "email": "new@acme.test",
            "status": "ACTIVE",
            "role": "user",
            "metadata": {"a": 1},
            "created": 0,
            "updated": 0,
        }
        assert user.check_password(PASSWORD)
        assert user.account == acme.account
        assert not (user.is_staff)
        assert not (user.is_superuser)

    @pytest.mark.parametrize("attributes", [{}, {"password": None}])
    def test_makes_users_without_a_password(self, api, acme, attributes):
        api(acme.admin).post("users", user_document(email="new@acme.test", **attributes))

        assert not User.objects.get(email="new@acme.test").has_usable_password()

    @pytest.mark.parametrize("role", User.Role.values)
    def test_takes_a_role_from_an_admin(self, api, acme, role):
        response = api(acme.admin).post("users", user_document(email="new@acme.test", role=role))

        assert response.json()["data"]["attributes"]["role"] == role

    @pytest.mark.parametrize("who", [role for role in EVERYBODY if role != "admin"])
    @pytest.mark.parametrize("role", ["user", "admin", None])
    def test_takes_no_role_from_others(self, api, cast, who, role):
        response = api(cast[who]).post("users", user_document(email="new@acme.test", role=role))

        assert_refused(response, BAD, bad_request("unpermitted parameter", "/data/attributes/role"))

    @pytest.mark.parametrize(
        ("document", "error"),
        [
            ({}, bad_request("is missing", "/data")),
            ({"data": {"type": "users"}}, bad_request("is missing", "/data/attributes")),
            (user_document(), bad_request("is missing", "/data/attributes/email")),
            (user_document(email=None), bad_request("cannot be null", "/data/attributes/email")),
            (user_document(email=""), bad_request("cannot be blank", "/data/attributes/email")),
            (user_document(email="a@b.c", admin=True), bad_request("unpermitted parameter", "/data/attributes/admin")),
            (
                user_document(email="a@b.c", permissions=["*"]),
                bad_request("unpermitted parameter", "/data/attributes/permissions"),
            ),
            (user_document(email="a@b.c", role="emperor"), bad_request("is invalid", "/data/attributes/role")),
            (
                user_document(email="a@b.c", password=123456),
                bad_request("type mismatch (received integer expected string)", "/data/attributes/password"),
            ),
            ({"data": {"type": "keys", "attributes": {}}}, bad_request("is invalid", "/data/type")),
        ],
    )
    def test_looks_at_the_document_first(self, api, acme, document, error):
        assert_refused(api(acme.admin).post("users", document), BAD, error)

    @pytest.mark.parametrize(
        ("attributes", "error"),
        [
            ({"email": "nonsense"}, problem("is invalid", "EMAIL_INVALID", "email")),
            ({"email": "a@b"}, problem("is invalid", "EMAIL_INVALID", "email")),
            ({"email": "JOE@acme.test"}, problem("has already been taken", "EMAIL_TAKEN", "email")),
            (
                {"email": "e" * 250 + "@acme.test"},
                problem("is too long (maximum is 255 characters)", "EMAIL_TOO_LONG", "email"),
            ),
            (
                {"password": "12345"},
                problem("is too short (minimum is 6 characters)", "PASSWORD_TOO_SHORT", "password"),
            ),
            ({"password": ""}, problem("is too short (minimum is 6 characters)", "PASSWORD_TOO_SHORT", "password")),
            (
                {"password": "p" * 73},
                problem("is too long (maximum is 72 characters)", "PASSWORD_TOO_LONG", "password"),
            ),
            (
                {"firstName": "n" * 256},
                problem("is too long (maximum is 255 characters)", "FIRST_NAME_TOO_LONG", "firstName"),
            ),
            (
                {"lastName": "n" * 256},
                problem("is too long (maximum is 255 characters)", "LAST_NAME_TOO_LONG", "lastName"),
            ),
            (
                {"metadata": {f"key{number}": 1 for number in range(65)}},
                problem("too many keys (exceeded limit of 64 keys)", "METADATA_TOO_LONG", "metadata"),
            ),
        ],
    )
    def test_refuses(self, api, acme, joe, attributes, error):
        response = api(acme.admin).post("users", user_document(**{"email": "new@acme.test", **attributes}))

        assert_refused(response, UNPROCESSABLE, error)

    @pytest.mark.parametrize("length", [6, 72])
    def test_takes_a_password_of_a_good_length(self, api, acme, length):
        response = api(acme.admin).post("users", user_document(email="new@acme.test", password="p" * length))

        assert response.status_code == 201

    def test_takes_an_email_that_another_account_has(self, api, acme, rival):
        response = api(acme.admin).post("users", user_document(email=rival.admin.email))

        assert response.status_code == 201

    def test_is_not_possible_while_the_account_is_canceled(self, api, acme):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).post("users", user_document(email="new@acme.test")).status_code == 403


class TestSignUp:
    def test_is_for_anybody_where_the_account_is_not_protected(self, api, acme):
        acme.account.protected = False
        acme.account.save()

        response = api().post("users", user_document(email="new@acme.test", password=PASSWORD))

        assert response.status_code == 201
        assert response.json()["data"]["attributes"]["role"] == "user"

    def test_is_for_nobody_where_it_is(self, api, acme):
        response = api().post("users", user_document(email="new@acme.test"))

        assert_refused(response, FORBIDDEN, forbidden("ensure a token or license is present and valid"))

    def test_looks_at_the_document_first(self, api, acme):
        response = api().post("users", user_document(email="new@acme.test", role="user"))

        assert_refused(response, BAD, bad_request("unpermitted parameter", "/data/attributes/role"))

    @pytest.mark.parametrize("method", ["get", "delete", "patch"])
    def test_is_all_that_anybody_may(self, api, acme, joe, method):
        acme.account.protected = False
        acme.account.save()

        response = getattr(api(), method)(f"users/{joe.pk}")

        assert_refused(response, UNAUTHORIZED, unauthorized("TOKEN_MISSING", about="authentication/"))


UPDATES = [
    ("admin", "admin", 200),
    ("admin", "another admin", 200),
    ("admin", "developer", 200),
    ("admin", "user", 200),
    ("developer", "admin", outranked("developer")),
    ("developer", "another developer", 200),
    ("developer", "sales-agent", 200),
    ("developer", "user", 200),
    ("sales-agent", "user", 200),
    ("sales-agent", "support-agent", REFUSED),
    ("sales-agent", "developer", outranked("sales-agent")),
    ("support-agent", "user", REFUSED),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 200),
    ("product", "max", 200),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", 200),
    ("user", "mate", REFUSED),
    ("user", "eve", UNSEEN),
]


class TestUpdate:
    @pytest.mark.parametrize(("who", "whom", "answer"), UPDATES)
    @pytest.mark.parametrize("method", ["patch", "put"])
    def test_is_for(self, api, cast, method, who, whom, answer):
        response = getattr(api(cast[who]), method)(f"users/{cast[whom].pk}", user_document(firstName="New"))

        assert_answered(response, answer, cast[whom])
        cast[whom].refresh_from_db()
        assert cast[whom].first_name == ("New" if answer == 200 else None)

    @pytest.mark.parametrize(
        ("who", "withheld"),
        [
            ("admin", []),
            ("developer", ["role"]),
            ("product", ["role"]),
            ("sales-agent", ["role", "password"]),
            ("support-agent", ["role", "password", "metadata"]),
            ("read-only", ["role", "password", "metadata"]),
            ("user", ["role", "password", "metadata"]),
        ],
    )
    def test_takes_of_others_only_some_attributes(self, api, cast, who, withheld):
        values = {"role": "user", "password": "another one", "metadata": {}}
        for name, value in values.items():
            response = api(cast[who]).patch(f"users/{cast['user'].pk}", user_document(**{name: value}))

            if name in withheld:
                # Before anything is said about permissions.
                assert_refused(response, BAD, bad_request("unpermitted parameter", f"/data/attributes/{name}"))
            else:
                assert response.status_code == 200

    def test_changes_what_was_sent_and_nothing_else(self, api, acme, joe):
        document = user_document(email="J@acme.test", firstName="", lastName=None, metadata={"a": {"b": 1}})

        attributes = api(acme.admin).patch(f"users/{joe.pk}", document).json()["data"]["attributes"]

        assert (attributes["email"], attributes["firstName"], attributes["lastName"]) == ("j@acme.test", "", None)
        assert attributes["metadata"] == {"a": {"b": 1}}
        joe.refresh_from_db()
        assert joe.check_password(PASSWORD)

    def test_refuses_an_email_of_somebody_else(self, api, acme, joe):
        response = api(acme.admin).patch(f"users/{joe.pk}", user_document(email=acme.admin.email))

        assert_refused(response, UNPROCESSABLE, problem("has already been taken", "EMAIL_TAKEN", "email"))

    @pytest.mark.parametrize("attributes", [{"role": "developer"}, {"password": "another one"}, {"password": None}])
    def test_of_role_or_password_revokes_the_users_tokens(self, api, acme, joe, attributes):
        text = token_of(joe)

        api(acme.admin).patch(f"users/{joe.pk}", user_document(**attributes))

        assert API(text).get("me").status_code == 401

    def test_keeps_the_token_in_use(self, acme):
        other = token_of(acme.admin)

        API(acme.admin_token).patch(f"users/{acme.admin.pk}", user_document(password="another one"))

        assert API(acme.admin_token).get("me").status_code == 200
        assert API(other).get("me").status_code == 401

    @pytest.mark.parametrize("attributes", [{"firstName": "New"}, {"role": "user"}, {"metadata": {"a": 1}}])
    def test_of_anything_else_keeps_the_tokens(self, api, acme, joe, attributes):
        text = token_of(joe)

        api(acme.admin).patch(f"users/{joe.pk}", user_document(**attributes))

        assert API(text).get("me").status_code == 200

    def test_removes_a_password(self, api, acme, joe):
        api(acme.admin).patch(f"users/{joe.pk}", user_document(password=None))

        joe.refresh_from_db()
        assert not joe.has_usable_password()

    def test_leaves_an_admin(self, api, acme):
        response = api(acme.admin).patch(f"users/{acme.admin.pk}", user_document(role="user"))

        assert_refused(response, UNPROCESSABLE, LAST_ADMIN)
        acme.admin.refresh_from_db()
        assert acme.admin.role == "admin"

    def test_demotes_an_admin_while_there_is_another(self, api, acme):
        second = acme.user("admin", email="second@acme.test")

        response = api(second).patch(f"users/{acme.admin.pk}", user_document(role="read-only"))

        assert response.json()["data"]["attributes"]["role"] == "read-only"

    def test_does_not_count_the_admins_of_others(self, acme, rival):
        acme.admin.role = "user"

        with pytest.raises(ValidationError) as refusal:
            acme.admin.validate_and_save()

        assert list(refusal.value.error_dict) == ["account"]

    def test_works_while_the_account_is_canceled(self, api, acme, joe):
        acme.account.status = "CANCELED"
        acme.account.save()

        assert api(acme.admin).patch(f"users/{joe.pk}", user_document(firstName="New")).status_code == 200


DELETES = [
    ("admin", "another admin", 204),
    ("admin", "developer", 204),
    ("admin", "user", 204),
    ("developer", "admin", outranked("developer")),
    ("developer", "another developer", 204),
    ("developer", "user", 204),
    ("sales-agent", "user", REFUSED),
    ("support-agent", "user", REFUSED),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 204),
    ("product", "eve", 204),
    ("product", "max", forbidden("user cannot belong to another product")),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", lacks_permission("user")),
    ("user", "eve", UNSEEN),
]


class TestDelete:
    @pytest.mark.parametrize(("who", "whom", "answer"), DELETES)
    def test_is_for(self, api, cast, who, whom, answer):
        response = api(cast[who]).delete(f"users/{cast[whom].pk}")

        assert_answered(response, answer, cast[whom])
        assert User.objects.filter(pk=cast[whom].pk).exists() == (answer != 204)

    def test_takes_tokens_and_licenses_along(self, api, acme, joe, held_license):
        text = token_of(joe)

        api(acme.admin).delete("users/joe@acme.test")

        assert API(text).get("me").status_code == 401
        assert not Token.objects.filter(bearer_id=joe.pk).exists()
        assert not acme.account.licenses.filter(pk=held_license.pk).exists()

    def test_leaves_an_admin(self, api, acme):
        response = api(acme.admin).delete(f"users/{acme.admin.pk}")

        assert_refused(response, UNPROCESSABLE, LAST_ADMIN)
        assert User.objects.filter(pk=acme.admin.pk).exists()


BANS = [
    ("admin", "user", 200),
    ("admin", "developer", forbidden("must have a user role")),
    ("admin", "admin", forbidden("must have a user role")),
    ("developer", "user", 200),
    ("sales-agent", "user", 200),
    ("support-agent", "user", 200),
    ("support-agent", "sales-agent", forbidden("must have a user role")),
    ("read-only", "user", lacks_permission("read-only")),
    ("product", "user", 200),
    ("product", "max", 200),
    ("product", "admin", UNSEEN),
    ("license", "user", lacks_permission("license")),
    ("license", "eve", UNSEEN),
    ("user", "user", lacks_permission("user")),
    ("user", "eve", UNSEEN),
]


class TestBan:
    @pytest.mark.parametrize(("who", "whom", "answer"), BANS)
    def test_is_for(self, api, cast, who, whom, answer):
        response = api(cast[who]).post(f"users/{cast[whom].pk}/actions/ban")

        assert_answered(response, answer, cast[whom])
        cast[whom].refresh_from_db()
        assert bool(cast[whom].banned) == (answer == 200)

    @pytest.mark.parametrize(("who", "whom", "answer"), BANS)
    def test_ends_by(self, api, cast, who, whom, answer):
        if who != whom:
            cast[whom].ban()

        response = api(cast[who]).post(f"users/{cast[whom].pk}/actions/unban")

        if who == "license" and whom == "user":
            answer = {"title": "Access denied", "detail": "User is banned", "code": "USER_BANNED"}
        assert_answered(response, answer, cast[whom])

    def test_twice_is_one(self, api, acme, joe):
        admin = api(acme.admin)
        admin.post(f"users/{joe.pk}/actions/ban")

        response = admin.post("users/joe@acme.test/actions/ban")

        assert response.json()["data"]["attributes"]["status"] == "BANNED"
