"""Licenses of the dependencies. `make licenses` writes docs/licenses.md with this module."""

import re
from importlib.metadata import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
FILES = {"requirements.txt": "In the running server", "requirements-dev.txt": "In tests and development only"}
# Licenses that a server with a proprietary source may use. Any other license needs a decision, and a line here.
# LGPL and MPL: the package is used as it is, and stays replaceable.
PERMITTED = {
    *("0BSD", "Apache-2.0", "BSD", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-4.0", "ISC", "LGPL-3.0-only"),
    *("MIT", "MIT-0", "MPL-2.0", "PSF-2.0", "Unlicense"),
}
# Packages that only tests use are not distributed.
PERMITTED_IN_TESTS = PERMITTED | {"Artistic-1.0"}
# How packages that have no SPDX expression call them.
SPELLINGS = {
    "BSD License": "BSD",
    "MIT License": "MIT",
    "MIT license": "MIT",
    "Artistic License": "Artistic-1.0",
    "Apache Software License": "Apache-2.0",
    "Apache License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "ISC License": "ISC",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
HEADER = """# Licenses of dependencies

Written by `make licenses` from what the packages say of themselves; a test keeps it so, and fails for a license that is
not among those known in `tests/dependency_licenses.py`. psycopg (LGPL) and the packages under the MPL are used
unchanged.
"""


def packages(file):
    """Return the names of the packages in a requirements file, without those that only other platforms need."""
    lines = re.findall(r"^[\w.-]+(?:\[[\w,-]+\])?==[^\\\n]*", (ROOT / file).read_text(), re.MULTILINE)
    found = [Requirement(line) for line in lines]
    return [each.name for each in found if each.marker is None or each.marker.evaluate()]


# Of packages whose metadata name no license: by the files that they contain.
UNDECLARED = {"axe-playwright-python": "MIT AND MPL-2.0"}


def license_of(package):
    """Return the license of an installed package, as an SPDX expression if it has one."""
    if package in UNDECLARED:
        return UNDECLARED[package]
    said = metadata(package)
    classified = [c.split(" :: ")[-1] for c in said.get_all("Classifier", []) if c.startswith("License ::")]
    role_label = said.get("License", "").strip()
    if expression := said.get("License-Expression"):
        return expression
    if role_label and len(role_label) < 60 and "\n" not in role_label and "released" not in role_label:
        return SPELLINGS.get(role_label, role_label)
    return " AND ".join(SPELLINGS.get(name, name) for name in classified) or "UNKNOWN"


def is_permitted(expression, permitted=PERMITTED):
    """Return whether each license in an expression, or one of each choice, is permitted."""
    if group := re.search(r"\(([^()]*)\)", expression):
        instead = "MIT" if is_permitted(group[1], permitted) else "UNKNOWN"
        return is_permitted(expression.replace(group[0], instead), permitted)
    return all(any(choice.strip() in permitted for choice in part.split(" OR ")) for part in expression.split(" AND "))


def document():
    """Return the text of docs/licenses.md."""
    parts, listed = [HEADER], set()
    for file, heading in FILES.items():
        names = sorted(set(packages(file)) - listed, key=str.lower)
        listed |= {*names}
        rows = [f"| {name} | {license_of(name)} |\n" for name in names]
        parts.append(f"## {heading}\n\n| package | license |\n|---|---|\n{''.join(rows)}")
    return "\n".join(parts)


if __name__ == "__main__":
    (ROOT / "docs" / "licenses.md").write_text(document())
