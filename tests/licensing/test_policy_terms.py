"""Terms that do not fit together, when a policy is made and when it is changed (contract: keys 7.1, 7.3)."""

from licensing.models import Policy
from tests.cast import make_policy
from tests.errors import UNPROCESSABLE, assert_refused, unprocessable
from tests.licensing.documents import document, policy_document
from tests.tables import each_row


def refusal(attribute, detail, code):
    return unprocessable("policies", detail, code, f"/data/attributes/{attribute}")


def overage(detail):
    return refusal("overageStrategy", f"incompatible overage strategy ({detail})", "OVERAGE_STRATEGY_NOT_ALLOWED")


POOL_ENCRYPTED = refusal("encrypted", "cannot be encrypted and use a pool", "ENCRYPTED_NOT_SUPPORTED")
POOL_SCHEME = refusal("scheme", "cannot use a scheme and use a pool", "SCHEME_NOT_SUPPORTED")
LEGACY_PLAIN = refusal("scheme", "must be encrypted when using LEGACY_ENCRYPT scheme", "SCHEME_INVALID")
WRONG_SCHEME = refusal(
    "scheme",
    "unsupported encryption scheme (scheme must be LEGACY_ENCRYPT for legacy encrypted policies)",
    "SCHEME_NOT_ALLOWED",
)
CULL = refusal(
    "heartbeatCullStrategy",
    "incompatible heartbeat cull strategy (must be KEEP_DEAD when resurrection strategy is ALWAYS_REVIVE)",
    "HEARTBEAT_CULL_STRATEGY_NOT_ALLOWED",
)
FLOATING = refusal("maxMachines", "must be greater than or equal to 1 for floating policy", "MAX_MACHINES_INVALID")
NODE_LOCKED = refusal("maxMachines", "must be equal to 1 for non-floating policy", "MAX_MACHINES_INVALID")
INTERVAL = refusal("checkInInterval", "must be one of: day, week, month, year", "CHECK_IN_INTERVAL_NOT_ALLOWED")
COUNT = refusal(
    "checkInIntervalCount", "must be a number between 1 and 365 inclusive", "CHECK_IN_INTERVAL_COUNT_NOT_ALLOWED"
)
QUARTER, HALF = "ALLOW_1_25X_OVERAGE", "ALLOW_1_5X_OVERAGE"


def uneven(strategy, limit, divisor):
    return overage(f"cannot use {strategy} with a max {limit} value not divisible by {divisor}")


ON_CREATE = [
    ({"usePool": True, "encrypted": True}, [POOL_ENCRYPTED, POOL_SCHEME]),
    ({"usePool": True, "scheme": "ED25519_SIGN"}, [POOL_SCHEME]),
    ({"scheme": "LEGACY_ENCRYPT"}, [LEGACY_PLAIN]),
    *(
        ({"encrypted": True, "scheme": scheme}, [WRONG_SCHEME])
        for scheme in ("RSA_2048_PKCS1_ENCRYPT", "ED25519_SIGN", "ECDSA_P256_SIGN")
    ),
]
ALWAYS = [
    ({"heartbeatResurrectionStrategy": "ALWAYS_REVIVE"}, [CULL]),
    ({"heartbeatResurrectionStrategy": "ALWAYS_REVIVE", "heartbeatCullStrategy": "DEACTIVATE_DEAD"}, [CULL]),
    ({"overageStrategy": QUARTER}, [overage(f"cannot use {QUARTER} for node-locked policy")]),
    ({"overageStrategy": HALF}, [overage(f"cannot use {HALF} for node-locked policy")]),
    ({"overageStrategy": HALF, "maxCores": 3}, [overage(f"cannot use {HALF} for node-locked policy")]),
    *(
        ({"overageStrategy": strategy, "floating": True, "maxMachines": even, name: odd}, [uneven(strategy, noun, by)])
        for strategy, by, even, odd in ((QUARTER, 4, 8, 6), (HALF, 2, 6, 3))
        for name, noun in (
            ("maxMachines", "machines"),
            ("maxCores", "cores"),
            ("maxMemory", "memory"),
            ("maxDisk", "disk"),
            ("maxProcesses", "processes"),
            ("maxUsers", "users"),
        )
    ),
    (
        {"overageStrategy": HALF, "floating": True, "maxMachines": 2, "maxUsers": 3, "maxDisk": 5},
        [uneven(HALF, "disk", 2)],
    ),
    ({"maxMachines": 2}, [NODE_LOCKED]),
    ({"maxMachines": 0}, [NODE_LOCKED]),
    ({"floating": True, "maxMachines": 0}, [FLOATING]),
    (
        {"maxMachines": -1},
        [refusal("maxMachines", "must be greater than or equal to 0", "MAX_MACHINES_INVALID")],
    ),
    (
        {"floating": True, "maxMachines": 2**31},
        [refusal("maxMachines", "must be less than or equal to 2147483647", "MAX_MACHINES_INVALID")],
    ),
    ({"requireCheckIn": True}, [INTERVAL, COUNT]),
    ({"requireCheckIn": True, "checkInInterval": "hour", "checkInIntervalCount": 1}, [INTERVAL]),
    ({"requireCheckIn": True, "checkInInterval": "day", "checkInIntervalCount": 0}, [COUNT]),
    ({"requireCheckIn": True, "checkInInterval": "day", "checkInIntervalCount": 366}, [COUNT]),
    ({"maxMachines": 2, "requireCheckIn": True, "checkInInterval": "day"}, [NODE_LOCKED, COUNT]),
]
FITTING = [
    {"overageStrategy": QUARTER, "floating": True},
    {"encrypted": True},
    {"encrypted": True, "scheme": "LEGACY_ENCRYPT"},
    {"usePool": True, "encrypted": False, "scheme": None},
]
ALWAYS_FITTING = [
    {"heartbeatResurrectionStrategy": "ALWAYS_REVIVE", "heartbeatCullStrategy": "KEEP_DEAD"},
    {"overageStrategy": QUARTER, "floating": True, "maxMachines": 4, "maxCores": 8, "maxUses": 3},
    {"overageStrategy": HALF, "floating": True, "maxMachines": 2, "maxUsers": 4},
    {"overageStrategy": "ALLOW_2X_OVERAGE", "maxCores": 3},
    {"overageStrategy": "ALWAYS_ALLOW_OVERAGE", "maxCores": 3},
    {"floating": True, "maxMachines": 1},
    {"floating": True, "maxMachines": 2**31 - 1},
    {"floating": True, "maxMachines": None},
    {"requireCheckIn": True, "checkInInterval": "year", "checkInIntervalCount": 365},
    {"requireCheckIn": False, "checkInInterval": "hour", "checkInIntervalCount": 0},
]


