"""Settings of an account, and the permissions that they give (contract: security 4 and 5)."""

import pytest

from accounts.account_settings import change_setting, create_setting, delete_setting
from accounts.models import Setting, Token, User
from accounts.permission_names import DEFAULTS, GRANTABLE, NAMES
from accounts.services import change_user, get_or_create_customer
from tests.accounts.documents import basic
from tests.cast import make_license, token_of
from tests.races import run_while_held

USER, LICENSE = "default_user_permissions", "default_license_permissions"
ROLES = ("admin", "developer", "sales-agent", "support-agent", "read-only", "product", "license", "user")


def document(key=None, value=None):
    attributes = {name: given for name, given in (("key", key), ("value", value)) if given is not None}
    return {"data": {"type": "settings", "attributes": attributes}}


def reason(response):
    return response.json()["errors"][0]["detail"]


class TestNames:
    def test_sets_have_the_sizes_of_the_contract(self):
        sizes = {role: len(GRANTABLE[role]) for role in ("read-only", "product", "user", "license")}

        assert len(NAMES) == 144
        assert sizes == {"read-only": 41, "product": 109, "user": 59, "license": 41}
        assert (len(DEFAULTS["user"]), len(DEFAULTS["license"])) == (54, 37)


class TestSettings:
    def test_setting_is_made_shown_changed_and_deleted(self, api, acme):
        admin = api(acme.admin)

        made = admin.post("settings", document("defaultUserPermissions", ["user.read", "license.read"]))
        setting = made.json()["data"]

        assert made.status_code == 201
        assert setting["attributes"]["key"] == USER
        assert setting["attributes"]["value"] == ["user.read", "license.read"]
        assert made["Location"].endswith(setting["links"]["self"])
        assert admin.get(f"settings/{USER}").json()["data"] == setting
        assert admin.get("settings").json()["data"] == [setting]
        changed = admin.patch(f"settings/{setting['id']}", document(value=["*"]))
        assert changed.json()["data"]["attributes"]["value"] == ["*"]
        assert admin.delete(f"settings/{USER}").status_code == 204
        assert admin.get(f"settings/{USER}").status_code == 404

    def test_malformed_settings_are_refused(self, api, acme):
        admin, wrong = api(acme.admin), []
        admin.post("settings", document(LICENSE, ["license.read"]))
        cases = [
            ("nope", ["user.read"], 422, ["KEY_NOT_ALLOWED", "VALUE_NOT_ALLOWED"]),
            (LICENSE, ["nope"], 422, ["KEY_TAKEN", "VALUE_NOT_ALLOWED"]),
            (USER, "user.read", 422, ["VALUE_NOT_ALLOWED"]),
            (USER, ["product.create"], 422, ["VALUE_NOT_ALLOWED"]),
            (USER, ["user.read", "user.read"], 422, ["VALUE_NOT_ALLOWED"]),
            (USER, [None], 422, ["VALUE_NOT_ALLOWED"]),
            (USER, [["user.read"]], 422, ["VALUE_NOT_ALLOWED"]),
            (USER, [], 400, [None]),
            (USER, "", 400, [None]),
            ("", ["user.read"], 400, [None]),
            (5, ["user.read"], 400, [None]),
            (USER, None, 400, [None]),
        ]
        for key, value, status, codes in cases:
            response = admin.post("settings", document(key, value))
            shown = [error.get("code") for error in response.json()["errors"]]
            if (response.status_code, shown) != (status, codes):
                wrong.append((key, value, response.status_code, shown))

        assert wrong == []

    def test_only_administrators_read_and_change_settings(self, api, acme):
        create_setting(acme.account, key=LICENSE, value=["license.read"])
        statuses = {}
        for role in ROLES:
            client = api(acme.bearer(role))
            statuses[role] = [
                client.get("settings").status_code,
                client.get(f"settings/{LICENSE}").status_code,
                client.get("settings/nope").status_code,
                client.post("settings", document(LICENSE, ["license.read"])).status_code,
                client.patch(f"settings/{LICENSE}", document(value=["license.read"])).status_code,
            ]

        assert statuses == {
            **dict.fromkeys(("admin", "developer"), [200, 200, 404, 422, 200]),
            **dict.fromkeys(("sales-agent", "support-agent", "read-only"), [403, 403, 404, 403, 403]),
            **dict.fromkeys(("product", "license", "user"), [403, 404, 404, 403, 404]),
        }

    def test_setting_of_another_account_is_not_found(self, api, acme, rival):
        setting = create_setting(rival.account, key=USER, value=["user.read"])

        assert api(acme.admin).get(f"settings/{setting.pk}").status_code == 404
        assert api(acme.admin).get("settings").json()["data"] == []
        assert Setting.objects.count() == 1


class TestEffect:
    def test_new_users_get_the_permissions_of_the_setting(self, api, acme):
        before = acme.user("user")
        api(acme.admin).post("settings", document(USER, ["token.generate", "user.read"]))
        acme.account.refresh_from_db()
        after, _ = get_or_create_customer(acme.account, "new@acme.test")

        assert api(before).get("licenses").status_code == 200
        assert api(after).get(f"users/{after.pk}").status_code == 200
        refused = api(after).get("licenses")
        assert refused.status_code == 403
        assert "(user lacks permission to perform action)" in reason(refused)
        assert acme.user("developer", email="new-developer@acme.test").permissions is None

    def test_user_without_token_generate_cannot_sign_in(self, api, acme):
        create_setting(acme.account, key=USER, value=["user.read"])
        acme.user("user", email="new@acme.test", password="open sesame")

        response = api().post("tokens", Authorization=basic("new@acme.test", "open sesame"))

        assert response.status_code == 403
        assert "(user lacks permission to perform action)" in reason(response)

    def test_deleted_setting_has_no_effect_on_new_users(self, api, acme):
        create_setting(acme.account, key=USER, value=["user.read"])
        api(acme.admin).delete(f"settings/{USER}")
        acme.account.refresh_from_db()

        assert acme.user("user").permissions is None

    def test_new_licenses_get_the_permissions_of_the_setting(self, api, acme):
        create_setting(acme.account, key=LICENSE, value=["license.read"])
        relationships = {"policy": {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}}

        made = api(acme.admin).post("licenses", {"data": {"type": "licenses", "relationships": relationships}})

        license = acme.account.licenses.get(pk=made.json()["data"]["id"])
        assert license.permissions == ["license.read"]


