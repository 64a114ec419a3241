"""Who may change whom in the console: the same rule of rank as in the API."""

import pytest

from accounts.models import Token, User
from tests.accounts.tables import crossed, done, offenders
from tests.console import act, page, signed_in, staff, superuser

LETTERS = "NERPBUTVC"

# N name, E email, R role, P password, B ban, U unban, T make a token, V revoke a token, C access to the
# console. The operators differ in role.
# A person of role `user` has the lowest one, so it cannot be lowered. A banned user cannot lift the
# ban. Users change their own password on a separate page, which asks for the old one.
ALLOWED_ROLES = """
actor      admin      console-admin  developer  support-agent  Operator   customer  product  license  itself
superuser  NERPBUTVC  NERPBUTVC      NERPBUTVC  NERPBUTVC      NEPBUTVC   NEPBUTVC  TV       V        .
admin      NERPBUVC   BUVC           NERPBUVC   NERPBUVC       BUVC       NEPBUTVC  TV       V        NERBTV
developer  .          .              NRPBUV     NRPBUV         .          NPBUTV    TV       V        NERBTV
sales      .          .              .          NRPBUV         .          NPBUV     .        V        NERBTV
user       .          .              .          .              .          NPBUV     .        V        NEBTV
"""
ROLES = {"admin": "admin", "developer": "developer", "sales": "sales-agent", "user": "user"}


@pytest.fixture
def operators(acme, everyone):
    """Operators whose group lets them change users and tokens. Only their roles differ."""
    people = {name: staff(acme, email=f"{name}-op@acme.test", role=role) for name, role in ROLES.items()}
    return people | {"superuser": superuser()}


class TestTable:
    def test_rank_of_all_operators_and_people(self, everyone, operators):
        expected = crossed(ALLOWED_ROLES)
        found = {
            (actor, target): self.changes(operators[actor], everyone.get(target), target == "itself")
            for actor, target in expected
        }

        assert offenders(expected, found) == []

    def changes(self, actor, row, itself):
        if itself and actor.is_superuser:
            return ""  # the console of a superuser has no account to be in
        return done(LETTERS, lambda letter: self.change(actor, actor if itself else row, letter))

    def change(self, actor, row, letter):
        """Whether a change happens, read from the database, not from the page."""
        if letter == "V":
            return self.revoke(actor, row)
        if letter == "T":
            return self.make(actor, row)
        return isinstance(row, User) and self.change_user(actor, row.pk, letter)

    def revoke(self, actor, row):
        token, _ = Token.generate(row)
        act(signed_in(actor), "accounts_token_revoke", token)
        return not Token.objects.filter(pk=token.pk).exists()

    def make(self, actor, row):
        name = {"User": "accounts_user_token", "Product": "licensing_product_token"}.get(type(row).__name__)
        if name is None:
            return False  # the console makes no tokens of licenses
        before = Token.objects.filter(bearer_id=row.pk).count()
        act(signed_in(actor), name, row)
        return Token.objects.filter(bearer_id=row.pk).count() > before

    def change_user(self, actor, pk, letter):
        user = User.objects.get(pk=pk)
        client = signed_in(actor)
        if letter == "U":
            User.objects.filter(pk=pk).update(banned=user.created)
        if letter == "C":
            act(client, "accounts_user_access", user, access="Auditor")
            return [group.name for group in user.groups.all()] == ["Auditor"]
        if letter in "BU":
            act(client, f"accounts_user_{'ban' if letter == 'B' else 'unban'}", user)
        else:
            changed = {
                "N": {"first_name": "Changed"},
                "E": {"email": "changed@evil.test"},
                "R": {"role": "read-only"},
                "P": {"new_password": "hijacked-1"},
            }[letter]
            self.submit(client, user, changed)
        now = User.objects.get(pk=pk)
        return {
            "N": now.first_name == "Changed",
            "E": now.email == "changed@evil.test",
            "R": user.role != "user" and now.role == "read-only",
            "P": letter == "P" and now.check_password("hijacked-1"),
            "B": now.banned is not None,
            "U": now.banned is None,
        }[letter]

    def submit(self, client, user, changed):
        values = {"email": user.email, "role": user.role, "metadata": "{}", "is_staff": "on" if user.is_staff else ""}
        return client.post(page("accounts_user_change", user.pk), values | changed)


