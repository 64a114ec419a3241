"""The tokens that expire soon, by the rank of the operator who is told of them."""

from datetime import timedelta

from django.utils import timezone

from accounts.expiring_tokens import EXPIRES_SOON, find_expiring_tokens
from accounts.models import Token, User
from accounts.permissions import Change, may_change, revocable_team
from tests.cast import make_license
from tests.console import page, signed_in, staff, superuser


def token(bearer, name, after=EXPIRES_SOON - timedelta(hours=1)):
    return Token.generate(bearer, name=name, expiry=after and timezone.now() + after)[0]


def named(operator):
    return {each.name for part in find_expiring_tokens(operator) for each in part}


def test_a_team_is_revocable_by_the_rule_of_rank(acme):
    for role in User.Role.values:
        acme.user(role, email=f"{role}@acme.test")
        staff(acme, email=f"console-{role}@acme.test", role=role)
    root = superuser()
    people = [*User.objects.all()]

    for actor in people:
        expected = {
            each
            for each in people
            if (each.is_staff or each.role != "user") and may_change(actor.as_bearer(), each, Change.REVOKE)
        }
        found = revocable_team(actor)
        assert set(found if actor == root else found.filter(account=acme.account)) == expected, actor


def test_inbox_shows_tokens_that_expire_within_two_weeks(acme, rival):
    ann, support = staff(acme, email="ann@acme.test"), staff(acme, "Support", role="support-agent")
    for bearer, name in [(acme.product, "Shop"), (ann, "Mine"), (support, "Help"), (rival.product, "Rival")]:
        token(bearer, name)
        token(bearer, f"{name} later", EXPIRES_SOON + timedelta(hours=1))
        token(bearer, f"{name} over", timedelta(hours=-1))
        token(bearer, f"{name} forever", None)
    token(make_license(acme.unpooled), "Activation")
    token(acme.user("user", email="customer@acme.test"), "Customer")

    assert named(ann) == {"Shop", "Mine", "Help"}
    assert named(superuser()) == {"Shop", "Mine", "Help", "Rival"}
    assert named(staff(acme, "Auditor", role="read-only")) <= {"Auditor"}

    response = signed_in(ann).get(page("inbox"))
    text = response.content.decode()
    assert response.context["inbox_count"] == 4  # and the pool without keys
    assert all(page("accounts_token_change", each.pk) in text for each in Token.objects.filter(name__in=named(ann)))
