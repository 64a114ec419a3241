"""A package that was replaced in the package index is not installed: its hash differs from the one in our files."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

pytestmark = pytest.mark.without_database

ROOT = Path(__file__).parent.parent.parent
LOCKED = ["requirements.txt", "requirements-dev.txt"]
SOURCES = {"requirements.in": "requirements.txt", "requirements-dev.in": "requirements-dev.txt"}
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}")


def blocks(file):
    """Return the entries of a requirements file: each a requirement with its options, on one line."""
    text = re.sub(r"\\\n\s*", " ", (ROOT / file).read_text())
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def requirements(file):
    """Return the requirements of a file by name, without comments, options and hashes."""
    found = {}
    for line in blocks(file):
        if not line.startswith("-"):
            requirement = Requirement(re.sub(r"\s(--hash|#).*", "", line))
            found[canonicalize_name(requirement.name)] = requirement
    return found


@pytest.mark.parametrize("file", LOCKED)
def test_requirements_are_pinned_with_hashes(file):
    offenders = [
        line
        for line in blocks(file)
        if not re.match(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+(\s|$)", line) or not HASH.search(line)
    ]

    assert len(blocks(file)) > 20
    assert offenders == []


@pytest.mark.parametrize("file", [*LOCKED, *SOURCES])
def test_requirements_name_no_index(file):
    """A mirror of the machine that wrote a file must not get into it."""
    text = (ROOT / file).read_text()

    assert not re.search(r"https?://|--(extra-)?index-url|--find-links|--trusted-host|-i\s", text)


@pytest.mark.parametrize(("source", "locked"), SOURCES.items())
def test_requirements_are_those_that_are_explained(source, locked):
    wanted, found = requirements(source), requirements(locked)

    assert {name: str(each.specifier) for name, each in wanted.items()} == {
        name: str(found[name].specifier) for name in wanted
    }
    unexplained = [line for line in blocks(source) if not line.startswith("-") and "  # " not in line]
    assert unexplained == []


def test_requirements_of_development_contain_those_of_the_server():
    server, development = requirements("requirements.txt"), requirements("requirements-dev.txt")

    assert {name: str(each.specifier) for name, each in server.items()} == {
        name: str(development[name].specifier) for name in server
    }


def test_every_instruction_installs_with_hashes():
    files = [ROOT / "Makefile", ROOT / "README.md", *(ROOT / ".ci").iterdir(), *(ROOT / "docs").glob("*.md")]
    instructions = [
        (file.name, line.strip())
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"pip install.*(-r|--requirement)\b", line)
    ]

    assert len(instructions) >= 3
    assert [each for each in instructions if "--require-hashes" not in each[1]] == []
