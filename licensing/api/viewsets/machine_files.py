"""Machine files and offline proofs (contract: machines 7)."""

from collections.abc import Iterable
from typing import Any

from django.utils import timezone
from rest_framework.decorators import action

from accounts.permissions import require
from keygen_site.jsonapi import types
from keygen_site.jsonapi.errors import BadRequest, NullByte
from keygen_site.jsonapi.negotiation import Document
from keygen_site.jsonapi.operations import File, Gives, operation
from keygen_site.jsonapi.request_documents import Schema, validate
from keygen_site.jsonapi.requests import APIRequest
from keygen_site.jsonapi.text import camel, snake
from licensing.api.serializers.check_out import (
    AlgorithmInvalid,
    CheckOutOptions,
    IncludeInvalid,
    TTLInvalid,
    parse_check_out_query,
)
from licensing.api.serializers.machine_check_out import (
    MACHINE_CHECK_OUT,
    MACHINE_FILE_SCHEMA,
    MACHINE_INCLUDES,
    MACHINE_PARAMETERS,
    machine_file_object,
    parse_machine_check_out,
    render_machine_file,
)
from licensing.api.serializers.machines import MachineSerializer
from licensing.api.viewsets.license_actions import LicenseFile
from licensing.api.viewsets.machine_base import MachineBase
from licensing.api.viewsets.machine_relationships import license_of
from licensing.models import License, Machine
from licensing.offline_proofs import generate_proof

_ERRORS = (TTLInvalid, IncludeInvalid, AlgorithmInvalid)


def _read_dataset(value: Any, pointer: str | None) -> list[tuple[str, Any]]:
    """The names and values of an object of scalars."""
    found = types.OBJECT.read(value, pointer)
    for name, content in found.items():
        if isinstance(content, dict | list):
            detail = "unpermitted type (expected object of scalar types)"
            raise BadRequest(detail, pointer=f"{pointer}/{camel(snake(name))}")
        if "\0" in name or (isinstance(content, str) and "\0" in content):
            raise NullByte
    return [(snake(name), content) for name, content in found.items()]


_DATASET_SCHEMA = {"type": "object", "additionalProperties": True, "examples": [{"seat": 7}]}
_DATASET = types.ValueType("object", _read_dataset, dict, _DATASET_SCHEMA)
_PROOF = {
    "meta": Schema(
        members={"dataset": Schema(_DATASET, required=True, description="What is signed, instead of the default.")},
        description="The options of the proof.",
    )
}


class MachineFiles(MachineBase):
    """Mixin of the viewset of machines: machine files and offline proofs."""

    @action(detail=True, methods=["post"], url_path="actions/check-out")
    @operation(
        "Get a machine file as a resource object",
        permission="machine.check-out",
        takes=MACHINE_CHECK_OUT,
        gives=Gives(data=MACHINE_FILE_SCHEMA),
        locks=False,
        idempotent=False,
        records="",
        document_first=True,
        parameters=MACHINE_PARAMETERS,
        errors=_ERRORS,
    )
    def check_out(self, request: APIRequest, machine: Machine, document: dict[str, Any]) -> dict[str, Any]:
        """A member of the document overrides the query parameter of the same name."""
        license, options, text = self._check_out(machine, document)
        return machine_file_object(machine, license, options, text)

    @check_out.mapping.get
    @operation(
        "Get a machine file",
        permission="machine.check-out",
        gives=File(("application/octet-stream",)),
        locks=False,
        records="",
        document_first=True,
        parameters=MACHINE_PARAMETERS,
        errors=_ERRORS,
    )
    def check_out_file(self, request: APIRequest, machine: Machine, document: dict[str, Any]) -> LicenseFile:
        _, _, text = self._check_out(machine, document)
        return LicenseFile(text, filename=f"{machine.pk}.lic")

    def _check_out(self, machine: Machine, given: dict[str, Any]) -> tuple[License, CheckOutOptions, str]:
        license = license_of(machine)
        options = parse_machine_check_out(given, license, timezone.now())
        for permission in ["machine.read", *(MACHINE_INCLUDES[name] for name in options.includes)]:
            require(permission, self.actor)
        # The file shows the machine as it was before the check-out (contract: machines 7.1).
        text = render_machine_file(machine, license, options, self.request.version, self.actor)
        machine.record_check_out(options.issued)
        return license, options, text

    @action(detail=True, methods=["post"], url_path="actions/generate-offline-proof")
    @operation(
        "Get an offline proof of a machine",
        permission="machine.proofs.generate",
        takes=_PROOF,
        gives=Gives(
            MachineSerializer,
            meta={"proof": Schema(types.STRING, required=True, description="The signed dataset.")},
        ),
        locks=False,
        idempotent=False,
        records="",
        deprecated=True,
    )
    def generate_proof(self, request: APIRequest, machine: Machine, document: dict[str, Any]) -> Document:
        """Check out a machine file instead."""
        dataset = document.get("meta", {}).get("dataset")
        proof = generate_proof(machine, dict(dataset) if dataset else None, timezone.now())
        return Document(data=MachineSerializer.resource_object(machine), meta={"proof": proof})

    def withheld(self) -> Iterable[str]:
        if self.action == "generate_proof" and self.actor.role in ("license", "user"):
            return ["/meta"]
        return super().withheld()

    def read_document(self, row: Machine | None) -> Any:
        if self.action in ("check_out", "check_out_file"):
            given = parse_check_out_query(self.request.query_params)
            document = super().read_document(row) or {}
            return given | document.get("meta", {})
        if self.action == "generate_proof":
            return validate(self.document, _PROOF, self.withheld())
        return super().read_document(row)
