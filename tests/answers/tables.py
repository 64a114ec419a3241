"""Requests to the API: routes with a valid document each, and valid and invalid values of everything else."""

import base64
import re
from typing import Any

PASSWORD = "open sesame"
NOTHING = "01a20000-0000-7000-8000-000000000000"  # the id of nothing


def document(type: str, attributes: dict[str, Any] | None = None, **relationships: Any) -> dict[str, Any]:
    links = {"relationships": relationships} if relationships else {}
    return {"data": {"type": type, "attributes": attributes or {}, **links}}


def one(type: str, name: str) -> dict[str, Any]:
    """Linkage to a resource, by its name."""
    return {"data": {"type": type, "id": f"{{{name}}}"}}


def some(*names: str) -> dict[str, Any]:
    """Linkage to users."""
    return {"data": [one("users", name)["data"] for name in names]}


def meta(**members: Any) -> dict[str, Any]:
    return {"meta": members}


def key(text: str, policy: str = "pooled") -> dict[str, Any]:
    return document("keys", {"key": text}, policy=one("policies", policy))


def policy(name: str, product: str = "rocket", **attributes: Any) -> dict[str, Any]:
    return document("policies", {"name": name, **attributes}, product=one("products", product))


def license(policy: str, owner: str = "", **attributes: Any) -> dict[str, Any]:
    links = {"policy": one("policies", policy)} | ({"owner": one("users", owner)} if owner else {})
    return document("licenses", attributes, **links)


def basic(user: str, password: str = PASSWORD) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def words(text: str) -> list[str]:
    return text.split()


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


METHODS = words("GET POST PUT PATCH DELETE")
VERSIONS = [f"1.{number}" for number in range(9)]
STRANGERS = words("expired banned garbage basic")  # whose credentials are not accepted
BEARERS = [
    *words("admin developer sales-agent support-agent read-only joe jane max rocket other activation anonymous rival"),
    "license key",
    *STRANGERS,
]

# fmt: off
POLICY = policy(
    "New", duration=86400, strict=False, floating=True, usePool=False, maxMachines=4, maxProcesses=4, maxUsers=4,
    maxCores=4, maxMemory=4, maxDisk=4, maxUses=4, machineUniquenessStrategy="UNIQUE_PER_PRODUCT",
    machineMatchingStrategy="MATCH_MOST", componentUniquenessStrategy="UNIQUE_PER_ACCOUNT",
    componentMatchingStrategy="MATCH_ALL", expirationStrategy="MAINTAIN_ACCESS", expirationBasis="FROM_FIRST_USE",
    renewalBasis="FROM_NOW", transferStrategy="RESET_EXPIRY", authenticationStrategy="MIXED",
    machineLeasingStrategy="PER_USER", processLeasingStrategy="PER_USER", overageStrategy="ALLOW_1_25X_OVERAGE",
    scheme="ED25519_SIGN", encrypted=False, protected=True, requireProductScope=True, requirePolicyScope=True,
    requireMachineScope=True, requireFingerprintScope=True, requireComponentsScope=True, requireUserScope=True,
    requireChecksumScope=True, requireVersionScope=True, requireCheckIn=True, checkInInterval="day",
    checkInIntervalCount=1, heartbeatDuration=60, heartbeatCullStrategy="KEEP_DEAD",
    heartbeatResurrectionStrategy="ALWAYS_REVIVE", heartbeatBasis="FROM_CREATION", requireHeartbeat=True,
    metadata={"key": "value"},
)
LICENSE = license(
    "terms", "joe", name="New", key="NEW-LICENSE-0001", protected=True, expiry="2028-01-01T00:00:00Z", suspended=False,
    maxMachines=1, maxProcesses=2, maxUsers=3, maxCores=4, maxMemory=5, maxDisk=6, maxUses=7, metadata={"key": "value"},
)
PRODUCT = document("products", {
    "name": "New", "code": "new", "distributionStrategy": "OPEN", "url": "https://new.example.com",
    "platforms": ["linux"], "metadata": {"key": "value"},
})
USER = document("users", {
    "firstName": "New", "lastName": "User", "email": "new@acme.test", "password": PASSWORD, "role": "user",
    "metadata": {"key": "value"},
})

