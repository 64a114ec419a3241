"""The names of all permissions, and those that a bearer of each role may be given (contract: security 5, platform 6.1).

A set of permissions contains names, or `*` for all that the bearer's role may be given. `accounts.roles` has the roles
that may use each permission.
"""

# The nouns, each with its verbs, and after a colon the roles that may be given it: R: read-only, P: product, U: user,
# L: license. The other roles may be given all.
_TABLE = """
account      analytics.read:R billing.read:R billing.update plan.read:R plan.update read:RPUL
             subscription.read:R subscription.update update
admin        create delete invite read:R update
arch         read:RPUL
artifact     create:P delete:P read:RPUL update:P
channel      read:RPUL
component    create:PUL delete:PUL read:RPUL update:PUL
constraint   read:RPUL
engine       read:RPUL
entitlement  create delete read:RPUL update
environment  create delete read:R tokens.generate update
event-log    read:R
group        create:P delete:P licenses.read:RPU machines.read:RPU owners.attach:P owners.detach:P
             owners.read:RPUL read:RPUL update:P users.read:RPU
key          create:P delete:P read:RP update:P
license      check-in:PUL check-out:PUL create:PU delete:PU entitlements.attach:P entitlements.detach:P
             group.update:P owner.update:P policy.update:PU read:RPUL reinstate:P renew:PU revoke:PU suspend:P
             tokens.generate:P update:P usage.decrement:P usage.increment:PUL usage.reset:P user.update:P
             users.attach:PU users.detach:PU validate:RPUL
machine      check-out:PUL create:PUL delete:PUL group.update:P heartbeat.ping:PUL heartbeat.reset:P
             owner.update:P proofs.generate:PUL read:RPUL update:PUL
package      create:P delete:P read:RPUL update:P
platform     read:RPUL
policy       create:P delete:P entitlements.attach:P entitlements.detach:P pool.pop:P read:RPUL update:P
process      create:PUL delete:PUL heartbeat.ping:PUL read:RPUL update:PUL
product      create delete read:RPUL tokens.generate update:P
release      constraints.attach:P constraints.detach:P create:P delete:P download:RPUL package.update:P publish:P
             read:RPUL update:P upgrade:RPUL upload:P yank:P
request-log  read:R
token        generate:RPU read:RPUL regenerate:PUL revoke:PUL
user         ban:P create:P delete:P group.update:P invite password.reset:RU password.update:RU read:RPUL
             second-factors.create:U second-factors.delete:U second-factors.read:RU second-factors.update:U
             tokens.generate:P unban:P update:PU
webhook-endpoint  create:P delete:P read:RP update:P
webhook-event     delete read:RP retry
"""
_ROLE_BY_LETTER = {"R": "read-only", "P": "product", "U": "user", "L": "license"}
ALL = "*"


def _read_table() -> dict[str, str]:
    """The letters of the roles by the name of the permission."""
    letters, noun = {}, ""
    for line in _TABLE.strip().splitlines():
        words = line.split()
        if not line.startswith(" "):
            noun = words.pop(0)
        for word in words:
            verb, _, roles = word.partition(":")
            letters[f"{noun}.{verb}"] = roles
    return letters


_LETTERS = _read_table()
NAMES = frozenset(_LETTERS)
# The names that a bearer of a role may be given.
GRANTABLE = dict.fromkeys(("admin", "developer", "sales-agent", "support-agent"), NAMES) | {
    role: frozenset(name for name, roles in _LETTERS.items() if letter in roles)
    for letter, role in _ROLE_BY_LETTER.items()
}
# The names that a new bearer of a role has, unless a setting of the account says otherwise.
DEFAULTS = GRANTABLE | {
    "user": GRANTABLE["user"]
    - {"account.read", "license.users.attach", "license.users.detach", "policy.read", "product.read"},
    "license": GRANTABLE["license"] - {"account.read", "policy.read", "product.read", "user.read"},
}
