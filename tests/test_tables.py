"""`each_row` reports every row that failed, and rolls each one back."""

import pytest

from accounts.models import Account
from tests.tables import each_row


def test_each_row_fails_with_all_rows_that_failed(request):
    @each_row(("number", "name"), [(1, "one"), (2, "two"), (3, "three"), (4, "four")])
    def numbers_are_odd(number, name):
        assert number % 2, f"{name} is even"

    with pytest.raises(AssertionError) as failed:
        numbers_are_odd(request=request)

    assert "2 of 4 rows" in str(failed.value)
    assert "number=2, name='two'\nAssertionError: two is even" in str(failed.value)
    assert "number=4, name='four'\nAssertionError: four is even" in str(failed.value)


@each_row("slug", ["beta", "gamma"])
@each_row("count", [1, 1])
def test_each_row_begins_with_the_state_of_the_fixtures(acme, slug, count):
    assert Account.objects.count() == count
    assert acme.account.slug == "acme"

    acme.account.slug = slug
    acme.account.save()
    Account.objects.create(slug=f"{slug}-2", name=slug)