# Methods, path, document. Paths stand below an account; `{joe}` stands for the id that the world has under that name.
ROUTES: list[tuple[str, str, Any]] = [
    ("GET PATCH PUT DELETE", "", document("accounts", {"name": "Acme", "slug": "acme", "protected": True})),
    ("GET POST", "keys", key("NEW-KEY-0001")),
    ("GET PUT PATCH DELETE", "keys/{key-12}", document("keys", {"key": "NEW-KEY-0002"})),
    ("GET", "keys/{key-12}/policy", None),
    ("GET", "keys/{key-12}/product", None),
    ("GET", "keys/{other-key}", None),
    ("GET", "key-events", None),
    ("POST", "key-events/actions/search", meta(key="POOL-0001")),
    ("GET", "key-events/{event}", None),
    ("GET DELETE", "policies/{pooled}/pool", None),
    ("GET", "policies/{pooled}/pool/{key-12}", None),
    ("GET", "policies/{pooled}/pool/actions/export", None),
    ("POST", "policies/{pooled}/pool/actions/import", b"IMPORTED-0001\nIMPORTED-0002\n"),
    ("POST", "policies/{pooled}/pool/actions/pop", meta(count=2)),
    ("POST", "policies/{pooled}/pool/actions/return", meta(key="POOL-0001")),
    ("POST", "policies/{pooled}/pool/actions/withdraw", meta(key="POOL-0004")),
    ("GET POST", "products", PRODUCT),
    ("GET PUT PATCH DELETE", "products/{rocket}", document("products", {"name": "Changed", "code": "changed"})),
    ("GET", "products/{rocket}/policies", None),
    ("GET", "products/{rocket}/policies/{pooled}", None),
    ("GET", "products/{rocket}/licenses", None),
    ("GET", "products/{rocket}/licenses/{license}", None),
    ("GET", "products/{rocket}/users", None),
    ("GET", "products/{rocket}/users/{joe}", None),
    ("GET POST", "products/{rocket}/tokens", document("tokens", {"name": "CI", "expiry": "2028-01-01T00:00:00Z"})),
    ("GET", "products/{rocket}/tokens/{rocket-token}", None),
    ("GET POST", "policies", POLICY),
    ("GET PUT PATCH DELETE", "policies/{pooled}", document("policies", {"name": "Changed", "maxUses": 9})),
    ("GET", "policies/{pooled}/product", None),
    ("GET", "policies/{terms}/licenses", None),
    ("GET", "policies/{terms}/licenses/{license}", None),
    ("GET POST", "licenses", LICENSE),
    ("POST", "licenses/actions/validate-key", meta(key="LICENSE-OF-JOE", nonce=1, scope={"product": "{rocket}"})),
    ("GET PUT PATCH DELETE", "licenses/{license}", document("licenses", {"name": "Changed", "maxUses": 9})),
    ("GET", "licenses/{other-license}", None),
    ("GET POST", "licenses/{license}/actions/validate", meta(nonce=1, scope={"user": "joe@acme.test"})),
    ("POST", "licenses/{license}/actions/suspend", None),
    ("POST", "licenses/{suspended}/actions/reinstate", None),
    ("POST", "licenses/{license}/actions/renew", None),
    ("DELETE", "licenses/{license}/actions/revoke", None),
    ("POST", "licenses/{license}/actions/check-in", None),
    ("GET POST", "licenses/{license}/actions/check-out", meta(ttl=3600, include=["product"], encrypt=False)),
    ("POST", "licenses/{license}/actions/increment-usage", meta(increment=2)),
    ("POST", "licenses/{license}/actions/decrement-usage", meta(decrement=0)),
    ("POST", "licenses/{license}/actions/reset-usage", None),
    ("GET", "licenses/{license}/product", None),
    ("GET PUT PATCH", "licenses/{license}/policy", one("policies", "plain")),
    ("GET PUT PATCH", "licenses/{license}/owner", one("users", "max")),
    ("GET PUT PATCH", "licenses/{license}/user", one("users", "max")),
    ("GET", "licenses/{license}/group", None),
    ("GET", "licenses/{license}/entitlements", None),
    ("GET", "licenses/{license}/entitlements/{joe}", None),
    ("GET", "licenses/{license}/machines", None),
    ("GET", "licenses/{license}/machines/{joe}", None),
    ("GET POST DELETE", "licenses/{license}/users", some("max")),
    ("GET", "licenses/{license}/users/{joe}", None),
    ("GET POST", "licenses/{license}/tokens", document("tokens", {"maxActivations": 1, "maxDeactivations": 1})),
    ("GET", "licenses/{license}/tokens/{activation}", None),
    ("GET POST PUT", "tokens", document("tokens", {"name": "Mine", "expiry": None}, bearer=one("users", "joe"))),
    ("GET PUT DELETE", "tokens/{joe-token}", None),
    ("GET POST", "users", USER),
    ("GET PUT PATCH DELETE", "users/{joe}", document("users", {"firstName": "Changed"})),
    ("POST", "users/{joe}/actions/ban", None),
    ("POST", "users/{banned}/actions/unban", None),
    ("POST", "users/{joe}/actions/update-password", meta(oldPassword=PASSWORD, newPassword="another one")),
    ("POST", "users/{joe}/actions/reset-password", meta(passwordResetToken="x", newPassword="another one")),
    ("GET POST", "users/{joe}/tokens", document("tokens", {"name": "Phone"})),
    ("GET", "users/{joe}/tokens/{joe-token}", None),
    ("GET", "users/{joe}/licenses", None),
    ("GET", "users/{joe}/licenses/{license}", None),
    ("GET", "users/{joe}/products", None),
    ("GET", "users/{joe}/products/{rocket}", None),
    ("POST", "passwords", meta(email="joe@acme.test", deliver=False)),
    ("GET", "me", None),
    ("GET", "profile", None),
    ("GET", "ping", None),
]

