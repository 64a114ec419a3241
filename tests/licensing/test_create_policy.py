"""POST /policies: its document, attributes, defaults and bounds (contract: keys 7.1, 7.2)."""

import pytest

from licensing.models import Policy
from tests.errors import BAD, FORBIDDEN, UNPROCESSABLE, assert_refused, bad_request, forbidden, unprocessable
from tests.licensing.documents import DEFAULTS, UNKNOWN, policy_document, policy_object
from tests.tables import each_row

ATTRIBUTES, PRODUCT = "/data/attributes", "/data/relationships/product"
LARGEST, LARGEST_BIG = 2**31 - 1, 2**63 - 1
MUST_EXIST = unprocessable("policies", "must exist", "PRODUCT_NOT_FOUND", PRODUCT)
NAME_MISSING = unprocessable("policies", "can't be blank", "NAME_MISSING", f"{ATTRIBUTES}/name")
UNIQUENESS = ["UNIQUE_PER_ACCOUNT", "UNIQUE_PER_PRODUCT", "UNIQUE_PER_POLICY", "UNIQUE_PER_LICENSE"]
MATCHING = ["MATCH_ANY", "MATCH_TWO", "MATCH_MOST", "MATCH_ALL"]
REVIVALS = ["15_MINUTE_REVIVE", "10_MINUTE_REVIVE", "5_MINUTE_REVIVE", "2_MINUTE_REVIVE", "1_MINUTE_REVIVE"]
ENUMS = {
    "machineUniquenessStrategy": UNIQUENESS,
    "machineMatchingStrategy": MATCHING,
    "componentUniquenessStrategy": [*UNIQUENESS, "UNIQUE_PER_MACHINE"],
    "componentMatchingStrategy": MATCHING,
    "expirationStrategy": ["RESTRICT_ACCESS", "REVOKE_ACCESS", "MAINTAIN_ACCESS", "ALLOW_ACCESS"],
    "expirationBasis": [
        "FROM_CREATION",
        "FROM_FIRST_VALIDATION",
        "FROM_FIRST_ACTIVATION",
        "FROM_FIRST_DOWNLOAD",
        "FROM_FIRST_USE",
    ],
    "renewalBasis": ["FROM_EXPIRY", "FROM_NOW", "FROM_NOW_IF_EXPIRED"],
    "transferStrategy": ["RESET_EXPIRY", "KEEP_EXPIRY"],
    "authenticationStrategy": ["TOKEN", "LICENSE", "SESSION", "MIXED", "NONE"],
    "machineLeasingStrategy": ["PER_LICENSE", "PER_USER"],
    "processLeasingStrategy": ["PER_LICENSE", "PER_MACHINE", "PER_USER"],
    "overageStrategy": ["ALWAYS_ALLOW_OVERAGE", "ALLOW_2X_OVERAGE", "NO_OVERAGE"],
    "scheme": [
        "RSA_2048_PKCS1_ENCRYPT",
        "RSA_2048_PKCS1_SIGN",
        "RSA_2048_PKCS1_PSS_SIGN",
        "RSA_2048_JWT_RS256",
        "RSA_2048_PKCS1_SIGN_V2",
        "RSA_2048_PKCS1_PSS_SIGN_V2",
        "ED25519_SIGN",
        "ECDSA_P256_SIGN",
    ],
    "heartbeatCullStrategy": ["DEACTIVATE_DEAD", "KEEP_DEAD"],
    "heartbeatResurrectionStrategy": [*REVIVALS, "NO_REVIVE"],
    "heartbeatBasis": ["FROM_CREATION", "FROM_FIRST_PING"],
}
UNSUPPORTED = {
    "machineUniquenessStrategy": ("unsupported machine uniqueness strategy", "MACHINE_UNIQUENESS_STRATEGY_NOT_ALLOWED"),
    "machineMatchingStrategy": ("unsupported machine matching strategy", "MACHINE_MATCHING_STRATEGY_NOT_ALLOWED"),
    "componentUniquenessStrategy": (
        "unsupported component uniqueness strategy",
        "COMPONENT_UNIQUENESS_STRATEGY_NOT_ALLOWED",
    ),
    "componentMatchingStrategy": ("unsupported component matching strategy", "COMPONENT_MATCHING_STRATEGY_NOT_ALLOWED"),
    "expirationStrategy": ("unsupported expiration strategy", "EXPIRATION_STRATEGY_NOT_ALLOWED"),
    "expirationBasis": ("unsupported expiration basis", "EXPIRATION_BASIS_NOT_ALLOWED"),
    "renewalBasis": ("unsupported renewal basis", "RENEWAL_BASIS_NOT_ALLOWED"),
    "transferStrategy": ("unsupported transfer strategy", "TRANSFER_STRATEGY_NOT_ALLOWED"),
    "authenticationStrategy": ("unsupported authentication strategy", "AUTHENTICATION_STRATEGY_NOT_ALLOWED"),
    "machineLeasingStrategy": ("unsupported machine leasing strategy", "MACHINE_LEASING_STRATEGY_NOT_ALLOWED"),
    "processLeasingStrategy": ("unsupported process leasing strategy", "PROCESS_LEASING_STRATEGY_NOT_ALLOWED"),
    "overageStrategy": ("unsupported overage strategy", "OVERAGE_STRATEGY_NOT_ALLOWED"),
    "scheme": ("unsupported signing scheme", "SCHEME_NOT_ALLOWED"),
    "heartbeatCullStrategy": ("unsupported heartbeat cull strategy", "HEARTBEAT_CULL_STRATEGY_NOT_ALLOWED"),
    "heartbeatResurrectionStrategy": (
        "unsupported heartbeat resurrection strategy",
        "HEARTBEAT_RESURRECTION_STRATEGY_NOT_ALLOWED",
    ),
    "heartbeatBasis": ("unsupported heartbeat basis", "HEARTBEAT_BASIS_NOT_ALLOWED"),
}
# attribute: minimum, the error for less, maximum
NUMBERS = {
    "duration": (86_400, "must be greater than or equal to 86400 (1 day)", LARGEST),
    "maxProcesses": (1, "must be greater than 0", LARGEST),
    "maxUsers": (1, "must be greater than 0", LARGEST),
    "maxCores": (1, "must be greater than or equal to 1", LARGEST),
    "maxMemory": (1, "must be greater than or equal to 1", LARGEST_BIG),
    "maxDisk": (1, "must be greater than or equal to 1", LARGEST_BIG),
    "maxUses": (0, "must be greater than or equal to 0", LARGEST),
    "heartbeatDuration": (60, "must be greater than or equal to 60 (1 minute)", LARGEST),
}
NULLABLE = [*NUMBERS, "maxMachines", "scheme", "checkInInterval", "checkInIntervalCount"]


