"""What the actions of keys, pools and the ledger take and give: see `keygen_site.jsonapi.operations`."""

from keygen_site.jsonapi.operations import FLAG, File, Operation, Parameter, choice
from keygen_site.jsonapi.request_documents import Member
from licensing.api.operations import PRODUCT
from pools.key_files import FORMATS
from pools.services.exports import STATES

MEDIA_TYPES = ("text/plain", "text/csv", "application/x-ndjson")
_KEY = {"meta": Member(required=True, members={"key": Member("string", required=True)})}
_NUMBER = Member("integer", required=True)
_WORD = Member("string", required=True)
_REJECTION = Member(
    required=True,
    members={"line": Member("integer", required=True, nullable=True), "code": _WORD, "detail": _WORD},
)

KEYS = PRODUCT | {"policy": Operation("Show the policy of a key", gives="policies")}

POOL = {
    "pop": Operation(
        "Take the next key out of the pool",
        "First in, first out. The key is the answer, and nobody gets it again: send an `Idempotency-Key`, so that the "
        "request can be repeated. An empty pool is `422`.",
        gives="keys",
    ),
    "pop_many": Operation(
        "Take the next keys out of the pool",
        "All of them or none: 1 to 100.",
        takes={"meta": Member(required=True, members={"count": Member("integer", required=True)})},
        gives="keys",
        many=True,
    ),
    "return_key": Operation(
        "Put back a key that was popped by mistake",
        "Only a key that the API or a command popped and that reached nobody: `undelivered` must be true, else it is "
        "`422` with the code `UNDELIVERED_REQUIRED`. A key that was issued (`KEY_ISSUED`), or that was popped or "
        "revealed in the console or exported (`KEY_DISCLOSED`), is never put back.",
        takes={
            "meta": Member(
                required=True, members={"key": Member("string", required=True), "undelivered": Member("boolean")}
            )
        },
        gives="keys",
    ),
    "withdraw": Operation(
        "Take keys out of circulation for good",
        "Either one that waits, by its text, or all that is left of an import.",
        takes={"meta": Member(required=True, members={"key": Member("string"), "import": Member("uuid")})},
        gives="keys",
        optional=True,
        meta={"withdrawn": Member("integer")},
    ),
    "import_keys": Operation(
        "Add a file of keys to the pool",
        "Text with a key a line, CSV or NDJSON, each also gzipped. All of them or none, unless `skip-invalid`.",
        takes=File(MEDIA_TYPES),
        status=200,
        meta={
            "dry_run": Member("boolean", required=True),
            "import": Member("uuid", required=True, nullable=True),
            "lines": _NUMBER,
            "blank": _NUMBER,
            "added": _NUMBER,
            "rejected": _NUMBER,
            "reasons": Member(required=True, blank=True),
            "rejections": Member("array", required=True, blank=True, items=_REJECTION),
        },
        parameters={
            "name": Parameter("What the import is called, 255 characters at most."),
            "column": Parameter("Where the keys are: of CSV the column's name or number, of NDJSON the member's name."),
            "skip-invalid": Parameter("Adds the lines that are good, and leaves out the others.", FLAG),
            "dry-run": Parameter("Adds nothing, and says what would be added.", FLAG),
        },
    ),
    "export_keys": Operation(
        "Get the keys of the pool as a file",
        "It is written down in the ledger. The keys count as shown: they cannot be put back into the pool, and their "
        "texts stay blocked when they are deleted.",
        gives=File(MEDIA_TYPES),
        parameters={
            "format": Parameter("How the file is written.", choice(*FORMATS)),
            "state": Parameter("Which keys.", choice(*STATES)),
            "import": Parameter("Only those of this import.", {"type": "string", "format": "uuid"}),
            "since": Parameter("Only those of this moment or later.", {"type": "string", "format": "date-time"}),
            "until": Parameter("Only those before this moment.", {"type": "string", "format": "date-time"}),
            "formula-safe": Parameter("Keeps spreadsheets from taking a key for a formula.", FLAG),
        },
    ),
}

KEY_EVENTS = {
    "search": Operation(
        "Show what happened to a key",
        "By its whole text, in the body, so that keys stay out of addresses and logs.",
        takes=_KEY,
        gives="key-events",
        paged=True,
    ),
}
