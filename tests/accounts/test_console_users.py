"""Users, tokens and accounts in the console."""

import pytest

from accounts.models import Account, Token, User, find_token
from tests.console import act, page, shown, signed_in, staff, superuser


@pytest.fixture
def operator(acme):
    return signed_in(staff(acme))


def user_form(user=None, **values):
    base = {"email": user.email, "role": user.role, "metadata": "{}"} if user else {"role": "user", "metadata": "{}"}
    return {**base, **values}


def test_console_adds_a_user_to_ones_own_account(acme, operator):
    response = operator.post(page("accounts_user_add"), user_form(email="New@acme.test", new_password="secret-enough"))

    assert response.status_code == 302
    user = User.objects.get(email="new@acme.test")
    assert (user.account, user.is_staff, user.check_password("secret-enough")) == (acme.account, False, True)


def test_console_shows_the_errors_of_a_form(acme, operator):
    response = operator.post(page("accounts_user_add"), user_form(email="admin@acme.test", new_password="x"))

    text = response.content.decode()
    assert response.status_code == 200
    assert "has already been taken" in text
    assert "is too short (minimum is 8 characters)" in text


def test_does_not_let_an_operator_into_the_console(acme, operator):
    operator.post(
        page("accounts_user_add"), user_form(email="new@acme.test", is_staff="on", is_superuser="on", groups=["1"])
    )

    user = User.objects.get(email="new@acme.test")
    assert (user.is_staff, user.is_superuser, user.groups.count()) == (False, False, 0)


def test_changing_a_role_revokes_tokens(acme, operator):
    user = acme.user("user")
    Token.generate(user)

    operator.post(page("accounts_user_change", user.pk), user_form(user, role="developer"))

    user.refresh_from_db()
    assert (user.role, user.tokens.count()) == ("developer", 0)


def test_a_user_of_a_higher_rank_cannot_be_changed(acme):
    client = signed_in(staff(acme, email="dev@acme.test", role="developer"))

    changed = client.post(page("accounts_user_change", acme.admin.pk), user_form(acme.admin, email="x@acme.test"))
    banned = act(client, "accounts_user_ban", acme.admin)

    assert (changed.status_code, banned.status_code) == (403, 403)


def test_a_user_of_a_higher_rank_cannot_be_created(acme):
    client = signed_in(staff(acme, email="dev@acme.test", role="developer"))

    client.post(page("accounts_user_add"), user_form(email="new@acme.test", role="admin"))

    assert not User.objects.filter(email="new@acme.test").exists()


def test_console_bans_and_unbans(acme, operator):
    user = acme.user("user")

    act(operator, "accounts_user_ban", user)
    user.refresh_from_db()
    assert user.banned
    act(operator, "accounts_user_unban", user)
    user.refresh_from_db()
    assert not user.banned


def test_the_last_admin_stays(acme):
    client = signed_in(superuser())

    response = client.post(page("accounts_user_change", acme.admin.pk), user_form(acme.admin, role="user"))

    assert "account must have at least 1 admin user" in response.content.decode()


def test_a_superuser_gives_a_user_console_access(acme):
    client = signed_in(superuser())
    user = acme.user("developer")

    client.post(page("accounts_user_change", user.pk), user_form(user, is_staff="on"))

    user.refresh_from_db()
    assert user.is_staff


def test_giving_a_user_console_access_revokes_their_tokens(acme):
    """The creator of such a token, a product for instance, could change the email and then the password."""
    user = acme.user("user")
    Token.generate(user)

    signed_in(superuser()).post(page("accounts_user_change", user.pk), user_form(user, is_staff="on"))

    assert user.tokens.count() == 0


class TestTokens:
    def test_token_page_shows_a_token_once(self, acme, operator):
        response = act(operator, "licensing_product_token", acme.product, name="Shop")

        token = Token.objects.get(name="Shop")
        text = shown(operator, response)
        assert find_token(text).pk == token.pk
        assert text not in operator.get(page("accounts_token_change", token.pk)).content.decode()

    def test_token_page_makes_none_that_speaks_for_another_admin(self, acme, operator):
        response = act(operator, "accounts_user_token", acme.admin)

        assert response.status_code == 422
        assert not Token.objects.filter(name="").exists()

    def test_token_page_revokes(self, acme, operator):
        token, _ = Token.generate(acme.product)

        act(operator, "accounts_token_revoke", token)

        assert not Token.objects.filter(pk=token.pk).exists()


class TestAccounts:
    def test_account_pages_are_made_by_superusers(self, db, no_mail):
        client = signed_in(superuser())

        response = client.post(
            page("accounts_account_add"),
            {"name": "New", "slug": "new", "status": "SUBSCRIBED", "admin_email": "a@new.test"},
        )

        account = Account.objects.get(slug="new")
        admin = account.users.get()
        assert (admin.email, admin.is_staff, admin.groups.get().name) == ("a@new.test", True, "Operator")
        assert "/admin/reset-password/?token=" in shown(client, response)

    def test_account_pages_are_out_of_sight_for_all_others(self, acme, operator):
        assert operator.get(page("accounts_account_changelist")).status_code == 403
        assert operator.get(page("accounts_account_change", acme.account.pk)).status_code == 403


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pools_keyimport", "No imports yet. Import keys to fill a pool."),
        ("licensing_license", "No licenses yet"),
    ],
)
def test_empty_lists_say_what_to_do_next(acme, operator, name, hint):
    assert hint in operator.get(page(f"{name}_changelist")).content.decode()


def test_a_search_that_finds_nothing_says_so(acme, operator):
    assert "No results" in operator.get(page("licensing_license_changelist", q="nothing")).content.decode()