def refusal(attribute, detail, code):
    return unprocessable("policies", detail, code, f"{ATTRIBUTES}/{attribute}")


@pytest.fixture
def create(acme, api):
    """Posts a policy of Acme's product with these attributes."""
    admin = api(acme.admin)
    return lambda **attributes: admin.post("policies", policy_document(acme.product, **attributes))


def assert_created(response, **attributes):
    policy = Policy.objects.latest("id")
    assert (response.status_code, response.json()) == (201, {"data": policy_object(policy, **attributes)})
    return policy


class TestCreate:
    def test_creating_a_policy_answers_with_the_policy_and_all_defaults(self, acme, create):
        response = create()

        policy = assert_created(response)
        assert response["Location"] == f"http://testserver/v1/accounts/{acme.account.pk}/policies/{policy.pk}"
        assert policy.product == acme.product

    def test_creating_a_policy_takes_protected_from_the_account(self, acme, create):
        acme.account.protected = False
        acme.account.save_changes("protected")

        assert_created(create(), protected=False)
        assert_created(create(protected=True), protected=True)

    @each_row("name", [name for name, value in DEFAULTS.items() if type(value) is bool])
    def test_creating_a_policy_keeps_each_flag(self, create, name):
        value = not DEFAULTS[name]
        also = {
            "floating": {"maxMachines": None},
            "encrypted": {"scheme": "LEGACY_ENCRYPT"},
            "requireCheckIn": {"checkInInterval": "day", "checkInIntervalCount": 1},
            "requireHeartbeat": {"heartbeatBasis": "FROM_CREATION"},
        }
        sent = also[name] if name == "requireCheckIn" else {}

        assert_created(create(**{name: value}, **sent), **{name: value}, **also.get(name, {}))

    @each_row(("name", "value"), [(name, value) for name in ENUMS for value in ENUMS[name]])
    def test_creating_a_policy_keeps_each_choice(self, create, name, value):
        assert_created(create(**{name: value}), **{name: value})

    @each_row(("name", "value"), [(name, bound) for name, (*ends,) in NUMBERS.items() for bound in ends[::2]])
    def test_creating_a_policy_keeps_each_number_at_its_bounds(self, create, name, value):
        assert_created(create(**{name: value}), **{name: value})

    @each_row("name", NULLABLE)
    def test_creating_a_policy_takes_null_for_no_limit(self, create, name):
        assert_created(create(**{name: None}))

    @each_row("name", sorted({*DEFAULTS} - {*NULLABLE}))
    def test_creating_a_policy_drops_a_null_that_cannot_be_kept(self, create, name):
        assert_created(create(**{name: None}))

    def test_creating_a_policy_accepts_singular_types_and_other_spellings(self, acme, api):
        document = policy_document(acme.product, use_pool=True, **{"max-uses": 3})
        document["data"]["type"] = "policy"
        document["data"]["relationships"]["product"]["data"] = {"type": "product", "id": acme.product.pk.hex.upper()}

        assert_created(api(acme.admin).post("policies", document), usePool=True, maxUses=3)


