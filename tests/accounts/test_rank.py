"""Who may change whom, by the API: one rule of rank (contract: platform 6.1, 8.4)."""

import pytest
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import Token, User
from accounts.models.users import LastAdmin
from accounts.services import change_user
from tests.accounts.conftest import PASSWORD
from tests.accounts.documents import basic, user_document
from tests.accounts.tables import crossed, done, offenders
from tests.accounts.users import REFUSED, assert_answered, outranked
from tests.cast import make_license, make_policy, make_product, token_of
from tests.conftest import API
from tests.console import staff
from tests.errors import FORBIDDEN, assert_refused, forbidden
from tests.races import race_of, results_of

OF_OTHERS = forbidden("user cannot belong to another product")
EMAIL = forbidden("only an admin may change the email of another user")
LETTERS = "NERPBUD"

# N name, E email, R role, P password, B ban, U unban, D delete.
ALLOWED_ROLES = """
actor          admin2  console-admin  developer2  support-agent  Operator  customer  both     stranger  itself
admin          NERPD   D              NERPD       NERPD          BUD       NERPBUD   NERPBUD  NERPBUD   NERPD
console-admin  NERPD   NERPD          NERPD       NERPD          BUD       NERPBUD   NERPBUD  NERPBUD   NERPD
developer      .       .              NPD         NPD            .         NPBUD     NPBUD    NPBUD     NEPD
sales-agent    .       .              .           .              .         NBU       NBU      NBU       .
support-agent  .       .              .           .              .         BU        BU       BU        .
read-only      .       .              .           .              .         .         .        .         .
product        .       .              .           .              .         NEPBUD    N        NEPBUD    .
license        .       .              .           .              .         .         .        .         .
customer       .       .              .           .              .         NE        .        .         NE
Operator       .       .              .           .              NE        .         .        .         NE
Support        .       .              .           .              .         .         .        .         NE
"""


class TestTable:
    def test_rank_of_all_bearers_and_people(self, everyone):
        expected = crossed(ALLOWED_ROLES)
        found = {
            (actor, target): self.changes(everyone[actor], everyone[actor if target == "itself" else target])
            for actor, target in expected
        }

        assert offenders(expected, found) == []

    def changes(self, actor, user):
        if not isinstance(user, User):
            return ""  # products and licenses are no users
        api = API(token_of(actor))
        return done(LETTERS, lambda letter: self.change(api, user.pk, letter))

    def change(self, api, pk, letter):
        """Whether a user is changed, read from the database, not from the response."""
        user = User.objects.get(pk=pk)
        attributes = {
            "N": {"firstName": "Changed"},
            "E": {"email": "changed@evil.test"},
            "R": {"role": "read-only"},
            "P": {"password": "hijacked-1"},
        }
        match letter:
            case "B":
                api.post(f"users/{pk}/actions/ban")
            case "U":
                User.objects.filter(pk=pk).update(banned=user.created)
                api.post(f"users/{pk}/actions/unban")
            case "D":
                api.delete(f"users/{pk}")
            case _:
                api.patch(f"users/{pk}", user_document(**attributes[letter]))
        now = User.objects.filter(pk=pk).first()
        return {
            "N": lambda: now.first_name == "Changed",
            "E": lambda: now.email == "changed@evil.test",
            "R": lambda: now.role == "read-only" != user.role,
            "P": lambda: now.check_password("hijacked-1"),
            "B": lambda: now.banned is not None,
            "U": lambda: now.banned is None,
            "D": lambda: now is None,
        }[letter]()


