"""Fixtures of the tests of the console's pages of pools."""

import pytest

from tests.console import signed_in, staff


@pytest.fixture
def ann(acme):
    """An operator of Acme."""
    return staff(acme, email="ann@acme.test")


@pytest.fixture
def client(ann):
    """A client in which Ann is signed in."""
    return signed_in(ann)