# Values of attributes, in the document of the route: a request for each value. `together`: several in one request.
VALUES: dict[str, dict[str, list[Any]]] = {
    "POST policies": {
        "duration": [0, -1, 1, 86399, 2**31 - 1, 2**31, 2**63, 1.5, None], "maxMachines": [0, 1, -1, None],
        "maxUsers": [0, 2**31], "maxUses": [0, -1], "maxMemory": [0, 2**31, 2**63 - 1, 2**64], "name": [" ", "x" * 256],
        "scheme": ["RSA_2048_PKCS1_SIGN", "LEGACY_ENCRYPT", "NONE", None], "encrypted": [True], "usePool": [True],
        "overageStrategy": ["ALLOW_1_5X_OVERAGE", "ALLOW_2X_OVERAGE", "NO_OVERAGE", "SOME"], "use_pool": [False],
        "checkInInterval": ["week", "month", "year", "hour", None], "checkInIntervalCount": [0, 365, 366, None],
        "heartbeatDuration": [59, 0, None], "heartbeatCullStrategy": ["DEACTIVATE_DEAD"], "heartbeatBasis": [None],
        "heartbeatResurrectionStrategy": ["NO_REVIVE", "15_MINUTE_REVIVE", "REVIVE"], "concurrent": [True],
        "metadata": [{"a": {"b": {"c": {}}}}, {"a": {"b": [1]}}, {"snake_case": 1}, {f"key{n}": n for n in range(65)}],
        "together": [
            {"usePool": True, "scheme": None}, {"encrypted": True, "scheme": None}, {"usePool": True},
            {"floating": False, "maxMachines": 1}, {"floating": False, "overageStrategy": "ALLOW_2X_OVERAGE"},
            {"overageStrategy": "ALLOW_1_5X_OVERAGE", "maxCores": 3}, {"requireCheckIn": False, "checkInInterval": "x"},
        ],
    },
    "PATCH policies/{pooled}": {
        "usePool": [False], "scheme": ["ED25519_SIGN"], "encrypted": [True], "duration": [1, None], "floating": [True],
        "requireCheckIn": [True], "maxMachines": [2], "protected": [None], "metadata": [None, {}],
    },
    "POST products": {
        "code": ["rocket", "ROCKET", "a b", "", None, NOTHING, "x" * 256],
        "url": ["example.com", "ftp://example.com", "https://localhost", "", None, "https:// x"],
        "platforms": [[], ["a"] * 101, ["x" * 256], ["a", "a"], [""], None],
        "distributionStrategy": ["LICENSED", "CLOSED", "FREE", None], "metadata": [{"a": "x" * 16385}, None],
    },
    "POST licenses": {
        "key": ["short", "LICENSE-OF-JOE", "POOL-0001", "POOL-0005", "actions", "x" * 16385, None],
        "expiry": [
            "2028-02-30", "2028-01-01", "1830000000", 1830000000, "soon", "", None, "2028-01-01T00:00:00+02:00",
            "9999-12-31T23:59:59Z", "0000-00-00",
        ],
        "maxUses": [-1, 0, 2**31, None], "maxMachines": [2], "suspended": [True], "uses": [1], "version": ["1"],
    },
    "PATCH licenses/{license}": {
        "key": ["ANOTHER-KEY"], "expiry": [None, "2020-01-01"], "suspended": [True], "maxUses": [0], "policy": ["x"],
        "metadata": [{"camelCase": {"snake_case": 1}}, {}], "protected": [None],
    },
    "POST users": {
        "email": ["joe@acme.test", "JOE@ACME.TEST", "joe", "a@b", f"{'x' * 250}@acme.test", " "],
        "password": ["short", "x" * 72, "x" * 73, "", None], "role": ["admin", "developer", "root", None],
        "firstName": [None, "x" * 256], "fullName": ["New User"],
    },
    "PATCH users/{joe}": {
        "email": ["jane@acme.test", "New@acme.test"], "role": ["developer"], "password": ["another one", None],
        "metadata": [{"a": 1}], "firstName": [None], "status": ["BANNED"],
    },
    "POST keys": {"key": [
        "POOL-0001", "POOL-0005", "OTHER-0001", "LICENSE-OF-JOE", "short", "x" * 1025, "actions", " leading blank",
        "trailing blank ", "tab\tinside", "käse-käse", NOTHING, 1,
    ]},
    "PATCH keys/{key-12}": {"key": ["POOL-0001", "POOL-0012", "OTHER-0001", "LICENSE-OF-JOE", "x"]},
    "PATCH ": {
        "slug": ["rival", "a", "A B", "new-slug", "", None, NOTHING], "apiVersion": ["1.0", "2.0", None],
        "name": ["x" * 256], "protected": [False], "status": ["PAUSED"],
    },
    "POST tokens": {"expiry": ["2020-01-01", "tomorrow", "2028-01-01"], "name": ["x" * 256], "maxActivations": [1]},
    "POST licenses/{license}/tokens": {"maxActivations": [-1, 0, 2**31, "1", None]},
}
# Relationships in place of those of the document.
LINKS: dict[str, list[dict[str, Any]]] = {
    request: [
        *({name: {"data": {"type": type, "id": id}}} for id in (*ids, "{rival-product}", NOTHING, "x", 1, None)),
        *({name: {"data": None}}, {name: None}, {name: {}}, {name: {"data": []}}, {}, {name: one("accounts", "acme")}),
    ]
    for request, name, type, ids in (
        ("POST keys", "policy", "policies", ["{plain}", "{other-policy}"]),
        ("POST policies", "product", "products", ["{other}"]),
        ("POST licenses", "policy", "policies", ["{pooled}", "{empty}", "{guarded}", "{other-terms}"]),
        ("POST licenses", "owner", "users", ["{joe}", "{admin-user}", "{rival-user}"]),
    )
}
# Documents in place of that of the route.
DOCUMENTS: dict[str, list[Any]] = {
    "POST policies/{pooled}/pool/actions/pop": [meta(count=n) for n in (0, -1, 1, 11, 100, 101, "1", 1.0, True)],
    "POST policies/{pooled}/pool/actions/return": [meta(key=text) for text in ("POOL-0002", "POOL-0005", "NOWHERE")],
    "POST policies/{pooled}/pool/actions/withdraw": [
        *(meta(key=text) for text in ("POOL-0001", "OTHER-0001", "NOWHERE", "")), meta(key="POOL-0005", nothing=1),
        *({"meta": {"import": id}} for id in ("{import}", NOTHING, "x")), meta(), {"meta": {"key": "x", "import": "x"}},
    ],
    "POST key-events/actions/search": [meta(key=text) for text in ("POOL-0005", "NOWHERE", "OTHER-0001", "")],
    "POST licenses/{license}/actions/increment-usage": [
        *(meta(increment=number) for number in (0, 5, 6, -1, 2**31, 2**63, "1")), {}, meta(), meta(decrement=1),
    ],
    "POST licenses/{license}/users": [
        *({"data": [{"type": "users", "id": id}]} for id in ("{joe}", "{jane}", "{rival-user}", NOTHING, "x")),
        some("max", "max"), {"data": []}, one("users", "max"), {"data": [{"type": "users", "id": NOTHING}] * 101},
    ],
    "DELETE licenses/{license}/users": [some("jane"), some("joe"), some("max"), some("jane", "max"), {"data": []}],
    "PUT licenses/{license}/policy": [
        *(one("policies", name) for name in ("pooled", "guarded", "terms", "other-terms", "joe")),
        {"data": None}, one("users", "joe"),
    ],
    "PUT licenses/{license}/owner": [*(one("users", name) for name in words("joe jane rocket")), {"data": None}],
    "POST tokens": [
        *(document("tokens", {}, bearer=one(type, name)) for type, name in (
            ("products", "rocket"), ("licenses", "license"), ("users", "admin-user"), ("users", "developer"),
            ("users", "rival-user"), ("user", "joe"), ("keys", "key-12"),
        )), {}, {"data": {"type": "tokens"}}, meta(otp="123456"),
    ],
}