class TestPages:
    """A change that would be refused is not offered."""

    def test_pages_of_people_of_higher_rank_offer_no_change(self, acme, everyone):
        operator = signed_in(staff(acme, email="op@acme.test", role="user"))

        for name in ("admin", "developer", "console-admin", "Support"):
            text = operator.get(page("accounts_user_change", everyone[name].pk)).content.decode()

            assert 'name="_save"' not in text
            assert [verb for verb in ("ban", "unban", "token") if f"/user/acts/{verb}/" in text] == []

    def test_pages_of_customers_show_the_email_to_all_and_offer_it_to_admins(self, acme, joe):
        address = page("accounts_user_change", joe.pk)
        pages = {
            role: signed_in(staff(acme, email=f"{role}@op.test", role=role)).get(address) for role in ROLES.values()
        }

        assert all("joe@acme.test" in page.content.decode() for page in pages.values())
        assert [role for role, page in pages.items() if 'name="email"' in page.content.decode()] == ["admin"]

    def test_pages_of_tokens_of_higher_people_offer_no_revoking(self, acme, everyone):
        operator = signed_in(staff(acme, email="op@acme.test", role="user"))
        tokens = {name: Token.generate(everyone[name])[0] for name in ("admin", "product", "customer")}

        offered = [
            name
            for name, token in tokens.items()
            if "/token/acts/revoke/" in operator.get(page("accounts_token_change", token.pk)).content.decode()
        ]

        assert offered == ["customer"]

    def test_pages_of_an_act_on_several_refuse_all_if_one_is_higher(self, acme, everyone):
        operator = signed_in(staff(acme, email="op@acme.test", role="user"))

        response = act(operator, "accounts_user_ban", everyone["customer"], everyone["developer"])

        assert response.status_code == 403
        assert not User.objects.filter(account=acme.account, banned__isnull=False).exists()


class TestLastAdmin:
    def test_last_admin_is_not_banned(self, acme):
        response = act(signed_in(superuser()), "accounts_user_ban", acme.admin)

        assert response.status_code == 422
        assert "is the last admin of the account who can sign in" in response.content.decode()
        acme.admin.refresh_from_db()
        assert acme.admin.banned is None

    @pytest.mark.parametrize("who", ["superuser", "admin"])
    def test_last_admin_is_left_by_one_act_on_all(self, acme, who):
        operator = staff(acme, email="op@acme.test")
        admins = [acme.admin, acme.user("admin", email="second@acme.test"), operator]

        act(signed_in(superuser() if who == "superuser" else operator), "accounts_user_ban", *admins)

        assert User.objects.filter(account=acme.account, role="admin", banned=None).count() == 1


def test_an_operator_does_not_become_another_one(acme):
    """A console person of the same role had their password set, and signed in as."""
    operator, other = (staff(acme, email=f"{name}@acme.test", role="user", password="their own") for name in "ab")
    values = {"email": other.email, "role": "user", "metadata": "{}", "new_password": "hijacked-2"}

    response = signed_in(operator).post(page("accounts_user_change", other.pk), values)

    assert response.status_code == 403
    other.refresh_from_db()
    assert other.check_password("their own")


def test_an_operator_cannot_give_console_rights(acme, joe):
    """By the form of another person, or by the own one."""
    operator = staff(acme, email="op@acme.test", role="admin")
    client = signed_in(operator)
    for user in (joe, operator):
        groups = [str(group.pk) for group in operator.groups.all()]
        values = {"email": user.email, "role": user.role, "metadata": "{}", "is_superuser": "on", "groups": groups}

        client.post(page("accounts_user_change", user.pk), values | ({"is_staff": "on"} if user is joe else {}))

        user.refresh_from_db()
        assert (user.is_staff, user.is_superuser) == (user is operator, False)
    assert joe.groups.count() == 0
