"""The group of a user, and the limits of groups (contract: entitlements-groups 11, 12)."""

import pytest

from accounts.models import Activity, User
from tests.accounts.documents import user_document
from tests.accounts.groups import make_group, one
from tests.cast import make_license
from tests.errors import (
    BAD,
    FORBIDDEN,
    NOT_FOUND,
    UNPROCESSABLE,
    assert_refused,
    bad_request,
    forbidden,
    lacks_permission,
    not_found,
    unprocessable,
)
from tests.licensing.documents import UNKNOWN
from tests.races import race, results_of, run_while_held
from tests.tables import each_row

GROUP = "/data/relationships/group"


@pytest.fixture
def group(acme):
    return make_group(acme.account)


@pytest.fixture
def ann(acme):
    return acme.user(email="ann@acme.test")


def group_full(limit):
    detail = f"user count has exceeded maximum allowed by current group ({limit})"
    return unprocessable("users", detail, "GROUP_USER_LIMIT_EXCEEDED", GROUP)


def new_user(group, email="new@acme.test"):
    document = user_document(email=email)
    document["data"]["relationships"] = {"group": one("groups", group)}
    return document


class TestMembers:
    def test_a_user_is_moved(self, acme, api, group, ann):
        client = api(acme.admin)
        assert client.get("users/ann@acme.test/group").json() == {"data": None}

        response = client.put("users/ann@acme.test/group", one("groups", group))

        relationship = response.json()["data"]["relationships"]["group"]
        assert (response.status_code, relationship["data"]) == (200, {"type": "groups", "id": str(group.pk)})
        assert client.get(f"users/{ann.pk}/group").json()["data"]["id"] == str(group.pk)
        entry = Activity.objects.get(event="group-changed")
        assert (entry.object_id, entry.details) == (ann.pk, {"to": "Hospital"})
        assert client.patch(f"users/{ann.pk}/group", {"data": None}).status_code == 200
        assert client.get(f"users/{ann.pk}/group").json() == {"data": None}

    def test_a_user_is_created_in_a_group(self, acme, api, group):
        assert api(acme.admin).post("users", new_user(group)).status_code == 201

        assert User.objects.get(email="new@acme.test").group == group

    @each_row("role", ["admin", "product"])
    def test_a_group_of_another_account_does_not_exist(self, acme, rival, api, ann, role):
        error = unprocessable("users", "must exist", "GROUP_NOT_FOUND", GROUP)
        client = api(acme.bearer(role))

        for group in (UNKNOWN, make_group(rival.account)):
            assert_refused(client.put(f"users/{ann.pk}/group", one("groups", group)), UNPROCESSABLE, error)
            assert_refused(client.post("users", new_user(group)), UNPROCESSABLE, error)

    @each_row(
        ("role", "refusal"),
        [
            *((role, None) for role in ("admin", "developer", "sales-agent", "product")),
            ("support-agent", forbidden()),
            *((role, lacks_permission(role)) for role in ("read-only", "user", "license")),
        ],
    )
    def test_who_may_move_a_user(self, acme, api, group, role, refusal):
        user = acme.user()
        license = acme.bearer("license")
        license.owner = user
        license.save()

        responses = [
            api(acme.bearer(role)).put(f"users/{user.pk}/group", document) for document in (one("groups", group), {})
        ]

        if refusal:  # before the document is read
            for response in responses:
                assert_refused(response, FORBIDDEN, refusal)
        else:
            assert responses[0].status_code == 200
            assert_refused(responses[1], BAD, bad_request("is missing", "/data"))

    def test_who_may_read_the_group_of_a_user(self, acme, api, group, ann):
        mate, stranger = (acme.user(email=f"{name}@acme.test") for name in ("mate", "stranger"))
        license = make_license(acme.unpooled, owner=ann)
        license.license_users.create(account=acme.account, user=mate)
        for user in (ann, stranger):
            user.change_group(group)

        for bearer in (acme.user("read-only"), acme.product, ann):
            assert api(bearer).get(f"users/{ann.pk}/group").status_code == 200
        for bearer in (license, mate):
            assert_refused(api(bearer).get(f"users/{ann.pk}/group"), FORBIDDEN, forbidden())
        assert_refused(api(stranger).get(f"users/{ann.pk}/group"), NOT_FOUND, not_found("user", ann.pk))

    @each_row("role", ["read-only", "user", "license", None])
    def test_others_give_no_group_to_a_new_user(self, acme, api, group, role):
        response = api(role and acme.bearer(role)).post("users", new_user(group))

        assert_refused(response, BAD, bad_request("unpermitted parameter", GROUP))


