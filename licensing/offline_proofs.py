"""Offline proofs: a signed statement that a machine is activated, which machine files have replaced.

Contract: machines 7.2.
"""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from accounts.signing.purposes import PROOF
from keygen_site.jsonapi import codec
from keygen_site.jsonapi.text import timestamp
from licensing.models import Machine
from licensing.signed_keys import sign


def generate_proof(machine: Machine, dataset: Mapping[str, Any] | None, now: datetime) -> str:
    """The proof of a machine: `proof/`, the dataset as JSON in base64url, a dot, and the signature.

    Args:
        dataset: the signed data; None for a description of the machine and its license.
    """
    content = codec.dumps(dict(dataset) if dataset else _describe(machine, now))
    message = f"proof/{_base64url(content)}"
    return f"{message}.{_base64url(sign(PROOF, machine.account_id, 'rsa-sha256', message.encode()))}"


def _describe(machine: Machine, now: datetime) -> dict[str, Any]:
    license, policy = machine.license, machine.policy
    return {
        "account": {"id": str(machine.account_id)},
        "product": {"id": str(machine.product_id)},
        "policy": {"id": str(policy.pk), "duration": policy.duration},
        "license": {
            "id": str(license.pk),
            "key": None if policy.encrypted else license.key,  # only its hash is stored
            "expiry": timestamp(license.expiry),
        },
        "machine": {
            "id": str(machine.pk),
            "fingerprint": machine.fingerprint,
            "created": timestamp(machine.created),
        },
        "ts": now.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode()