FLAGS = ["true", "false", "1", "0", "TRUE", "FALSE", "f", "no", "x", ""]
FILTERS: dict[str, dict[str, list[str]]] = {
    "keys": {
        "policy": ["{pooled}", "{other-policy}", "{plain}", NOTHING, "x", "", "{pooled}&product={other}"],
        "product": ["{rocket}", "{other}", "rocket", NOTHING, "x", ""], "policy[]": ["{pooled}"], "unknown": ["1"],
    },
    "key-events": {
        "policy": ["{pooled}", "x"], "license": ["{pooled-license}", "x"], "reference": ["Order%201", ""],
        "event": ["popped", "issued", "returned", "POPPED", "x", ""],
    },
    "policies": {"product": ["{rocket}", "{other}", "rocket", "x", ""]},
    "policies/{terms}/licenses": {"product": ["{rocket}", "{other}"], "user": ["{joe}", "x"], "suspended": ["true"]},
    "products/{rocket}/licenses": {"policy": ["{terms}", "x"], "user": ["jane@acme.test"], "suspended": ["false", "x"]},
    "products/{rocket}/users": {"license": ["{license}"], "status": ["banned"], "roles[]": ["admin"]},
    "users/{joe}/licenses": {"product": ["{rocket}"], "policy": ["{plain}"], "suspended": ["1"]},
    "licenses": {
        **dict.fromkeys(words("suspended expired expiring assigned unassigned activated"), FLAGS),
        "status": words("active INACTIVE expiring expired suspended banned x"), "group": ["x"], "machine": ["x", ""],
        "product": ["{rocket}", "{other}", "rocket", "x", ""], "policy": ["{terms}", NOTHING, "x"],
        **dict.fromkeys(["owner", "user"], ["{joe}", "{jane}", "JANE@acme.test", NOTHING, "x", ""]),
        **dict.fromkeys(
            words("expires[within] expires[before] expires[after] expires[on] expired[within] expired[before]"),
            ["30d", "P1M", "86400", "2027-03-04", "2027-03-04T00:00:00Z", "x", ""],
        ),
        **dict.fromkeys(
            words("activity[inside] activity[outside] activity[before] activity[after]"),
            ["1d", "P90D", "2027-03-01T09:30:00Z", "x"],
        ),
        **dict.fromkeys([f"activations[{part}]" for part in words("eq gt gte lt lte x")], ["0", "1", "x"]),
        "metadata[plan]": ["pro", "x", "", "pro&metadata[seats]=5"], "metadata[seats]": ["5", "05"],
        "metadata": ["pro"],
    },
    "users": {
        "assigned": FLAGS, "status": ["active", "INACTIVE", "banned", "x"], "active": ["false"], "metadata[a]": ["1"],
        "roles[]": ["admin", "user&roles[]=developer", "x", ""], "roles": ["read-only"],
        "product": ["{rocket}", "{other}", "x"], "license": ["{license}", "x"],
    },
    "tokens": {
        "bearer[type]": ["user", "product", "license", "users", "x"], "bearer[role][]": ["user&bearer[role][]=product"],
        "bearer[role]": ["user", "admin", "product", "license", "x"], "bearer[id]": ["{joe}", "{rocket}", NOTHING, "x"],
    },
}
LISTS = [path for methods, path, _ in ROUTES if "GET" in methods and re.fullmatch(r"(.*/)?[a-z-]+s|.*/pool", path)]
PAGES = words(f"""
    limit=1 limit=3 limit=100 limit=101 limit=0 limit=-1 limit=x limit= limit=1.5 limit=%201 limit[]=1 limit=1&limit=2
    page[number]=1&page[size]=2 page[number]=2&page[size]=2 page[number]=9&page[size]=2 page[number]=1&page[size]=100
    page[number]=1&page[size]=101 page[number]=0 page[number]=-1 page[number]=x page[number]=1&page[size]=x
    page[number]=99999999999999999999 page[number]= page[number]=2 page[number][]=1 page[size]=2 page[size]=0
    page[size][]=1 page[cursor]= page[cursor]=&page[size]=2 page[cursor]=x page[cursor]={NOTHING}
    page[cursor]={{key-12}}&page[size]=2 page[cursor]={{license}} page[cursor]=7b1f6a52-6a0f-4a3c-9a34-111111111111
    page[number]=1&page[cursor]={{joe}} page=2 page[x]=1 order=asc order=DESC order=x order=asc&page[size]=2
    order=asc&page[number]=1&page[size]=2 page%5Bsize%5D=2&token=x
""")
EXPORTS = [
    *(f"format={format}&state={state}" for format in ("text", "csv", "ndjson", "xml")
      for state in ("available", "popped", "withdrawn", "all", "x")),
    *words("import={import} import=x since=2027-03-01 until=2027-03-01 since=x for-spreadsheet for-spreadsheet=x"),
]
# Content-Type, query, body of imports.
IMPORTS: list[tuple[str, str, bytes]] = [
    ("text/plain", "", b"IMPORT-0101\nIMPORT-0102\r\nIMPORT-0103"),
    ("text/plain", "?name=Named&dry-run", b"IMPORT-0101\nIMPORT-0102\n"),
    ("text/plain", "?skip-invalid", b"IMPORT-0101\n\nshort\nIMPORT-0101\nPOOL-0001\nPOOL-0005\nLICENSE-OF-JOE\n"),
    ("text/plain", "", b"IMPORT-0101\nshort\n"),
    ("text/plain", "?dry-run=true&skip-invalid=1", b" IMPORT-0101\nIMPORT\t0102\n\xff\xfe\xff\xfe\n" + b"x" * 1025),
    ("text/plain", "", b"\xef\xbb\xbfIMPORT-0101\n"),
    ("text/plain", "", b"IMPORT-0001\nIMPORT-0002\n"),
    ("text/plain", "", b""),
    ("text/plain", "?name=" + "x" * 256, b"IMPORT-0101\n"),
    ("text/plain", "?dry-run=perhaps", b"IMPORT-0101\n"),
    ("text/csv", "", b"key,note\nIMPORT-0101,a\n\"IMPORT,0102\",b\n"),
    ("text/csv", "?column=code", b"note,code\na,IMPORT-0101\n"),
    ("text/csv", "?column=2", b"a,IMPORT-0101\nb,IMPORT-0102\n"),
    ("text/csv", "?column=missing", b"note,code\na,IMPORT-0101\n"),
    ("text/csv", "", b"license_key\n\"IMPORT-0101\n"),
    ("application/x-ndjson", "", b'{"key": "IMPORT-0101"}\n{"key": "IMPORT-0102", "note": 1}\n'),
    ("application/x-ndjson", "?column=code&skip-invalid", b'{"code": "IMPORT-0101"}\n{"key": "x"}\nx\n[]\n{"code": 1}'),
    ("application/json", "", b'{"key": "IMPORT-0101"}'),
]
SCOPES: list[dict[str, Any]] = [
    {}, {"product": "{rocket}"}, {"product": "{other}"}, {"policy": "{terms}"}, {"policy": "x"},
    {"user": "joe@acme.test"}, {"user": "{jane}"}, {"user": None}, {"machine": "{joe}"}, {"fingerprint": "x"},
    {"fingerprints": []}, {"fingerprints": ["x"]}, {"components": ["x"]}, {"entitlements": []}, {"entitlements": ["X"]},
    {"checksum": "x"}, {"version": "1.0.0"}, {"unknown": "x"}, {"product": 1},
]
# Policies under which licenses are validated.
SCOPED: list[dict[str, Any]] = [
    *({f"require{name}Scope": True} for name in words("Product Policy Machine Fingerprint Components User Version")),
    *({"authenticationStrategy": name} for name in words("TOKEN LICENSE SESSION MIXED NONE")),
    {"strict": True}, {"strict": True, "floating": True}, {"maxUsers": 1}, {"expirationStrategy": "REVOKE_ACCESS"},
    {"expirationStrategy": "ALLOW_ACCESS"}, {"expirationBasis": "FROM_FIRST_VALIDATION", "duration": 86400},
    {"expirationBasis": "FROM_FIRST_USE", "duration": 86400}, {"overageStrategy": "ALWAYS_ALLOW_OVERAGE",
        "maxUsers": 1},
]
SCHEMES = words("""
    LEGACY_ENCRYPT RSA_2048_PKCS1_ENCRYPT RSA_2048_PKCS1_SIGN RSA_2048_PKCS1_PSS_SIGN RSA_2048_JWT_RS256
    RSA_2048_PKCS1_SIGN_V2 RSA_2048_PKCS1_PSS_SIGN_V2 ED25519_SIGN ECDSA_P256_SIGN
""")
SEEDS = ["", "{{ id }} {{email}} {{unknown}}", '{"exp": 1830000000}', "x" * 246]
CHECK_OUTS = words("""
    algorithm= algorithm=base64%2Bed25519 algorithm=base64%2Brsa-pss-sha256 algorithm=base64%2Brsa-sha256 algorithm=x
    algorithm=base64%2Becdsa-p256 algorithm=aes-256-gcm%2Bed25519 algorithm=x%2Bed25519 algorithm=base64%2Bx encrypt=1
    encrypt=false ttl=3600 ttl=3599 ttl= ttl=x ttl=99999999999 include=product,policy,owner include=x include=
    include=users,entitlements,group,user
""")

