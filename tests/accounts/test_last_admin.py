"""An account always has an admin, even if two admins act at the same time (contract: platform 4.3)."""

from threading import Barrier, Thread

import pytest
from django.core.exceptions import ValidationError
from django.db import connection

from accounts.models import User
from accounts.services import change_user


def demote(user):
    change_user(user, {"role": User.Role.DEVELOPER})


def race(*acts):
    """Do things at the same time; returns how many of them were refused."""
    barrier, refused = Barrier(len(acts)), []

    def run(act):
        barrier.wait()
        try:
            act()
        except ValidationError as error:
            refused.append(error)
        finally:
            connection.close()

    threads = [Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return len(refused)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("one", "other"), [(demote, demote), (demote, User.remove), (User.remove, User.remove)])
def test_two_admins_do_not_both_leave(acme, one, other):
    for number in range(5):
        first, second = (acme.user("admin", email=f"{name}{number}@acme.test") for name in ("first", "second"))
        User.objects.filter(account=acme.account).exclude(pk__in=[first.pk, second.pk]).delete()

        refused = race(lambda: one(first), lambda: other(second))  # noqa: B023 the threads end in this turn

        assert refused == 1
        assert User.objects.filter(account=acme.account, role="admin").count() == 1
