"""Inviting people to the team: who may invite, the access they get, and the link that works once."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Group, Permission
from django.core import mail
from django.test import Client
from django.utils import timezone

from accounts.invitations import make_link
from accounts.models import Invitation, Token, User
from tests.accounts.links import choose_password, link_of, open_link
from tests.cast import make_company
from tests.console import act, page, shown, signed_in, staff, superuser
from tests.tables import each_row

BOB = "bob@acme.test"
# The roles that an Operator of each role may give.
MAY_GIVE = {
    "admin": ["admin", "operator", "support", "auditor"],
    "developer": ["operator", "support", "auditor"],
    "sales-agent": [],  # support agents and auditors may read the ledger in the API, sales agents may not
    "support-agent": ["support", "auditor"],
    "read-only": ["auditor"],
    "user": [],
}
GIVES = {
    "admin": ("admin", "Operator"),
    "operator": ("developer", "Operator"),
    "support": ("support-agent", "Support"),
    "auditor": ("read-only", "Auditor"),
}


@pytest.fixture
def ann(acme):
    person = staff(acme, email="ann@acme.test")
    person.first_name, person.last_name = "Ann", "Lee"
    person.save()
    return person


@pytest.fixture
def committed(django_capture_on_commit_callbacks):
    return lambda: django_capture_on_commit_callbacks(execute=True)


@pytest.fixture
def send(committed):
    """`send(operator, role, email)` sends the form of an invitation."""

    def post(operator, role="support", email=BOB, **values):
        with committed():
            return signed_in(operator).post(page("accounts_invitation_add"), {"email": email, "role": role, **values})

    return post


def invited(email=BOB):
    return Invitation.objects.filter(email=email).first()


class TestInvite:
    def test_an_invitation_is_mailed_with_a_link(self, acme, ann, send, mailbox):
        response = send(ann)

        assert (response.status_code, response["Location"]) == (302, page("accounts_invitation_changelist"))
        (message,) = mailbox
        assert message.to == [BOB]
        assert message.subject == "Your invitation to Acme"
        assert "Ann Lee invites you" in message.body
        assert f"http://testserver{page('join')}?token=" in message.body
        assert LogEntry.objects.get(object_repr=BOB).user == ann

    @each_row("role", list(GIVES))
    def test_a_person_joins_with_what_the_invitation_gives(self, acme, ann, send, mailbox, role):
        send(ann, role)

        client, response = open_link(link_of(mail.outbox[-1]))
        assert "Join <bdi>Acme</bdi>" in response.content.decode()
        joined = choose_password(client, "join", first_name="Bob", last_name="Ray")

        bob = User.objects.get(email=BOB)
        assert (joined.status_code, joined["Location"]) == (302, page("index"))
        assert (bob.account, bob.full_name, bob.is_superuser) == (acme.account, "Bob Ray", False)
        assert (bob.role, [group.name for group in bob.groups.all()]) == (GIVES[role][0], [GIVES[role][1]])
        assert client.session["_auth_user_id"] == str(bob.pk)
        assert client.get(page("index")).status_code == 200
        assert not Invitation.objects.exists()

    def test_without_mail_the_inviter_sees_the_link(self, acme, ann, send, no_mail):
        response = send(ann)

        link = shown(signed_in(ann), response)
        client, _ = open_link(link.removeprefix("http://testserver"))
        assert choose_password(client, "join").status_code == 302
        assert User.objects.filter(email=BOB, is_staff=True).exists()

    def test_a_superuser_invites_to_any_account(self, acme, rival, send, mailbox):
        send(superuser(), "admin", account=rival.account.pk)

        client, _ = open_link(link_of(mailbox[0]))
        choose_password(client, "join")
        assert User.objects.get(email=BOB).account == rival.account

    def test_an_operator_invites_to_no_other_account(self, acme, rival, ann, send):
        send(ann, account=rival.account.pk)

        assert invited().account == acme.account

    @each_row("email", ["nonsense", "", "ann@acme.test", "joe@acme.test", BOB])
    def test_an_email_that_is_wrong_or_known_is_refused(self, acme, ann, send, mailbox, email):
        acme.user("user", email="joe@acme.test")
        mail.outbox.clear()
        send(ann)
        before = list(Invitation.objects.values_list())

        response = send(ann, email=email)

        assert response.status_code == 200
        assert "errorlist" in response.content.decode()
        assert list(Invitation.objects.values_list()) == before
        assert len(mail.outbox) == 1

    def test_a_person_of_another_account_is_invited(self, acme, rival, ann, send, mailbox):
        rival.user("admin", email=BOB)

        assert send(ann).status_code == 302
        assert len(mailbox) == 1

    def test_an_account_does_not_invite_without_end(self, acme, ann, send, mailbox, monkeypatch):
        monkeypatch.setattr("accounts.invitations.MAX_INVITATIONS", 2)
        statuses = [send(ann, email=f"bob{number}@acme.test").status_code for number in range(3)]

        assert statuses == [302, 302, 422]
        assert len(mailbox) == 2

    def test_an_account_does_not_mail_without_end(self, acme, ann, send, mailbox):
        send(ann)
        for _ in range(59):
            act(signed_in(ann), "accounts_invitation_resend", invited())

        assert send(ann, email="eve@acme.test").status_code == 429
        assert act(signed_in(ann), "accounts_invitation_resend", invited()).status_code == 422
        assert not invited("eve@acme.test")


class TestRank:
    @each_row("role", list(MAY_GIVE))
    def test_an_operator_gives_no_more_than_their_own_role(self, acme, send, mailbox, role):
        operator = staff(acme, email="op@acme.test", role=role)
        mail.outbox.clear()
        text = signed_in(operator).get(page("accounts_invitation_add")).content.decode()

        given = [each for each in GIVES if send(operator, each, f"new-{each}@acme.test").status_code == 302]

        assert given == MAY_GIVE[role]
        assert [each for each in GIVES if f'value="{each}"' in text] == given
        assert Invitation.objects.count() == len(mail.outbox) == len(given)

    def test_an_operator_gives_no_permission_that_they_lack(self, acme, send):
        """By a group that can invite, but not hand out keys."""
        few = Group.objects.create(name="People only")
        few.permissions.set(Permission.objects.filter(codename__in=["add_user", "view_user", "change_user"]))
        operator = staff(acme, email="op@acme.test")
        operator.groups.set([few])

        for role in GIVES:
            assert send(operator, role).status_code != 302
        assert not Invitation.objects.exists()

    @each_row("group", ["Support", "Auditor"])
    def test_others_do_not_invite(self, acme, send, group):
        person = staff(acme, group)
        client = signed_in(person)

        assert send(person).status_code == 403
        assert client.get(page("accounts_invitation_add")).status_code == 403
        assert client.get(page("accounts_invitation_changelist")).status_code == 403
        assert "Invite" not in client.get(page("accounts_user_changelist")).content.decode()

    @each_row("action", ["resend", "revoke"])
    def test_an_invitation_of_a_higher_role_is_left_alone(self, acme, ann, send, action):
        send(ann, "admin")
        operator = staff(acme, email="op@acme.test", role="developer")
        before = Invitation.objects.values().get()

        response = act(signed_in(operator), f"accounts_invitation_{action}", invited())

        assert response.status_code == 403
        assert Invitation.objects.values().get() == before


class TestPending:
    def test_pending_invitations_are_listed(self, acme, ann, send, mailbox):
        send(ann, "auditor")
        client = signed_in(ann)

        text = client.get(page("accounts_invitation_changelist")).content.decode()
        team = client.get(page("accounts_user_changelist")).content.decode()

        assert BOB in text
        assert "Auditor" in text
        assert "ann@acme.test" in text
        assert 'Invitations&nbsp;<span class="note">1</span>' in team

    def test_a_resent_link_replaces_the_one_before(self, acme, ann, send, mailbox, committed):
        send(ann)
        with committed():
            act(signed_in(ann), "accounts_invitation_resend", invited())

        first, second = map(link_of, mailbox)
        assert open_link(first)[1].status_code == 410
        client, response = open_link(second)
        assert response.status_code == 200
        assert choose_password(client, "join").status_code == 302

    def test_who_resends_becomes_the_inviter(self, acme, ann, send, mailbox, committed):
        send(ann)
        other = staff(acme, email="other@acme.test")
        ann.ban()

        with committed():
            act(signed_in(other), "accounts_invitation_resend", invited())

        assert invited().inviter == other
        assert open_link(link_of(mailbox[1]))[1].status_code == 200

    def test_a_revoked_link_does_not_work(self, acme, ann, send, mailbox):
        send(ann)
        client, _ = open_link(link_of(mailbox[0]))

        act(signed_in(ann), "accounts_invitation_revoke", invited())

        assert open_link(link_of(mailbox[0]))[1].status_code == 410
        assert choose_password(client, "join").status_code == 410
        assert not User.objects.filter(email=BOB).exists()

    def test_resending_an_invitation_of_a_user_is_refused(self, acme, ann, send, mailbox):
        send(ann)
        acme.user("user", email=BOB)

        response = act(signed_in(ann), "accounts_invitation_resend", invited())

        assert response.status_code == 422
        assert len(mailbox) == 1


# Events between the invitation and the click on its link that make the link invalid.
def _expires(acme, ann):
    Invitation.objects.update(sent=timezone.now() - timedelta(days=7, seconds=1))


def _account_is_paused(acme, ann):
    acme.account.status = "PAUSED"
    acme.account.save()


def _inviter_is_banned(acme, ann):
    staff(acme, email="second-admin@acme.test")
    ann.ban()


def _inviter_leaves_the_console(acme, ann):
    User.objects.filter(pk=ann.pk).update(is_staff=False)


def _inviter_gets_a_lower_role(acme, ann):
    User.objects.filter(pk=ann.pk).update(role="read-only")


def _inviter_gets_another_group(acme, ann):
    ann.groups.set(Group.objects.filter(name="Auditor"))


def _inviter_is_deleted(acme, ann):
    ann.delete()


def _role_is_raised(acme, ann):
    Invitation.objects.update(role="admin")


def _group_is_replaced(acme, ann):
    Invitation.objects.update(group=Group.objects.get(name="Operator"))


def _email_is_replaced(acme, ann):
    Invitation.objects.update(email="eve@acme.test")


def _inviter_moves(acme, ann):
    User.objects.filter(pk=ann.pk).update(account=make_company("other").account)


EVENTS = [
    _account_is_paused,
    _inviter_is_banned,
    _inviter_leaves_the_console,
    _inviter_gets_a_lower_role,
    _inviter_gets_another_group,
    _inviter_is_deleted,
    _inviter_moves,
    _role_is_raised,
    _group_is_replaced,
    _email_is_replaced,
    _expires,
]


class TestLink:
    @pytest.mark.parametrize("event", EVENTS)
    @pytest.mark.parametrize("is_open", [False, True], ids=["before the click", "after it"])
    def test_a_link_is_bound_to_the_invitation_the_account_and_the_inviter(
        self, acme, ann, send, mailbox, event, is_open
    ):
        send(ann)
        link, client = link_of(mailbox[0]), Client()
        if is_open:
            assert open_link(link, client)[1].status_code == 200

        event(acme, ann)

        if not is_open:
            assert open_link(link, client)[1].status_code == 410
        assert choose_password(client, "join").status_code == 410
        assert not User.objects.filter(email__in=[BOB, "eve@acme.test"]).exists()

    def test_a_link_works_once(self, acme, ann, send, mailbox):
        send(ann)
        link = link_of(mailbox[0])
        clients = [open_link(link)[0] for _ in range(2)]

        statuses = [choose_password(client, "join").status_code for client in clients]

        assert statuses == [302, 410]
        assert open_link(link)[1].status_code == 410
        assert User.objects.filter(email=BOB).count() == 1

    def test_looking_at_a_link_does_not_use_it_up(self, acme, ann, send, mailbox):
        """Programs that check mails open links."""
        send(ann)
        for method in ("head", "get", "get"):
            assert getattr(Client(), method)(link_of(mailbox[0])).status_code == 302

        client, _ = open_link(link_of(mailbox[0]))
        assert choose_password(client, "join").status_code == 302

    def test_a_person_who_became_a_user_meanwhile_does_not_join(self, acme, ann, send, mailbox):
        send(ann)
        client, _ = open_link(link_of(mailbox[0]))
        acme.user("user", email=BOB)

        assert choose_password(client, "join").status_code == 410
        assert not User.objects.get(email=BOB).is_staff

    @each_row("password", ["short", "x" * 73, "password1", "bob@acme.test"])
    def test_a_weak_password_is_refused_and_the_link_kept(self, acme, ann, send, mailbox, password):
        send(ann)
        client, _ = open_link(link_of(mail.outbox[-1]))

        refused = choose_password(client, "join", password)

        assert refused.status_code == 200
        assert "The password is too" in refused.content.decode()
        assert not User.objects.filter(email=BOB).exists()
        assert choose_password(client, "join").status_code == 302

    def test_joining_signs_out_who_was_signed_in(self, acme, ann, send, mailbox):
        send(ann, "auditor")
        client = signed_in(ann)

        open_link(link_of(mailbox[0]), client)
        choose_password(client, "join")

        assert client.session["_auth_user_id"] == str(User.objects.get(email=BOB).pk)

    def test_a_new_colleague_has_to_set_up_a_required_second_factor(self, acme, ann, send, mailbox, settings):
        send(ann)
        settings.REQUIRE_SECOND_FACTOR = "staff"
        client, _ = open_link(link_of(mailbox[0]))
        choose_password(client, "join")

        for name in ("index", "accounts_user_changelist", "settings"):
            assert client.get(page(name))["Location"] == page("second_factor")

    def test_a_link_for_a_new_password_is_none_to_join(self, acme, ann, send, mailbox):
        send(ann)
        token = link_of(mailbox[0]).partition("token=")[2]

        assert open_link(f"{page('reset')}?token={token}")[1].status_code == 410
        assert open_link(f"{page('join')}?token={token}x")[1].status_code == 410
        assert open_link(f"{page('join')}?token={Token.generate(ann)[1]}")[1].status_code == 410

    def test_another_secret_key_makes_other_links(self, acme, ann, send, mailbox, settings):
        send(ann)
        link = make_link(invited()).removeprefix("http://testserver")

        settings.SECRET_KEY = "another one, of the same length or longer than the first, as it should be"

        assert open_link(link)[1].status_code == 410