class TestLimits:
    def test_a_full_group_takes_no_user(self, acme, api, ann):
        group = make_group(acme.account, max_users=1)
        ann.change_group(group)
        client, bob = api(acme.admin), acme.user(email="bob@acme.test")

        response = client.put(f"users/{bob.pk}/group", one("groups", group))

        assert_refused(response, UNPROCESSABLE, group_full(1))
        assert_refused(client.post("users", new_user(group)), UNPROCESSABLE, group_full(1))
        assert not User.objects.filter(email="new@acme.test").exists()
        assert client.delete(f"users/{ann.pk}").status_code == 204
        assert client.put(f"users/{bob.pk}/group", one("groups", group)).status_code == 200

    def test_a_lowered_limit_removes_no_member_and_prevents_no_change(self, acme, api, group, ann):
        ann.change_group(group)
        client = api(acme.admin)

        assert client.patch(f"groups/{group.pk}", _limit(0)).status_code == 200

        document = user_document(firstName="Ann")
        assert client.patch(f"users/{ann.pk}", document).status_code == 200
        assert client.put(f"users/{ann.pk}/group", one("groups", group)).status_code == 200
        assert_refused(client.post("users", new_user(group)), UNPROCESSABLE, group_full(0))

    def test_an_owner_is_not_counted(self, acme, api, ann):
        group = make_group(acme.account, max_users=1)
        group.owners.create(account=acme.account, user=acme.admin)

        assert api(acme.admin).put(f"users/{ann.pk}/group", one("groups", group)).status_code == 200

    def test_a_user_whose_move_was_saved_is_changed_without_a_look_at_the_limit(self, acme, ann):
        group = make_group(acme.account, max_users=1)
        ann.change_group(group)
        ann.first_name = "Ann"

        ann.save_changes("first_name")

        assert not ann.enters_group


def _limit(number):
    return {"data": {"type": "groups", "attributes": {"maxUsers": number}}}


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_users_who_enter_at_once_do_not_exceed_the_limit(acme, api):
    group, speaker = make_group(acme.account, max_users=3), api(acme.admin)
    moves = [(speaker.put, f"users/{acme.user(email=f'{n}@acme.test').pk}/group", one("groups", group)) for n in "abcd"]
    creations = [(speaker.post, "users", new_user(group, f"{n}@acme.test")) for n in "efgh"]
    requests = iter(moves + creations)

    def ask():
        method, path, document = next(requests)
        return method(path, document)

    responses = race(8, ask)

    assert not results_of(Exception, responses)
    assert sorted(response.status_code < 300 for response in responses) == [False] * 5 + [True] * 3
    assert group.users.count() == 3


@pytest.mark.django_db(transaction=True)
@pytest.mark.postgresql
def test_a_user_waits_for_one_who_is_entering_the_group(acme, api):
    group, speaker = make_group(acme.account, max_users=1), api(acme.admin)
    ann, bob = (acme.user(email=f"{name}@acme.test") for name in ("ann", "bob"))

    waited, response = run_while_held(
        lambda: ann.change_group(group), lambda: speaker.put(f"users/{bob.pk}/group", one("groups", group))
    )

    assert waited
    assert_refused(response, UNPROCESSABLE, group_full(1))