class TestSets:
    @pytest.fixture
    def user(self, acme):
        return acme.user("user", email="joe@acme.test")

    def refusal(self, client, path):
        response = client.get(path)
        return response.status_code, response.status_code == 403 and reason(response).partition("(")[2].rstrip(")")

    def test_empty_set_permits_nothing(self, api, user):
        User.objects.filter(pk=user.pk).update(permissions=[])

        assert self.refusal(api(user), f"users/{user.pk}") == (403, "user lacks permission to perform action")

    def test_star_stands_for_all_that_the_role_may_have(self, api, acme, user):
        make_license(acme.unpooled, owner=user)
        path = f"policies/{acme.unpooled.pk}"

        assert self.refusal(api(user), path) == (403, "user lacks permission to perform action")
        User.objects.filter(pk=user.pk).update(permissions=["*"])
        assert self.refusal(api(user), path) == (200, False)
        assert self.refusal(api(user), "keys") == (403, "user lacks permission to perform action")

    def test_token_is_limited_to_its_own_set(self, api, user):
        token, text = Token.generate(user)
        Token.objects.filter(pk=token.pk).update(permissions=["license.read"])

        assert self.refusal(api(text), "licenses") == (200, False)
        assert self.refusal(api(text), f"users/{user.pk}") == (403, "token lacks permission to perform action")
        Token.objects.filter(pk=token.pk).update(permissions=["*"])
        assert self.refusal(api(text), f"users/{user.pk}") == (200, False)

    def test_product_has_its_own_set(self, api, acme):
        text = token_of(acme.product)
        type(acme.product).objects.filter(pk=acme.product.pk).update(permissions=["license.read"])

        assert self.refusal(api(text), "licenses") == (200, False)
        assert self.refusal(api(text), "keys") == (403, "product lacks permission to perform action")

    def test_license_is_limited_to_what_its_owner_may(self, api, acme, user):
        acme.unpooled.authentication_strategy = "MIXED"
        acme.unpooled.save()
        license = make_license(acme.unpooled, "LICENSE-OF-JOE", owner=user)
        key = {"Authorization": "License LICENSE-OF-JOE"}
        path = f"licenses/{license.pk}"

        assert api().get(path, **key).status_code == 200
        for own, of_owner, status in (
            (None, ["user.read"], 403),
            (None, ["*"], 200),
            (["*"], ["license.read"], 200),
            (["*"], ["user.read"], 403),
            ([], None, 403),
        ):
            User.objects.filter(pk=user.pk).update(permissions=of_owner)
            type(license).objects.filter(pk=license.pk).update(permissions=own)
            assert api().get(path, **key).status_code == status, (own, of_owner)

    def test_another_role_keeps_what_both_have(self, acme, user):
        user.permissions = ["user.read", "license.read", "token.generate"]
        user.save()

        change_user(user, {"role": "read-only"}, may_widen=False)
        assert user.permissions == ["license.read", "token.generate", "user.read"]
        change_user(user, {"role": "developer"})
        assert user.permissions is None

    def test_admin_is_read_with_a_permission_of_its_own(self, api, acme):
        reader = acme.user("read-only")
        User.objects.filter(pk=reader.pk).update(permissions=["user.read"])

        assert self.refusal(api(reader), f"users/{acme.admin.pk}") == (
            403,
            "read only lacks permission to perform action",
        )
        assert self.refusal(api(reader), f"users/{reader.pk}") == (200, False)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
class TestRaces:
    def test_second_of_two_settings_with_a_key_is_refused(self, api, acme):
        admin = api(acme.admin)

        waited, response = run_while_held(
            lambda: create_setting(acme.account, key=USER, value=["user.read"]),
            lambda: admin.post("settings", document(USER, ["license.read"])),
        )

        assert waited
        assert (response.status_code, response.json()["errors"][0]["code"]) == (422, "KEY_TAKEN")
        acme.account.refresh_from_db()
        assert acme.account.setting_values == {USER: ["user.read"]}

    def test_account_remembers_both_of_two_settings_that_change_at_once(self, api, acme):
        """Each request writes the values of all settings."""
        first, second = (create_setting(acme.account, key=key, value=["license.read"]) for key in (USER, LICENSE))
        admin, path = api(acme.admin), f"settings/{second.pk}"

        waited, response = run_while_held(
            lambda: change_setting(first, ["user.read"]), lambda: admin.patch(path, document(value=["user.read"]))
        )
        assert (waited, response.status_code) == (True, 200)
        acme.account.refresh_from_db()
        assert acme.account.setting_values == {USER: ["user.read"], LICENSE: ["user.read"]}

        waited, response = run_while_held(lambda: delete_setting(first), lambda: admin.delete(path))
        assert (waited, response.status_code) == (True, 204)
        acme.account.refresh_from_db()
        assert acme.account.setting_values == {}
