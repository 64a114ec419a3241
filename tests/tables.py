"""One question about every row of a table, as one test."""

import inspect
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from functools import wraps

from django.db import models, transaction

from pools.popping import forget_hints
from pools.services.low_stock import forget_stock_checks
from tests.cast import Company

_COPIED = (models.Model, Company, dict, list)


def each_row(names, rows):
    """Run a test for every row of a table; it fails with all rows for which it failed.

    It takes the arguments of `pytest.mark.parametrize`. Fixtures are set up once. The changes of a row are rolled back
    before the next one, and each row gets its own copy of the fixtures that are model instances or contain some.
    Decorators can be stacked: every row of one table with every row of the other.
    """
    names = [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
    table = [row if len(names) > 1 else (row,) for row in rows]

    def decorate(test):
        known = inspect.signature(test).parameters

        @wraps(test)
        def run(*self, request, **fixtures):
            if "request" in known:
                fixtures["request"] = request
            wrong = []
            for row in table:
                with rolled_back() if "db" in request.fixturenames else nullcontext():
                    own = deepcopy({name: value for name, value in fixtures.items() if isinstance(value, _COPIED)})
                    try:
                        test(*self, **{**fixtures, **own, **dict(zip(names, row, strict=True))})
                    except Exception as error:
                        wrong.append(f"{_shown(names, row)}\n{type(error).__name__}: {error}")
            assert not wrong, f"{len(wrong)} of {len(table)} rows:\n\n" + "\n\n".join(wrong)

        left = [parameter for name, parameter in known.items() if name not in (*names, "request")]
        request = inspect.Parameter("request", inspect.Parameter.KEYWORD_ONLY)
        run.__signature__ = inspect.Signature([*left, request])
        del run.__wrapped__
        return run

    return decorate


def _shown(names, row):
    return ", ".join(f"{name}={repr(value)[:200]}" for name, value in zip(names, row, strict=True))


@contextmanager
def rolled_back():
    """A savepoint that is rolled back at the end, with the in-process memory of popped keys."""
    savepoint = transaction.atomic()
    savepoint._from_testcase = True  # as the test's own transaction: an export commits each page
    with savepoint:
        try:
            yield
        finally:
            transaction.set_rollback(True)
    forget_hints()
    forget_stock_checks()