class TestCreate:
    @each_row(("attributes", "errors"), ON_CREATE + ALWAYS)
    def test_creation_refuses_terms_that_do_not_fit(self, acme, api, attributes, errors):
        response = api(acme.admin).post("policies", policy_document(acme.product, **attributes))

        assert_refused(response, UNPROCESSABLE, *errors)
        assert Policy.objects.count() == 2

    @each_row("attributes", FITTING + ALWAYS_FITTING)
    def test_creation_keeps_terms_that_fit(self, acme, api, attributes):
        response = api(acme.admin).post("policies", policy_document(acme.product, **attributes))

        assert response.status_code == 201
        shown = response.json()["data"]["attributes"]
        assert {name: shown[name] for name in attributes} == attributes


class TestUpdate:
    @each_row(("attributes", "errors"), ALWAYS)
    def test_update_refuses_terms_that_do_not_fit(self, acme, api, attributes, errors):
        policy = make_policy(acme.product)

        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", attributes))

        assert_refused(response, UNPROCESSABLE, *errors)
        after = Policy.objects.get(pk=policy.pk)
        assert (after.updated, after.overage_strategy, after.floating) == (policy.updated, "NO_OVERAGE", False)

    @each_row("attributes", ALWAYS_FITTING)
    def test_update_keeps_terms_that_fit(self, acme, api, attributes):
        policy = make_policy(acme.product)

        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", attributes))

        assert response.status_code == 200
        shown = response.json()["data"]["attributes"]
        assert {name: shown[name] for name in attributes} == attributes

    def test_update_looks_at_old_and_new_terms_together(self, acme, api):
        policy = make_policy(acme.product, floating=True, max_machines=2, overage_strategy=HALF)

        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", {"maxMachines": 3}))

        assert_refused(response, UNPROCESSABLE, uneven(HALF, "machines", 2))

    @each_row(
        ("before", "changes", "expected"),
        [
            ({"max_machines": 1}, {"maxMachines": None}, None),
            ({"floating": True, "max_machines": None}, {"floating": False}, None),
            ({"floating": True, "max_machines": 1}, {"floating": False}, 1),
        ],
    )
    def test_only_a_new_policy_allows_one_machine_by_default(self, acme, api, before, changes, expected):
        policy = make_policy(acme.product, **before)

        response = api(acme.admin).patch(f"policies/{policy.pk}", document("policies", changes))

        policy.refresh_from_db()
        assert (response.json()["data"]["attributes"]["maxMachines"], policy.max_machines) == (expected, expected)