class TestDocument:
    @each_row(
        ("member", "value", "detail", "pointer"),
        [
            ("type", None, "cannot be null", "/data/type"),
            ("type", "keys", "is invalid", "/data/type"),
            ("attributes", ..., "is missing", ATTRIBUTES),
            ("attributes", None, "cannot be null", ATTRIBUTES),
            ("relationships", ..., "is missing", "/data/relationships"),
            ("relationships", {}, "is missing", PRODUCT),
            ("relationships", {"product": {}}, "is missing", f"{PRODUCT}/data"),
            ("relationships", {"product": {"data": None}}, "cannot be null", f"{PRODUCT}/data"),
            (
                "relationships",
                {"product": {"data": {"type": "policies", "id": UNKNOWN}}},
                "is invalid",
                f"{PRODUCT}/data/type",
            ),
            (
                "relationships",
                {"product": {"data": {"type": "products", "id": "rocket"}}},
                "type mismatch (received string expected UUID string)",
                f"{PRODUCT}/data/id",
            ),
            ("relationships", {"pool": {}}, "unpermitted parameter", "/data/relationships/pool"),
            ("id", UNKNOWN, "unpermitted parameter", "/data/id"),
        ],
    )
    def test_policy_document_is_refused(self, acme, api, member, value, detail, pointer):
        document = policy_document(acme.product)
        document["data"][member] = value
        if value is ...:
            del document["data"][member]

        assert_refused(api(acme.admin).post("policies", document), BAD, bad_request(detail, pointer))

    @each_row(
        ("attributes", "detail", "pointer"),
        [
            ({"name": ""}, "cannot be blank", "name"),
            ({"name": 1}, "type mismatch (received integer expected string)", "name"),
            ({"duration": "1"}, "type mismatch (received string expected integer)", "duration"),
            ({"duration": 1.5}, "type mismatch (received float expected integer)", "duration"),
            ({"usePool": "true"}, "type mismatch (received string expected boolean)", "usePool"),
            ({"strict": 0}, "type mismatch (received integer expected boolean)", "strict"),
            ({"scheme": ""}, "cannot be blank", "scheme"),
            ({"scheme": []}, "type mismatch (received array expected string)", "scheme"),
            ({"checkInInterval": ""}, "cannot be blank", "checkInInterval"),
            ({"heartbeatBasis": ""}, "cannot be blank", "heartbeatBasis"),
            ({"overageStrategy": ""}, "cannot be blank", "overageStrategy"),
            ({"metadata": "x"}, "type mismatch (received string expected object)", "metadata"),
            ({"concurrent": True}, "unpermitted parameter", "concurrent"),
            ({"created": None}, "unpermitted parameter", "created"),
        ],
    )
    def test_policy_document_is_refused_for_an_attribute(self, create, attributes, detail, pointer):
        assert_refused(create(**attributes), BAD, bad_request(detail, f"{ATTRIBUTES}/{pointer}"))