class TestConsolePeople:
    """People who may use the console rank above every role, and by the API only themselves change them."""

    @pytest.fixture
    def operator(self, acme):
        return staff(acme, role="user", password=PASSWORD)

    def test_a_product_does_not_see_them(self, acme, api, operator):
        product = api(acme.product)

        answers = [
            product.patch(f"users/{operator.pk}", user_document(password="hijacked-2")),
            product.post(f"users/{operator.pk}/actions/ban"),
            product.delete(f"users/{operator.pk}"),
            product.post(f"users/{operator.pk}/tokens"),
        ]

        assert {answer.status_code for answer in answers} == {404}
        operator.refresh_from_db()
        assert operator.check_password(PASSWORD)

    def test_a_sales_agent_does_not_redirect_their_mail(self, acme, api, operator):
        response = api(acme.user("sales-agent")).patch(f"users/{operator.pk}", user_document(email="me@evil.test"))

        assert_answered(response, outranked("sales-agent"), operator)

    @pytest.mark.parametrize("attributes", [{"email": "me@evil.test"}, {"password": "hijacked"}, {"role": "read-only"}])
    def test_an_admin_does_not_take_them_over(self, acme, api, operator, attributes):
        response = api(acme.admin).patch(f"users/{operator.pk}", user_document(**attributes))

        assert_answered(response, outranked("admin"), operator)

    def test_an_admin_makes_no_token_of_theirs_but_revokes_it(self, acme, api, operator):
        token, _ = Token.generate(operator)
        admin = api(acme.admin)

        assert_refused(admin.post(f"users/{operator.pk}/tokens"), FORBIDDEN, outranked("admin"))
        assert_refused(admin.put(f"tokens/{token.pk}"), FORBIDDEN, outranked("admin"))
        assert admin.delete(f"tokens/{token.pk}").status_code == 204

    def test_an_admin_bans_them(self, acme, api, operator):
        assert api(acme.admin).post(f"users/{operator.pk}/actions/ban").status_code == 200

    @pytest.mark.parametrize("role", ["developer", "sales-agent", "support-agent"])
    def test_console_people_others_do_not_ban_them(self, acme, api, operator, role):
        for verb in ("ban", "unban"):
            response = api(acme.user(role)).post(f"users/{operator.pk}/actions/{verb}")

            assert_answered(response, outranked(role), operator)

    def test_they_change_themselves(self, api, operator):
        response = api(operator).patch(f"users/{operator.pk}", user_document(email="op@acme.test"))

        assert response.json()["data"]["attributes"]["email"] == "op@acme.test"


class TestEmails:
    @pytest.mark.parametrize("role", ["developer", "sales-agent"])
    def test_emails_of_others_are_changed_by_admins(self, acme, api, joe, role):
        response = api(acme.user(role)).patch(f"users/{joe.pk}", user_document(email="me@evil.test"))

        assert_answered(response, EMAIL, joe)

    @pytest.mark.parametrize("role", ["developer", "sales-agent"])
    def test_emails_that_stay_the_same_are_no_change(self, acme, api, joe, role):
        document = user_document(email=" JOE@acme.test", firstName="Joe")

        assert api(acme.user(role)).patch(f"users/{joe.pk}", document).status_code == 200


