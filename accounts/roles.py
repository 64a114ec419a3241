"""Roles and their permissions (contract: keys 5, platform 6.1, licenses 9).

There are two checks, each with an error of its own:

1. The role *holds* the permission (`ROLE_PERMISSIONS`); else "<role> lacks permission to perform action".
2. The role may *use* it (`ALLOWED_ROLES`); else "ensure the token or license is allowed to access all resources". The
   administrative roles hold the same permissions and differ here.

Whether the bearer may see the object is checked separately, by `visible_to(bearer)`.
"""

ADMINISTRATORS = frozenset({"admin", "developer"})
STAFF = ADMINISTRATORS | {"sales-agent", "support-agent", "read-only"}

# Each permission, and the roles that may use it: A, D: admin, developer; Sa, Su: sales agent, support agent;
# R: read-only; P: product; L: license; U: user. No role deletes an account, and a sign-up has no bearer.
_TABLE = """
    account.create
    account.delete
    account.read                   A D Sa Su R P L U
    account.update                 A D
    key-event.read                 A D Su R P
    key.create                     A D P
    key.delete                     A D P
    key.read                       A D Sa Su R P
    key.update                     A D P
    license.check-in               A D Sa Su P L U
    license.check-out              A D Sa Su P L U
    license.create                 A D Sa P U
    license.delete                 A D Sa P U
    license.owner.update           A D Sa P
    license.policy.update          A D Sa P U
    license.read                   A D Sa Su R P L U
    license.reinstate              A D Sa Su P
    license.renew                  A D Sa P U
    license.revoke                 A D Sa P U
    license.suspend                A D Sa Su P
    license.tokens.generate        A D Sa P
    license.update                 A D Sa Su P
    license.usage.decrement        A D Sa Su P
    license.usage.increment        A D Sa Su P L U
    license.usage.reset            A D Sa Su P
    license.users.attach           A D Sa Su P
    license.users.detach           A D Sa Su P
    license.validate               A D Sa Su R P L U
    policy.create                  A D Sa P
    policy.delete                  A D P
    policy.pool.export             A D
    policy.pool.import             A D P
    policy.pool.move               A D
    policy.pool.pop                A D P
    policy.pool.replace            A D
    policy.pool.return             A D
    policy.pool.undo               A D
    policy.pool.withdraw           A D
    policy.read                    A D Sa Su R P L U
    policy.update                  A D Sa P
    product.create                 A D
    product.delete                 A D
    product.read                   A D Sa Su R P L U
    product.tokens.generate        A D
    product.update                 A D P
    token.generate                 A D Sa Su R P U
    token.read                     A D Sa Su R P L U
    token.regenerate               A D Sa Su P L U
    token.revoke                   A D Sa Su P L U
    user.ban                       A D Sa Su P
    user.create                    A D Sa P
    user.delete                    A D P
    user.password.reset            A D Sa Su R U
    user.password.update           A D Sa Su R U
    user.read                      A D Sa Su R P L U
    user.tokens.generate           A D P
    user.unban                     A D Sa Su P
    user.update                    A D Sa P U
"""
_ROLE_BY_LETTER = {
    "A": "admin",
    "D": "developer",
    "Sa": "sales-agent",
    "Su": "support-agent",
    "R": "read-only",
    "P": "product",
    "L": "license",
    "U": "user",
}

ALLOWED_ROLES = {
    permission: frozenset(_ROLE_BY_LETTER[letter] for letter in letters)
    for permission, *letters in (line.split() for line in _TABLE.strip().splitlines())
}
PERMISSIONS = frozenset(ALLOWED_ROLES)


def _ending_with(*endings: str) -> frozenset[str]:
    return frozenset(permission for permission in PERMISSIONS if permission.endswith(endings))


_OWN_PASSWORD = frozenset({"user.password.reset", "user.password.update"})

# The permissions that a role holds by default. The original API lets users and licenses be given more (platform 6.1,
# "allowed"), but none for keys or pools.
ROLE_PERMISSIONS = {
    "admin": PERMISSIONS,
    "developer": PERMISSIONS,
    "sales-agent": PERMISSIONS,
    "support-agent": PERMISSIONS,
    "read-only": _ending_with(".read") | _OWN_PASSWORD | {"license.validate", "token.generate"},
    "product": PERMISSIONS
    - _OWN_PASSWORD
    - {
        "account.create",
        "account.delete",
        "account.update",
        "policy.pool.move",
        "policy.pool.replace",
        "policy.pool.return",
        "policy.pool.undo",
        "policy.pool.withdraw",
        "product.create",
        "product.delete",
        "product.tokens.generate",
    },
    "user": _OWN_PASSWORD
    | {
        "license.check-in",
        "license.check-out",
        "license.create",
        "license.delete",
        "license.policy.update",
        "license.read",
        "license.renew",
        "license.revoke",
        "license.usage.increment",
        "license.validate",
        "token.generate",
        "token.read",
        "token.regenerate",
        "token.revoke",
        "user.read",
        "user.update",
    },
    "license": frozenset(
        {
            "license.check-in",
            "license.check-out",
            "license.read",
            "license.usage.increment",
            "license.validate",
            "token.read",
            "token.regenerate",
            "token.revoke",
        }
    ),
}

# A bearer does not change a user of a higher rank (contract: platform 6.1): `accounts.permissions.may_change`.
RANKS = {
    "admin": 7,
    "developer": 5,
    "product": 4,
    "sales-agent": 3,
    "support-agent": 2,
    "read-only": 1,
    "license": 0,
    "user": 0,
}
# The rank of users who may use the console, whatever their role. Only superusers rank higher.
CONSOLE_RANK = 8
