"""The terms of a policy in plain words: the label and the choices of each field, and the sections of the form."""

from typing import Any

# The meaning of each choice, by its value in the API.
MEANINGS: dict[str, dict[str, str]] = {
    "expiration_strategy": {
        "RESTRICT_ACCESS": "It is no longer valid, but its key and tokens can still sign in to the API",
        "REVOKE_ACCESS": "It is no longer valid, and its key can no longer sign in to the API",
        "MAINTAIN_ACCESS": "It stays valid, marked as expired, for versions released before",
        "ALLOW_ACCESS": "It stays valid, marked as expired",
    },
    "expiration_basis": {
        "FROM_CREATION": "When it is issued",
        "FROM_FIRST_VALIDATION": "When it is first validated",
        "FROM_FIRST_ACTIVATION": "When a machine is first activated",
        "FROM_FIRST_DOWNLOAD": "When something is first downloaded",
        "FROM_FIRST_USE": "When its usage is first counted",
    },
    "renewal_basis": {
        "FROM_EXPIRY": "The old expiry",
        "FROM_NOW": "The day of the renewal",
        "FROM_NOW_IF_EXPIRED": "The old expiry, or the day of the renewal if it has expired",
    },
    "transfer_strategy": {
        "KEEP_EXPIRY": "Keeps its expiry",
        "RESET_EXPIRY": "Gets a new expiry, by the terms of this policy",
    },
    "authentication_strategy": {
        "TOKEN": "A token of the license",
        "LICENSE": "The license key",
        "MIXED": "The license key or a token",
        "SESSION": "A session: only users have sessions, so licenses cannot sign in",
        "NONE": "Nothing: licenses cannot sign in",
    },
    "machine_leasing_strategy": {
        "PER_LICENSE": "All machines of a license together",
        "PER_USER": "The machines of each user: every user of a license has the full limits",
    },
    "overage_strategy": {
        "NO_OVERAGE": "Not at all",
        "ALLOW_1_25X_OVERAGE": "By a quarter: up to 1.25 times each limit",
        "ALLOW_1_5X_OVERAGE": "By half: up to 1.5 times each limit",
        "ALLOW_2X_OVERAGE": "Up to twice each limit",
        "ALWAYS_ALLOW_OVERAGE": "By any number: a validation then says by which limit, and stays valid",
    },
    "machine_uniqueness_strategy": {
        "UNIQUE_PER_LICENSE": "Per license: several licenses may be used on it",
        "UNIQUE_PER_POLICY": "Among all licenses of this policy",
        "UNIQUE_PER_PRODUCT": "Among all licenses of the product",
        "UNIQUE_PER_ACCOUNT": "Among all licenses of the account",
    },
    "machine_matching_strategy": {
        "MATCH_ANY": "At least one must be that of a machine of the license",
        "MATCH_TWO": "At least two must be those of machines of the license",
        "MATCH_MOST": "At least half must be those of machines of the license",
        "MATCH_ALL": "All must be those of machines of the license",
    },
    "heartbeat_basis": {
        "FROM_FIRST_PING": "The first one that the machine sends",
        "FROM_CREATION": "Its activation",
    },
    "heartbeat_cull_strategy": {
        "DEACTIVATE_DEAD": "Is deactivated: another machine may take its place",
        "KEEP_DEAD": "Stays activated, and counts for the limits",
    },
    "heartbeat_resurrection_strategy": {
        "NO_REVIVE": "Never: it must be activated again",
        "1_MINUTE_REVIVE": "Within 1 minute of its death",
        "2_MINUTE_REVIVE": "Within 2 minutes of its death",
        "5_MINUTE_REVIVE": "Within 5 minutes of its death",
        "10_MINUTE_REVIVE": "Within 10 minutes of its death",
        "15_MINUTE_REVIVE": "Within 15 minutes of its death",
        "ALWAYS_REVIVE": "At any time, if dead machines stay activated",
    },
    "process_leasing_strategy": {
        "PER_MACHINE": "The processes of each machine",
        "PER_LICENSE": "All processes of a license together",
        "PER_USER": "The processes of each user: on all machines that the user owns",
    },
    "component_uniqueness_strategy": {
        "UNIQUE_PER_MACHINE": "Per machine: several machines may have it",
        "UNIQUE_PER_LICENSE": "Among all machines of a license",
        "UNIQUE_PER_POLICY": "Among all machines of this policy",
        "UNIQUE_PER_PRODUCT": "Among all machines of the product",
        "UNIQUE_PER_ACCOUNT": "Among all machines of the account",
    },
    "component_matching_strategy": {
        "MATCH_ANY": "At least one must belong to the machine",
        "MATCH_TWO": "At least two must belong to the machine",
        "MATCH_MOST": "At least half must belong to the machine",
        "MATCH_ALL": "All must belong to the machine",
    },
}
LABELS = {
    "name": "Name",
    "duration": "Valid for",
    "expiration_strategy": "After a license expires",
    "expiration_basis": "The time starts",
    "renewal_basis": "A renewal counts from",
    "transfer_strategy": "A license that is moved to this policy",
    "max_uses": "Uses of a license, at most",
    "max_users": "Users of a license, at most",
    "authentication_strategy": "A license signs in to the API with",
    "protected": "Protected: customers cannot issue or change these licenses themselves",
    "floating": "Floating: a license may be used on several machines",
    "max_machines": "Machines of a license, at most",
    "max_cores": "CPU cores of these machines, at most",
    "max_memory": "Memory of these machines, at most",
    "max_disk": "Disk space of these machines, at most",
    "machine_leasing_strategy": "These limits count",
    "overage_strategy": "A license may exceed its limits",
    "strict": "Strict: a license is valid only with at least one machine, and within its limits",
    "machine_uniqueness_strategy": "A machine can be activated once",
    "machine_matching_strategy": "If a validation names several fingerprints",
    "require_heartbeat": "Machines must send heartbeats, or they are dead",
    "heartbeat_duration": "A machine is dead without a heartbeat for",
    "heartbeat_basis": "The first heartbeat of a machine is",
    "heartbeat_cull_strategy": "A dead machine",
    "heartbeat_resurrection_strategy": "A heartbeat revives a dead machine",
    "max_processes": "Processes, at most",
    "process_leasing_strategy": "This limit counts",
    "component_uniqueness_strategy": "A component can be added once",
    "component_matching_strategy": "If a validation names components",
    "require_check_in": "Licenses must check in regularly",
    "check_in_interval": "Check-in interval",
    "check_in_interval_count": "Number of intervals",
    "require_product_scope": "the product",
    "require_policy_scope": "the policy",
    "require_user_scope": "the user",
    "require_machine_scope": "the machine, by its ID",
    "require_fingerprint_scope": "the fingerprint of the machine",
    "require_components_scope": "components of the machine",
    "require_checksum_scope": "the checksum of a release: there are no releases, so no license is valid",
    "require_version_scope": "the version of a release: there are no releases, so no license is valid",
}
NO_LIMIT = "Empty: no limit."
HELP_TEXTS = {
    "max_uses": NO_LIMIT,
    "max_users": NO_LIMIT,
    "max_machines": "Empty: no limit, or 1 if the policy is not floating.",
    "max_cores": NO_LIMIT,
    "max_memory": f"{NO_LIMIT} 1 GB is 1,024 MB.",
    "max_disk": f"{NO_LIMIT} 1 GB is 1,024 MB.",
    "overage_strategy": "Its machines, cores, memory, disk space, processes and users. Uses are never exceeded.",
    "strict": "Otherwise only activations are refused above a limit.",
    "require_heartbeat": "A machine that has sent a heartbeat must go on in any case.",
    "heartbeat_duration": "Empty: 10 minutes. Processes are dead after the same time.",
    "heartbeat_basis": "If none is chosen: its activation if heartbeats are required, else the first that it sends.",
    "max_processes": f"{NO_LIMIT} Processes are running instances of the program.",
    "component_uniqueness_strategy": "Components are parts of a machine, such as its mainboard.",
    "check_in_interval_count": "1 with “week”: once a week. From 1 to 365.",
}
METADATA_FIELDSET: tuple[str, dict[str, Any]] = ("Metadata", {"fields": ["metadata"], "classes": ["collapse"]})
TERMS_FIELDSETS: list[tuple[str | None, dict[str, Any]]] = [
    (None, {"fields": ["name", "duration"]}),
    ("Expiry and renewal", {"fields": ["expiration_basis", "expiration_strategy", "renewal_basis"]}),
    ("Use", {"fields": ["max_uses", "max_users", "authentication_strategy", "transfer_strategy", "protected"]}),
    (
        "Machines",
        {
            "fields": [
                "floating",
                "max_machines",
                "max_cores",
                "max_memory",
                "max_disk",
                "machine_leasing_strategy",
                "overage_strategy",
                "strict",
                "machine_uniqueness_strategy",
                "machine_matching_strategy",
            ],
        },
    ),
    (
        "Heartbeats of machines",
        {
            "fields": [
                "require_heartbeat",
                "heartbeat_duration",
                "heartbeat_basis",
                "heartbeat_cull_strategy",
                "heartbeat_resurrection_strategy",
            ],
            "classes": ["collapse"],
        },
    ),
    (
        "Processes and components of machines",
        {
            "fields": [
                "max_processes",
                "process_leasing_strategy",
                "component_uniqueness_strategy",
                "component_matching_strategy",
            ],
            "classes": ["collapse"],
        },
    ),
    ("Check-in", {"fields": ["require_check_in", "check_in_interval", "check_in_interval_count"]}),
    (
        "When a license is validated, the request must name",
        {
            "fields": [
                "require_product_scope",
                "require_policy_scope",
                "require_user_scope",
                "require_machine_scope",
                "require_fingerprint_scope",
                "require_components_scope",
                "require_checksum_scope",
                "require_version_scope",
            ]
        },
    ),
    METADATA_FIELDSET,
]
TERMS: list[str] = [name for title, options in TERMS_FIELDSETS[:-1] for name in options["fields"]]
