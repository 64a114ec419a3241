"""Promises of the security guide that no other module tests."""

import re
from pathlib import Path

from accounts.models import Token
from accounts.roles import ROLE_PERMISSIONS
from tests.cast import token_of

TEXT = (Path(__file__).parent.parent / "docs" / "security.md").read_text()


def test_scanners_for_secrets_can_recognise_every_token(acme):
    pattern = re.search(r"`(\\b\(admin.*\\b)`", TEXT)[1]

    missed = [role for role in ROLE_PERMISSIONS if not re.search(pattern, f"x = {token_of(acme.bearer(role))}")]
    assert missed == []
    assert all(f"`{prefix}-`" in TEXT for prefix in Token.PREFIXES.values())
