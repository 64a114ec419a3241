"""Roles and their permissions (contract: keys 5, platform 6.1, licenses 9).

There are two checks, each with an error of its own:

1. The role *holds* the permission (`ROLE_PERMISSIONS`); else "<role> lacks permission to perform action".
2. The role may *use* it (`ALLOWED_ROLES`); else "ensure the token or license is allowed to access all resources". The
   administrative roles hold the same permissions and differ here.

Whether the bearer may see the object is checked separately, by `visible_to(bearer)`.
"""

from accounts.permission_names import DEFAULTS, GRANTABLE, NAMES

ADMINISTRATORS = frozenset({"admin", "developer"})
# The roles that may set values which support agents, licenses and users may not, e.g. limits of a new license.
MANAGERS = ADMINISTRATORS | {"sales-agent", "product"}
STAFF = ADMINISTRATORS | {"sales-agent", "support-agent", "read-only"}

# Each permission, and the roles that may use it: A, D: admin, developer; Sa, Su: sales agent, support agent;
# R: read-only; P: product; L: license; U: user. No role deletes an account, and a sign-up has no bearer.
_TABLE = """
    account.create
    account.delete
    account.read                   A D Sa Su R P L U
    account.update                 A D
    component.create               A D Sa P L U
    component.delete               A D Sa P L U
    component.read                 A D Sa Su R P L U
    component.update               A D Sa Su P L U
    entitlement.create             A D
    entitlement.delete             A D
    entitlement.read               A D Sa Su R P L U
    entitlement.update             A D
    group.create                   A D P
    group.delete                   A D P
    group.licenses.read            A D Sa Su R P U
    group.machines.read            A D Sa Su R P U
    group.owners.attach            A D P
    group.owners.detach            A D P
    group.owners.read              A D Sa Su R P L U
    group.read                     A D Sa Su R P L U
    group.update                   A D P
    group.users.read               A D Sa Su R P U
    key-event.read                 A D Su R P
    key.create                     A D P
    key.delete                     A D P
    key.read                       A D Sa Su R P
    key.update                     A D P
    license.check-in               A D Sa Su P L U
    license.check-out              A D Sa Su P L U
    license.create                 A D Sa P U
    license.delete                 A D Sa P U
    license.entitlements.attach    A D Sa P
    license.entitlements.detach    A D Sa P
    license.group.update           A D Sa P
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
    machine.check-out              A D Sa Su P L U
    machine.create                 A D Sa P L U
    machine.delete                 A D Sa P L U
    machine.group.update           A D Sa P
    machine.heartbeat.ping         A D P L U
    machine.heartbeat.reset        A D Sa P
    machine.owner.update           A D Sa P
    machine.proofs.generate        A D Sa P L U
    machine.read                   A D Sa Su R P L U
    machine.update                 A D Sa Su P L U
    policy.create                  A D Sa P
    policy.delete                  A D P
    policy.entitlements.attach     A D Sa P
    policy.entitlements.detach     A D Sa P
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
    process.create                 A D Sa P L U
    process.delete                 A D Sa P L U
    process.heartbeat.ping         A D P L U
    process.read                   A D Sa Su R P L U
    process.update                 A D Sa Su P L U
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
    user.group.update              A D Sa P
    user.password.reset            A D Sa Su R U
    user.password.update           A D Sa Su R U
    user.read                      A D Sa Su R P L U
    user.second-factors.create     A D Sa Su U
    user.second-factors.delete     A D Sa Su U
    user.second-factors.read       A D Sa Su R U
    user.second-factors.update     A D Sa Su U
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


# The permissions that this server adds: which of them a role holds, although it may not use all of these.
_OWN_NAMES = PERMISSIONS - NAMES
_OWN_NAMES_BY_ROLE = dict.fromkeys(("admin", "developer", "sales-agent", "support-agent"), _OWN_NAMES) | {
    "read-only": frozenset({"key-event.read"}),
    "product": frozenset({"key-event.read", "policy.pool.export", "policy.pool.import"}),
}
# The permissions that a role holds by default, and those that `*` stands for: also names that no operation needs.
ROLE_PERMISSIONS = {role: names | _OWN_NAMES_BY_ROLE.get(role, frozenset()) for role, names in DEFAULTS.items()}
ALL_PERMISSIONS = {role: names | _OWN_NAMES_BY_ROLE.get(role, frozenset()) for role, names in GRANTABLE.items()}

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
# The rank of all users with access to the console. Only superusers rank higher.
CONSOLE_RANK = 8