class TestCustomersOfOthers:
    """A product has no power over people who hold a license of another product."""

    @pytest.fixture
    def victim(self, acme):
        """A customer of another product only."""
        user = acme.user("user", email="victim@acme.test", password=PASSWORD)
        make_license(make_policy(make_product(acme.account, "Beta")), "beta-license", owner=user)
        return user

    @pytest.mark.parametrize("attributes", [{"password": "hijacked-1"}, {"password": None}, {"email": "me@evil.test"}])
    def test_customers_of_others_keep_password_and_email(self, acme, api, victim, attributes):
        response = api(acme.product).patch(f"users/{victim.pk}", user_document(**attributes))

        assert_answered(response, OF_OTHERS, victim)
        assert API().post("tokens", Authorization=basic("victim@acme.test", PASSWORD)).status_code == 201

    @pytest.mark.parametrize("verb", ["ban", "unban"])
    def test_customers_of_others_are_not_banned(self, acme, api, victim, verb):
        response = api(acme.product).post(f"users/{victim.pk}/actions/{verb}")

        assert_answered(response, OF_OTHERS, victim)

    def test_customers_of_others_keep_their_names_for_all_products_to_change(self, acme, api, victim):
        assert api(acme.product).patch(f"users/{victim.pk}", user_document(firstName="Ann")).status_code == 200

    def test_customers_of_others_are_not_spoken_for_after_a_license_as_bait(self, acme, api, victim):
        product, own = api(acme.product), Token.generate(victim)[0]
        policy = {"data": {"type": "policies", "id": str(acme.unpooled.pk)}}
        owner = {"data": {"type": "users", "id": str(victim.pk)}}
        bait = {"data": {"type": "licenses", "relationships": {"policy": policy, "owner": owner}}}
        asked = {"data": {"type": "tokens", "relationships": {"bearer": owner}}}

        assert product.post("licenses", bait).status_code == 201
        answers = [
            product.post(f"users/{victim.pk}/tokens"),
            product.post("tokens", asked),
            product.put(f"tokens/{own.pk}"),
            product.delete(f"tokens/{own.pk}"),
        ]

        for answer in answers:
            assert_refused(answer, FORBIDDEN, OF_OTHERS)
        assert product.patch(f"users/{victim.pk}", user_document(password="hijacked")).status_code == 403

    def test_customers_of_others_count_when_they_share_a_license(self, acme, api, joe, held_license):
        license = make_license(make_policy(make_product(acme.account, "Beta")), "beta-license")
        license.license_users.create(account=acme.account, user=joe)

        answer = api(acme.product).patch(f"users/{joe.pk}", user_document(password="hijacked"))

        assert_answered(answer, OF_OTHERS, joe)

    def test_no_longer_count_when_the_other_license_is_gone(self, acme, api, victim):
        victim.owned_licenses.all().delete()

        assert api(acme.product).patch(f"users/{victim.pk}", user_document(password="a new one")).status_code == 200


class TestLastAdmin:
    """An account keeps an admin who can sign in: one who is banned does not count."""

    def test_last_admin_is_not_banned(self, acme):
        with pytest.raises(LastAdmin):
            acme.admin.ban()

        acme.admin.refresh_from_db()
        assert acme.admin.banned is None

    def test_last_admin_is_banned_while_there_is_another(self, acme):
        acme.user("admin", email="second@acme.test")

        acme.admin.ban()

        assert acme.admin.banned

    @pytest.mark.parametrize("leave", [User.ban, User.remove, lambda user: change_user(user, {"role": "developer"})])
    def test_last_admin_does_not_leave_a_banned_one_alone(self, acme, leave):
        acme.user("admin", email="second@acme.test").ban()

        with pytest.raises((LastAdmin, ValidationError)), transaction.atomic():
            leave(acme.admin)

        assert User.objects.filter(account=acme.account, role="admin", banned=None).exists()

    def test_last_admin_does_not_count_those_of_other_accounts(self, acme, rival):
        with pytest.raises(LastAdmin):
            rival.admin.ban()

    def test_last_admin_does_not_keep_others_from_being_banned(self, acme):
        acme.user("developer").ban()
        acme.user("user").ban()

        assert User.objects.filter(account=acme.account, banned__isnull=False).count() == 2

    def test_last_admin_may_go_again_when_another_is_unbanned(self, acme):
        second = acme.user("admin", email="second@acme.test")
        second.ban()
        second.unban()

        acme.admin.ban()

        assert acme.admin.banned


@pytest.mark.django_db(transaction=True)
def test_two_admins_are_not_banned_by_each_other(acme):
    for number in range(5):
        first, second = (acme.user("admin", email=f"{name}{number}@acme.test") for name in ("first", "second"))
        User.objects.filter(account=acme.account).exclude(pk__in=[first.pk, second.pk]).delete()

        refused = results_of(LastAdmin, race_of([first.ban, second.ban]))

        assert len(refused) == 1
        assert User.objects.filter(account=acme.account, role="admin", banned=None).count() == 1


def test_a_user_of_role_user_changes_no_other(acme, api, everyone):
    """Rank alone would permit it: two users rank the same."""
    everyone["license"].license_users.create(account=acme.account, user=everyone["stranger"])

    response = api(everyone["customer"]).patch(f"users/{everyone['stranger'].pk}", user_document(firstName="X"))

    assert_answered(response, REFUSED, everyone["stranger"])
