"""The people of an account, as they are shown and listed (contract: platform 8.2, 8.5)."""

from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from accounts.services import change_user
from licensing.models import LicenseUser
from tests.accounts.users import EVERYBODY
from tests.cast import make_license
from tests.errors import FORBIDDEN, NOT_FOUND, assert_refused, lacks_permission, not_found
from tests.tables import each_row


class TestDocument:
    def test_user_document_shows_a_user(self, api, acme):
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
    def test_user_document_has_a_full_name_where_both_are_known(self, acme, first, last, full):
        assert User(first_name=first, last_name=last).full_name == full

    @pytest.mark.parametrize("identifier", ["joe@acme.test", "JOE@ACME.test", "{id}", "{hex}"])
    def test_user_document_is_found_by_id_and_by_email(self, api, acme, joe, identifier):
        response = api(acme.admin).get("users/" + identifier.format(id=str(joe.pk).upper(), hex=joe.pk.hex))

        assert response.json()["data"]["id"] == str(joe.pk)

    @pytest.mark.parametrize(
        "identifier", ["unknown@acme.test", "nonsense", "admin@rival.test", "01a208a6-c29c-7411-a5e2-cf6ed62a82f5"]
    )
    def test_user_document_is_not_found_otherwise(self, api, acme, rival, identifier):
        response = api(acme.admin).get(f"users/{identifier}")

        assert_refused(response, NOT_FOUND, not_found("user", identifier))


class TestStatus:
    OLD = timedelta(days=91)

    def of(self, joe):
        return User.objects.with_activity(timezone.now()).get(pk=joe.pk).status, User.objects.get(pk=joe.pk).status

    def test_user_status_is_active_for_a_while(self, joe):
        assert self.of(joe) == ("ACTIVE", "ACTIVE")

    def test_user_status_is_inactive_when_nothing_happened_lately(self, joe, held_license):
        held_license.created -= self.OLD
        held_license.save()
        User.objects.filter(pk=joe.pk).update(created=timezone.now() - self.OLD)

        assert self.of(joe) == ("INACTIVE", "INACTIVE")

    @pytest.mark.parametrize("moment", ["created", "last_validated", "last_check_in", "last_check_out"])
    @pytest.mark.parametrize("way", ["owned", "shared"])
    def test_user_status_is_active_while_a_license_is_used(self, acme, joe, moment, way):
        license = make_license(acme.unpooled, owner=joe if way == "owned" else None)
        if way == "shared":
            LicenseUser.objects.create(account=acme.account, license=license, user=joe)
        license.created -= self.OLD
        setattr(license, moment, timezone.now())
        license.save()
        User.objects.filter(pk=joe.pk).update(created=timezone.now() - self.OLD)

        assert self.of(joe) == ("ACTIVE", "ACTIVE")

    def test_user_status_of_a_banned_user_is_always_banned(self, joe):
        joe.ban()

        assert self.of(joe) == ("BANNED", "BANNED")


SEEN = {role: {"user", "mate", "eve", "max"} for role in EVERYBODY} | {"license": None, "user": {"user", "mate"}}


class TestList:
    def names(self, response, people):
        names = {str(row.pk): name for name, row in people.items()}
        return {names[shown["id"]] for shown in response.json()["data"]}

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_list_of_users_has_the_users_that_a_bearer_sees(self, api, people, who):
        response = api(people[who]).get("users?limit=100")

        if SEEN[who] is None:
            assert_refused(response, FORBIDDEN, lacks_permission(who))
        else:
            assert self.names(response, people) == SEEN[who]

    @each_row(
        ("query", "expected"),
        [
            ("roles[]=admin", {"admin", "another admin"}),
            ("roles[]=read_only", {"read-only"}),
            ("roles[]=user", {"user", "mate", "eve", "max"}),
            ("group=2f9d2b1c-7f3e-4f65-9a53-6a1a6d2f0b11", set()),
            ("group=", {"user", "mate", "eve", "max"}),
            ("metadata[crm-id]=7", {"mate"}),
            ("metadata[city]=", {"user", "mate", "eve", "max"}),
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
    def test_list_of_users_is_filtered(self, api, acme, people, query, expected):
        change_user(people["mate"], {"metadata": {"crm_id": 7, "vip": True}})
        change_user(people["eve"], {"metadata": {"city": "Bonn", "vip": "true", "none": None}})
        people["eve"].ban()
        query = query.format(product=people["product"].pk, license=people["license"].pk)

        assert self.names(api(acme.admin).get(f"users?limit=100&{query}"), people) == expected

    def test_list_of_users_of_any_length_costs_one_statement(self, api, acme, people, django_assert_num_queries):
        admin = api(acme.admin)

        with django_assert_num_queries(2):  # one for the bearer
            admin.get("users?limit=100")

    @pytest.mark.parametrize("who", EVERYBODY)
    def test_list_of_users_does_not_hide_what_can_be_shown(self, api, people, who):
        asking = api(people[who])
        staff = who in ("admin", "developer", "sales-agent", "support-agent", "read-only")
        for name in ("admin", "user", "mate", "eve"):
            response = asking.get(f"users/{people[name].pk}")

            if staff or (who == "product" and name != "admin") or (who == "user" and name in ("user", "mate")):
                assert response.status_code == 200
            elif who == "license" and name in ("user", "mate"):
                assert_refused(response, FORBIDDEN, lacks_permission("license"))
            else:
                assert_refused(response, NOT_FOUND, not_found("user", people[name].pk))