HEADERS: dict[str, list[str]] = {
    "Accept": [
        "application/vnd.api+json", "application/json", "application/*", "*/*", "*", "", "text/html", "application/xml",
        "application/json;q=0.5, application/vnd.api+json;q=0.9", "application/json;q=0", "text/html, application/json",
        "application/vnd.keygen+json", "application/octet-stream", "nonsense", "application/json; charset=utf-8",
    ],
    "Keygen-Accept-Signature": [
        *(f'algorithm="{name}"' for name in words("ed25519 rsa-pss-sha256 rsa-sha256 ecdsa-p256 ED25519 hmac")), "x=y",
        'keyid="{acme}", algorithm="ed25519"', 'keyid="{rival}", algorithm="ed25519"', 'algorithm=""', "ed25519",
    ],
    "Keygen-Version": ["1.9", "v1.5", "1", "2.0", "x", "", " 1.7 "],
    "Keygen-Reference": ["Order 1", "", " ", "x" * 255, "x" * 256, "tab\there"],
    "Keygen-Environment": ["production", ""],
    "Idempotency-Key": ["", " ", "a b", "x" * 255, "x" * 256, "order-1"],
    "Origin": ["https://app.example.com", "null"],
    "Host": ["testserver:8080", "evil.example.com", "a b"],
    "X-Forwarded-Proto": ["https"],
}
CONTENT_TYPES = [
    "application/vnd.api+json", "application/json", "application/vnd.api+json; charset=utf-8", "text/plain", "",
    "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/html", "application/xml", "nonsense",
    "application/octet-stream", "APPLICATION/JSON", "application/vnd.keygen+json",
]
RAW = [
    b"", b" ", b"{", b"}", b"[]", b"null", b"1", b'"x"', b'{"data":}', b'{"data": 1,}', b"{'data': 1}", b"\xff", b"\0",
    b'{"data": "\\ud800"}', b'{"data": NaN}', b'{"data": 1e999}', b'{"data": {}} x', b'\xef\xbb\xbf{"data": {}}',
    b'{"data": null}', b'{"data": []}', b'{"data": {}, "data": 1}', b"[" * 2000, b'{"a":' * 2000, b" " * 2**20 + b"{}",
]
CREDENTIALS = [  # {0} stands for the admin's token, {1} for the license key, {2} for a Basic value of the token
    "Bearer {0}", "bearer {0}", "Token {0}", "Bearer  {0} ", 'Bearer token="{0}"', "Bearer", "Bearer ", "Bearer {1}",
    "{0}", "Bearer " + NOTHING, "Bearer \0", "Digest {0}", "License {1}", "license {1}", "License", "License x",
    "License {0}", "Basic {2}", "basic {2}", "Basic x", "Basic ", "Basic =", "Basic /wA=", "Basic AA==",
]
ACME = "/v1/accounts/acme"
PATHS = [  # below the root of the server
    *words("""
        / /v1 /v1/ /v2/accounts /v1/accounts /v1/accounts/ /v1/nothing /nothing /nothing/ /v1/keys /v1/me /v1/ping
        /v1/health /v1/health/ /healthz /healthz/ /readyz /docs /docs/ /openapi.json /metrics /-/csp-reports /admin
        /admin/nothing/ /static/nothing.css /v1/accounts/nobody /v1/accounts/nobody/keys /v1/accounts//keys
        /v1/accounts/ACME/keys /v1/accounts/{acme}/keys /v1/accounts/rival/keys
    """),
    *(f"{ACME}/{name}/{id}" for name in words("keys policies products licenses users tokens key-events")
      for id in (NOTHING, "x", "%20", "actions", "a%2Fb", "x.json", NOTHING.upper(), NOTHING.replace("-", ""))),
    *(f"{ACME}/{path}" for path in words("""
        nothing keys/ keys.json keys.jsonapi keys.xml keys// me/ products/rocket products/ROCKET users/joe@acme.test
        users/JOE%40ACME.TEST licenses/LICENSE-OF-JOE licenses/GUARDED%2FLICENSE licenses/GUARDED/LICENSE
        licenses/GUARDED%2FLICENSE/policy licenses/LICENSE-OF-JOE/actions/validate licenses/actions/validate-key
        policies/{plain}/pool policies/{pooled}/pool/{import} policies/{empty}/licenses %2e%2e keys/%00 keys/%ff
        keys?limit=% keys?a=%ff keys?a=%00 keys?token=x keys?auth=token:x machines groups entitlements releases
    """)),
]
# fmt: on
