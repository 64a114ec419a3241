"""The team in the console: who is listed, and who lets whom in."""

import pytest
from django.contrib.auth.models import Group

from accounts.models import Token, User
from tests.accounts.links import NEW, choose_password, link_of, open_link
from tests.console import PASSWORD, act, page, shown, signed_in, staff, superuser
from tests.tables import each_row

ACCESS = "accounts_user_access"


@pytest.fixture
def ann(acme):
    return staff(acme, email="ann@acme.test", password=PASSWORD)


@pytest.fixture
def dev(acme):
    return acme.user("developer", email="dev@acme.test", password=PASSWORD)


def listed(client, **query):
    return {user.email for user in client.get(page("accounts_user_changelist", **query)).context["cl"].result_list}


class TestList:
    def test_the_team_has_no_customers(self, acme, ann, dev):
        acme.user("user", email="customer@acme.test")
        odd = staff(acme, "Support", email="odd@acme.test", role="user")

        assert listed(signed_in(ann)) == {"admin@acme.test", ann.email, dev.email, odd.email}

    def test_the_team_is_filtered(self, acme, ann, dev):
        client = signed_in(ann)
        dev.ban()

        assert listed(client, status="blocked") == {dev.email}
        assert listed(client, status="active") == {"admin@acme.test", ann.email}
        assert listed(client, is_staff__exact="1") == {ann.email}

    def test_the_team_says_who_may_do_what(self, acme, ann, dev):
        text = signed_in(ann).get(page("accounts_user_changelist")).content.decode()

        for words in ("Console access", "Operator", "Second factor", "Last sign-in", "Invite"):
            assert words.lower() in text.lower()

    def test_a_list_of_the_team_costs_the_same_for_many(self, acme, ann, django_assert_max_num_queries):
        for number in range(30):
            staff(acme, email=f"op{number}@acme.test")
        client = signed_in(ann)
        client.get(page("accounts_user_changelist"))

        with django_assert_max_num_queries(16):
            client.get(page("accounts_user_changelist"))


class TestAccess:
    def test_an_admin_lets_a_colleague_in(self, acme, ann, dev, mailbox, django_capture_on_commit_callbacks):
        """The password from before may be known to others, so a link asks for another one."""
        Token.generate(dev)
        with django_capture_on_commit_callbacks(execute=True):
            act(signed_in(ann), ACCESS, dev, access="Support")

        dev.refresh_from_db()
        assert (dev.is_staff, [group.name for group in dev.groups.all()]) == (True, ["Support"])
        assert (dev.check_password(PASSWORD), dev.tokens.count()) == (False, 0)
        client, _ = open_link(link_of(mailbox[-1]))
        choose_password(client, "reset")
        dev.refresh_from_db()
        assert dev.check_password(NEW)

    def test_without_mail_the_admin_sees_the_link(self, ann, dev, no_mail):
        client = signed_in(ann)

        link = shown(client, act(client, ACCESS, dev, access="Support"))

        choose_password(open_link(link.removeprefix("http://testserver"))[0], "reset")
        dev.refresh_from_db()
        assert dev.check_password(NEW)

    def test_an_admin_changes_the_group_of_a_colleague(self, acme, ann):
        bob = staff(acme, "Support", email="bob@acme.test", password=PASSWORD)

        response = act(signed_in(ann), ACCESS, bob, access="Auditor")

        bob.refresh_from_db()
        assert response["Location"] == page("accounts_user_change", bob.pk)
        assert [group.name for group in bob.groups.all()] == ["Auditor"]
        assert bob.check_password(PASSWORD)

    def test_an_admin_takes_access_away(self, acme, ann):
        bob = staff(acme, email="bob@acme.test")
        session = signed_in(bob)
        Token.generate(bob)

        act(signed_in(ann), ACCESS, bob, access="none")

        bob.refresh_from_db()
        assert (bob.is_staff, bob.groups.count(), bob.tokens.count()) == (False, 0, 0)
        assert session.get(page("index")).status_code == 302
        act(signed_in(ann), ACCESS, bob, access="Support")
        assert session.get(page("index")).status_code == 302

    @each_row("role", ["developer", "sales-agent", "support-agent", "read-only", "user"])
    def test_only_admins_decide_about_access(self, acme, dev, role):
        operator = staff(acme, email="op@acme.test", role=role)
        bob = staff(acme, "Support", email="bob@acme.test", role="user")
        client = signed_in(operator)

        for person in (dev, bob, operator):
            assert act(client, ACCESS, person, access="Operator").status_code == 403
            text = client.get(page("accounts_user_change", person.pk)).content.decode()
            assert page(ACCESS) not in text
        assert [group.name for group in bob.groups.all()] == ["Support"]
        assert not User.objects.get(pk=dev.pk).is_staff

    @each_row("who", ["admin", "superuser"])
    def test_a_person_cannot_change_their_own_access(self, acme, ann, who):
        person = ann if who == "admin" else superuser()

        assert act(signed_in(person), ACCESS, person, access="none").status_code == 403
        assert User.objects.get(pk=person.pk).is_staff

    @each_row("group", ["Support", "Auditor"])
    def test_other_groups_decide_about_nothing(self, acme, dev, group):
        assert act(signed_in(staff(acme, group)), ACCESS, dev, access="Auditor").status_code == 403

    def test_an_admin_of_another_account_decides_about_nothing(self, acme, rival, dev):
        assert act(signed_in(staff(rival)), ACCESS, dev, access="Auditor").status_code == 404

    def test_an_admin_gives_no_more_than_their_own_group(self, acme, dev):
        few = Group.objects.create(name="People only")
        few.permissions.set(
            permission
            for permission in Group.objects.get(name="Operator").permissions.all()
            if permission.codename in ("add_user", "change_user", "view_user")
        )
        operator = staff(acme, email="op@acme.test")
        operator.groups.set([few])

        response = act(signed_in(operator), ACCESS, dev, access="Operator")

        assert response.status_code == 422
        assert "no more than your own" in response.content.decode()
        assert not User.objects.get(pk=dev.pk).is_staff

    @each_row("access", ["People only", "Superuser", "nonsense"])
    def test_other_groups_are_no_choice(self, acme, ann, dev, access):
        Group.objects.get_or_create(name="People only")

        response = act(signed_in(ann), ACCESS, dev, access=access)

        assert "Select a valid choice" in response.content.decode()
        assert not User.objects.get(pk=dev.pk).is_staff

    def test_an_admin_lets_no_superuser_in_or_out(self, acme, ann):
        assert act(signed_in(ann), ACCESS, superuser(), access="none").status_code == 404


def test_a_new_account_has_an_admin_who_gets_a_link(db, mailbox, django_capture_on_commit_callbacks):
    client = signed_in(superuser())
    values = {"name": "New", "slug": "new", "status": "SUBSCRIBED", "admin_email": "a@new.test"}
    with django_capture_on_commit_callbacks(execute=True):
        client.post(page("accounts_account_add"), values)

    choose_password(open_link(link_of(mailbox[-1]))[0], "reset")

    admin = User.objects.get(email="a@new.test")
    assert admin.check_password(NEW)
    assert signed_in(admin).get(page("accounts_invitation_add")).status_code == 200
