"""The licenses of all dependencies permit their use in the project."""

import pytest

from tests.dependency_licenses import PERMITTED_IN_TESTS, ROOT, document, is_permitted, license_of, packages
from tests.tables import each_row

pytestmark = pytest.mark.without_database


@each_row("package", packages("requirements.txt"))
def test_dependency_licenses_of_the_server_are_known(package):
    assert is_permitted(license_of(package)), f"{package}: {license_of(package)}"


@each_row("package", packages("requirements-dev.txt"))
def test_dependency_licenses_of_the_tests_are_known(package):
    assert is_permitted(license_of(package), PERMITTED_IN_TESTS), f"{package}: {license_of(package)}"


def test_dependency_licenses_are_listed():
    assert (ROOT / "docs" / "licenses.md").read_text() == document(), "run: make licenses"


@pytest.mark.parametrize("expression", ["MIT", "MPL-2.0 AND (Apache-2.0 OR MIT)", "GPL-3.0-only OR MIT"])
def test_dependency_licenses_that_are_known_are_permitted(expression):
    assert is_permitted(expression)


@pytest.mark.parametrize(
    "expression",
    ["UNKNOWN", "", "GPL-3.0-only", "AGPL-3.0-only AND MIT", "MIT AND (GPL-2.0-only OR SSPL-1.0)", "Proprietary"],
)
def test_dependency_licenses_that_are_not_known_are_not(expression):
    assert not is_permitted(expression)