class TestValues:
    def test_policy_values_need_a_name(self, acme, api):
        document = policy_document(acme.product)
        document["data"]["attributes"] = {}

        assert_refused(api(acme.admin).post("policies", document), UNPROCESSABLE, NAME_MISSING)

    def test_policy_values_need_a_name_of_moderate_length(self, create):
        detail = "is too long (maximum is 255 characters)"

        assert_refused(create(name="x" * 256), UNPROCESSABLE, refusal("name", detail, "NAME_TOO_LONG"))

    @each_row("name", ENUMS)
    @each_row("value", ["NONE_OF_THEM", "match_any", "X" * 300])
    def test_policy_values_refuse_any_other_choice(self, create, name, value):
        detail, code = UNSUPPORTED[name]

        assert_refused(create(**{name: value}), UNPROCESSABLE, refusal(name, detail, code))

    @each_row(
        ("name", "value", "detail"),
        [
            *((name, least - 1, detail) for name, (least, detail, _) in NUMBERS.items()),
            *(
                (name, most + 1, f"must be less than or equal to {most}")
                for name, (_, _, most) in NUMBERS.items()
                if most == LARGEST
            ),
            *((name, 2**64 - 1, f"must be less than or equal to {most}") for name, (_, _, most) in NUMBERS.items()),
            ("duration", 0, "must be greater than 0"),
            ("duration", -1, "must be greater than 0"),
            ("heartbeatDuration", 0, "must be greater than 0"),
        ],
    )
    def test_policy_values_refuse_a_number_out_of_bounds(self, create, name, value, detail):
        words = "".join(f"_{letter}" if letter.isupper() else letter for letter in name)

        assert_refused(create(**{name: value}), UNPROCESSABLE, refusal(name, detail, f"{words}_invalid".upper()))

    def test_policy_values_are_told_all_at_once(self, create):
        assert_refused(
            create(duration=1, maxUses=-1, overageStrategy="X"),
            UNPROCESSABLE,
            refusal("duration", "must be greater than or equal to 86400 (1 day)", "DURATION_INVALID"),
            refusal("maxUses", "must be greater than or equal to 0", "MAX_USES_INVALID"),
            refusal("overageStrategy", "unsupported overage strategy", "OVERAGE_STRATEGY_NOT_ALLOWED"),
        )
        assert Policy.objects.count() == 2

    def test_policy_values_are_told_in_one_order(self, create):
        numbers = dict.fromkeys(("maxMachines", "maxCores", "maxMemory", "maxDisk", "maxUses"), -1)
        numbers |= dict.fromkeys(("duration", "heartbeatDuration", "maxProcesses", "maxUsers"), -1)
        check_in = {"requireCheckIn": True, "checkInInterval": "x", "checkInIntervalCount": 2**31}
        everything = dict.fromkeys(sorted(ENUMS), "X") | {"name": "x" * 256} | numbers | check_in
        everything |= {"metadata": {"x": "x" * 20_000}, "usePool": True, "encrypted": True}
        ordered = [
            "name",
            "duration",
            "heartbeatDuration",
            "maxMachines",
            "maxCores",
            "maxMemory",
            "maxDisk",
            "maxUses",
            "checkInInterval",
            "checkInIntervalCount",
            "scheme",
            "scheme",
            "machineUniquenessStrategy",
            "machineMatchingStrategy",
            "componentUniquenessStrategy",
            "componentMatchingStrategy",
            "expirationStrategy",
            "expirationBasis",
            "renewalBasis",
            "metadata",
            "authenticationStrategy",
            "heartbeatCullStrategy",
            "heartbeatResurrectionStrategy",
            "heartbeatBasis",
            "transferStrategy",
            "machineLeasingStrategy",
            "processLeasingStrategy",
            "maxProcesses",
            "maxUsers",
            "overageStrategy",
            "encrypted",
        ]

        errors = create(**everything).json()["errors"]

        assert [error["source"]["pointer"].rpartition("/")[2] for error in errors] == ordered

    @each_row(
        ("attributes", "codes"),
        [
            (
                {"usePool": True, "scheme": "ED25519_SIGN", "overageStrategy": "X"},
                ["OVERAGE_STRATEGY_NOT_ALLOWED", "SCHEME_NOT_SUPPORTED"],
            ),
            ({"usePool": True, "encrypted": True}, ["ENCRYPTED_NOT_SUPPORTED", "SCHEME_NOT_SUPPORTED"]),
            ({"usePool": True, "scheme": "LEGACY_ENCRYPT"}, ["SCHEME_NOT_SUPPORTED", "SCHEME_INVALID"]),
            ({"usePool": True, "scheme": "X"}, ["SCHEME_NOT_ALLOWED", "SCHEME_NOT_SUPPORTED"]),
            ({"encrypted": True, "scheme": "X"}, ["SCHEME_NOT_ALLOWED"]),
            (
                {"usePool": True, "encrypted": True, "scheme": "ED25519_SIGN"},
                ["SCHEME_NOT_ALLOWED", "SCHEME_NOT_SUPPORTED", "ENCRYPTED_NOT_SUPPORTED"],
            ),
        ],
    )
    def test_policy_values_that_do_not_fit_a_pool_are_told_last(self, create, attributes, codes):
        assert [error["code"] for error in create(**attributes).json()["errors"]] == codes

    @each_row("count", [2**31, -(2**31) - 1, 2**64 - 1])
    def test_policy_values_fit_their_column_even_if_nothing_reads_them(self, create, count):
        assert_refused(create(checkInIntervalCount=count), BAD, bad_request("integer is too large"))


class TestProduct:
    @pytest.mark.parametrize("role", ["admin", "developer", "sales-agent"])
    def test_product_of_a_policy_must_exist(self, acme, api, role):
        response = api(acme.bearer(role)).post("policies", policy_document(UNKNOWN))

        assert_refused(response, UNPROCESSABLE, MUST_EXIST)

    def test_product_of_a_policy_of_another_account_does_not_exist(self, acme, rival, api):
        response = api(acme.admin).post("policies", policy_document(rival.product))

        assert_refused(response, UNPROCESSABLE, MUST_EXIST)

    def test_product_of_a_policy_is_told_before_what_else_is_wrong(self, acme, api):
        document = policy_document(UNKNOWN)
        document["data"]["attributes"] = {}

        assert_refused(api(acme.admin).post("policies", document), UNPROCESSABLE, MUST_EXIST, NAME_MISSING)

    def test_product_of_a_policy_cannot_make_policies_for_others(self, acme, api):
        other = acme.another_product()

        for product in (other, UNKNOWN):
            response = api(acme.product).post("policies", policy_document(product))

            assert_refused(response, FORBIDDEN, forbidden())
