"""The world of the recorded requests: two accounts, made by a command and by requests."""

from tests.answers.recording import Recorder
from tests.answers.tables import PASSWORD, basic, document, key, license, policy, some

PEOPLE = {  # name: role
    **{role: role for role in ("developer", "sales-agent", "support-agent", "read-only")},
    **dict.fromkeys(["joe", "jane", "max", "banned"], "user"),
}
TERMS = {
    "duration": 30 * 86400,
    "maxUses": 5,
    "maxUsers": 5,
    "requireCheckIn": True,
    "checkInInterval": "week",
    "checkInIntervalCount": 1,
    "authenticationStrategy": "MIXED",
    "protected": False,
}
POLICIES = {
    "pooled": policy("Pooled", usePool=True, metadata={"tier": "gold"}),
    "empty": policy("Empty", usePool=True),
    "terms": policy("Terms", **TERMS),
    "plain": policy("Plain", protected=False),
    "guarded": policy("Guarded", duration=86400),
    "other-policy": policy("Other", "other", usePool=True),
    "other-terms": policy("Other terms", "other"),
}
LICENSES = {
    "license": license("terms", "joe", key="LICENSE-OF-JOE", metadata={"plan": "pro", "seats": 5}),
    "suspended": license("terms", "jane", key="SUSPENDED-LICENSE", suspended=True),
    "out-of-date": license("terms", key="EXPIRED-LICENSE", expiry="2027-01-01T00:00:00Z"),
    "expiring": license("terms", "joe", key="EXPIRING-LICENSE", expiry="2027-03-04T00:00:00Z", name="Expiring"),
    "banned-license": license("plain", "banned", key="BANNED-LICENSE"),
    "guarded-license": license("guarded", "joe", key="GUARDED/LICENSE"),
    "other-license": license("other-terms", "max", key="OTHER-LICENSE"),
}


def build(recorder: Recorder) -> None:
    """Make the accounts acme and rival, with people, products, policies, keys, licenses and tokens."""
    ask, bearers = recorder.ask, recorder.bearers
    with recorder.story("world"):
        for bearer, account in (("admin", "acme"), ("rival", "rival")):
            command = ("create_account", account, f"admin@{account}.test", "--name", account.title())
            recorder.learn(bearer, token=recorder.command(*command).strip())
            ask(f"GET /v1/accounts/{account}", bearer=bearer, keep=account)
            ask(f"GET /v1/accounts/{account}/me", bearer=bearer, keep=f"{bearer}-user")
        for person, role in PEOPLE.items():
            attributes = {
                "email": f"{person}@acme.test",
                "password": PASSWORD,
                "role": role,
                "firstName": person.title(),
            }
            ask("POST users", document("users", attributes), keep=person)
            ask("POST tokens", keep=f"{person}-token", Authorization=basic(attributes["email"]))
            bearers[person] = bearers[f"{person}-token"]
            recorder.move(minutes=1)

        for product in ("rocket", "other"):
            ask("POST products", document("products", {"name": product.title(), "code": product}), keep=product)
            ask(f"POST products/{{{product}}}/tokens", keep=f"{product}-token")
            bearers[product] = bearers[f"{product}-token"]
        ask("POST /v1/accounts/rival/products", document("products", {"name": "Rival"}), "rival", keep="rival-product")
        for name, new in POLICIES.items():
            ask("POST policies", new, keep=name)
        for number in range(1, 13):
            ask("POST keys", key(f"POOL-{number:04}"), keep=f"key-{number}")
        ask("POST keys", key("OTHER-0001", "other-policy"), keep="other-key")
        ask("DELETE policies/{pooled}/pool", Keygen_Reference="Order 1", keep="popped")
        ask("POST licenses", license("pooled", "joe", name="Pooled"), keep="pooled-license", Keygen_Reference="Order 2")
        file = b"IMPORT-0001\nIMPORT-0002\nIMPORT-0003\n"
        imported = ask("POST policies/{pooled}/pool/actions/import?name=First", file, content_type="text/plain")
        recorder.learn("import", imported.data("meta", "import"))
        recorder.learn("event", ask("GET key-events?limit=1").data("data")[0]["id"])

        for name, new in LICENSES.items():
            ask("POST licenses", new, keep=name)
        ask("POST licenses/{license}/users", some("jane"))
        ask("POST licenses/{license}/tokens", keep="activation")
        ask("POST tokens", document("tokens", {"expiry": "2027-03-01T12:00:00Z"}), keep="expired")
        ask("POST users/{banned}/actions/ban")
    bearers["license key"] = "License LICENSE-OF-JOE"
    bearers["garbage"] = "Bearer admin-garbage"
    bearers["basic"] = basic("admin@acme.test")
    recorder.move(hours=12)
