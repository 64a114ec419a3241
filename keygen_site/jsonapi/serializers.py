"""Resource objects and request schemas, built once per class from the declarations of a serializer.

The declarations are those of djangorestframework-jsonapi: serializer, fields, related fields, resource names. Its
rendering and validation are not used: reflection over the fields of every row takes most of the time of a request, and
the contract requires a single error in its own words. A declaration that would be ignored is a TypeError.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from operator import attrgetter
from typing import Any, ClassVar
from uuid import UUID as UUIDType

from django.core.exceptions import ValidationError
from django.db import models
from rest_framework import serializers
from rest_framework_json_api import serializers as package

from keygen_site.db.compiled_queries import Bearer, CompiledQuery, sample_uuid
from keygen_site.jsonapi.request_documents import Schema, linkage, validate
from keygen_site.jsonapi.sections import Section
from keygen_site.jsonapi.text import camel
from keygen_site.jsonapi.types import ARRAY, STRING, UUID, ValueType, type_of_field
from keygen_site.models import must_exist

ACCOUNT_PATH = "/v1/accounts/{}"

Getter = Callable[[Any], Any]
IGNORED_DECLARATIONS = ("included_serializers", "to_internal_value", "to_representation", "validate", "validators")


@dataclass(frozen=True)
class Relationship:
    """A relationship of a resource object.

    Attributes:
        type: the related resources' type; None where only the link is shown.
        source: the path of attributes to the related id, e.g. `policy.product_id`; None: always null.
        direct: whether the link is the related resource's own URL rather than one below this resource.
        meta: returns the relationship's `meta` for a row.
        description: its meaning, for the OpenAPI description; by default its name says enough.
    """

    type: str | None = None
    source: str | None = None
    direct: bool = False
    meta: Callable[[Any], dict[str, Any]] | None = None
    description: str = ""

    @cached_property
    def get_id(self) -> Getter:
        return attrgetter(self.source) if self.source else lambda row: None


def to_one(type: str, source: str | None, direct: bool = False, *, description: str = "") -> Relationship:
    """A relationship with data and a link."""
    return Relationship(type, source, direct, description=description)


def to_many(meta: Callable[[Any], dict[str, Any]] | None = None, *, description: str = "") -> Relationship:
    """A relationship of which only the link, and perhaps `meta`, is shown."""
    return Relationship(meta=meta, description=description)


ACCOUNT = to_one("accounts", "account_id", description="The account to which the resource belongs.")
# Attributes that have the same meaning in all resources.
DESCRIPTIONS = {
    "created": "When the resource was created.",
    "updated": "When the resource was last changed.",
    "metadata": "Values of your own, by name: texts, numbers, booleans, null, and lists and objects of these, two "
    "levels deep. Names are shown in camelCase.",
}


class VisibleRelatedField(package.ResourceRelatedField):
    """A relationship that a client may set, to a row that the bearer may see."""

    @property
    def types(self) -> tuple[str, ...]:
        """The names of the related type in a request."""
        return type_spellings(self.queryset.model)

    def find(self, uuid: UUIDType, bearer: Bearer) -> models.Model | None:
        """The row with this id if the bearer may see it."""
        return self._visible.first(uuid, bearer=bearer)

    @cached_property
    def _visible(self) -> CompiledQuery[Any]:
        return CompiledQuery(lambda bearer, uuid: self.queryset.visible_to(bearer).filter(pk=uuid), sample_uuid())


class NestedField(VisibleRelatedField):
    """New resources that a client may create together with this one: an array of resource objects without ids.

    The value is a list of their values by field name.

    Args:
        serializer: of the nested resources.
    """

    def __init__(self, serializer: "type[ResourceSerializer]") -> None:
        self.serializer = serializer
        super().__init__(read_only=True)

    def schema(self, description: str) -> Schema:
        """The schema of the relationship in a request document."""
        members = self.serializer.schema(creating=True)["data"].members or {}
        nested = {name: members[name] for name in ("type", "attributes")}
        resources = Schema(
            ARRAY, required=True, blank=True, items=Schema(required=True, members=nested), description=description
        )
        return Schema(members={"data": resources}, description=description)

    def __deepcopy__(self, memo: dict[int, Any]) -> "NestedField":
        return type(self)(self.serializer)


class EnumField(serializers.ChoiceField):
    """A text with a few permitted values. Any other is a malformed document (400), not a violation of a rule (422)."""


class NullableTextField(serializers.CharField):
    """A text column in which an empty text means null."""

    value_type = ValueType("string", STRING.read, lambda value: str(value or "") or None, STRING.schema)


@dataclass
class Values:
    """The values of a row in a request document.

    Attributes:
        values: by field name.
        missing: relationships to rows that do not exist or that the bearer may not see.
    """

    values: dict[str, Any]
    missing: list[str] = field(default_factory=list)


class ResourceSerializer(package.ModelSerializer):
    """Base of all serializers.

    `Meta` of a subclass states:
        model, fields: as in Django REST framework; the attributes in the order of the response, then the
            relationships that a client may set, each declared as a `VisibleRelatedField`.
        on_create, on_update: the names of `fields` that a client may send.
        required: the names that a create needs; `attributes` stands for the member itself, which may then be empty.
        required_on_update: the attributes that an update needs; by default none.
        update_required: whether an update needs `attributes`; true by default.
        client_ids: whether a client may choose the id of a new row (then `values` has `id`).
        descriptions: the meaning of each attribute, for the OpenAPI description, except for those in `DESCRIPTIONS`.
        examples: values of attributes for the OpenAPI description.

    These options of fields have an effect: `source`, `allow_null`, `allow_blank`, `read_only`, `write_only`.
    The first sentence of the docstring describes the resource, and `section` says where the description shows it.
    `relationships` has all relationships of the response by name; `aliases` has other names of them in requests and
    errors. `about` has the documentation of errors by name where it is not that of the attribute or relationship.
    """

    section: ClassVar[Section]
    relationships: ClassVar[Mapping[str, Relationship]] = {"account": ACCOUNT}
    aliases: ClassVar[frozenset[str]] = frozenset()
    about: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        refused = [name for name in vars(cls) if name in IGNORED_DECLARATIONS or name.startswith("validate_")]
        refused += [
            f"Meta.{name}" for name in ("read_only_fields", "validators") if hasattr(vars(cls).get("Meta"), name)
        ]
        if refused:
            raise TypeError(f"{cls.__name__}: {', '.join(refused)} would have no effect")

    def __init__(self, *args: Any, **options: Any) -> None:
        # Skips the package's own __init__, which refuses a query with `include`: here it is ignored (platform 10).
        super(package.IncludedResourcesValidationMixin, self).__init__(*args, **options)

    # Resource objects ------------------------------------------------------------------------------------------------

    @classmethod
    @cache
    def type_name(cls) -> str:
        """The resource type, e.g. `keys`."""
        return cls.Meta.model.JSONAPIMeta.resource_name

    @classmethod
    def error_prefix(cls) -> str:
        """The beginning of the codes of errors that concern the resource as a whole. Override it."""
        return str(cls.Meta.model._meta.model_name)

    @classmethod
    def describe(cls, name: str) -> str:
        """The meaning of an attribute or a relationship; empty if it is not declared."""
        if name in cls.relationships:
            return cls.relationships[name].description
        return getattr(cls.Meta, "descriptions", {}).get(name) or DESCRIPTIONS.get(name, "")

    @classmethod
    @cache
    def declared_fields(cls) -> dict[str, serializers.Field]:
        """The fields by name, without the relationships."""
        return {name: each for name, each in cls().fields.items() if not isinstance(each, VisibleRelatedField)}

    @classmethod
    @cache
    def attribute_table(cls) -> list[tuple[str, Getter, Callable[[Any], Any]]]:
        """Name in the response, getter and writer of each attribute."""
        return [
            (camel(name), cls.getter(name, each.source or name), type_of_field(each).write)
            for name, each in cls.declared_fields().items()
            if not each.write_only
        ]

    @classmethod
    def getter(cls, name: str, source: str) -> Getter:
        """The function that reads an attribute from a row. Override it for a value that is not a path of attributes."""
        return attrgetter(source)

    @classmethod
    def path_of(cls, row: Any) -> str:
        """The URL path of a row, always with the account's UUID."""
        return f"{ACCOUNT_PATH.format(row.account_id)}/{cls.type_name()}/{row.pk}"

    @classmethod
    def shows_secret(cls, row: Any) -> bool:
        """Whether the resource object of this row has a secret that later ones lack. Override it."""
        return False

    @classmethod
    def resource_object(cls, row: Any) -> dict[str, Any]:
        """A row as a JSON:API resource object (contract: keys 0.5, 2.1; order of members: seed)."""
        path = cls.path_of(row)
        return {
            "id": str(row.pk),
            "type": cls.type_name(),
            "links": {"self": path},
            "attributes": {name: write(get(row)) for name, get, write in cls.attribute_table()},
            "relationships": {
                camel(name): cls._relationship_object(row, path, name, relationship)
                for name, relationship in cls.relationships.items()
            },
        }

    @classmethod
    def _relationship_object(cls, row: Any, path: str, name: str, relationship: Relationship) -> dict[str, Any]:
        account_path = ACCOUNT_PATH.format(row.account_id)
        related: str | None = account_path if name == "account" else f"{path}/{name.replace('_', '-')}"
        members: dict[str, Any] = {"links": {"related": related}}
        if relationship.type:
            uuid = relationship.get_id(row)
            members["data"] = None if uuid is None else {"type": relationship.type, "id": str(uuid)}
            if relationship.direct:
                related = None if uuid is None else f"{account_path}/{relationship.type}/{uuid}"
                members["links"]["related"] = related
        if relationship.meta:
            members["meta"] = relationship.meta(row)
        return members

    @classmethod
    def extend_schema(cls, members: dict[str, Any]) -> None:
        """Hook: complete the JSON Schema of the resource object beyond the declarations."""

    # Request documents -----------------------------------------------------------------------------------------------

    @classmethod
    @cache
    def schema(cls, creating: bool) -> dict[str, Schema]:
        """The members of a document that creates or changes a row."""
        writable = cls.Meta.on_create if creating else cls.Meta.on_update
        required = set(cls.Meta.required if creating else getattr(cls.Meta, "required_on_update", ()))
        attributes, relationships = {}, {}
        for name, each in cls().fields.items():
            if name not in writable:
                continue
            if isinstance(each, NestedField):
                relationships[name] = each.schema(cls.describe(name))
            elif isinstance(each, VisibleRelatedField):
                text = cls.describe(name) or f"The {name.replace('_', ' ')}."
                relationships[name] = linkage(
                    *each.types, required=name in required, nullable=each.allow_null, description=text
                )
            else:
                attributes[name] = _schema_of(each, name in required, cls.describe(name))
        types = type_spellings(cls.Meta.model)
        data = {"type": Schema(STRING, required=True, one_of=types, description="The resource type.")}
        if not creating:
            data["id"] = Schema(STRING, description="Ignored: the URL names the resource.")
        elif getattr(cls.Meta, "client_ids", False):
            data["id"] = Schema(UUID, description="The id of the new resource. By default the server generates one.")
        if creating:
            needed = bool(required & {"attributes", *attributes})
        else:
            needed = getattr(cls.Meta, "update_required", True)
        data["attributes"] = Schema(required=needed, members=attributes, description="The values to set.")
        if relationships or creating:
            data["relationships"] = Schema(
                required=bool(required & set(relationships)),
                members=relationships,
                description="The resources to relate to.",
            )
        return {"data": Schema(required=True, members=data, description="The resource.")}

    @classmethod
    def read(
        cls, body: dict[str, Any], *, creating: bool, bearer: Any, version: str, withheld: Iterable[str] = ()
    ) -> Values:
        """Read the values of a row from a document.

        A relationship to a row that the bearer cannot see is listed as missing: the bearer decides whether that is 422
        or 403, and other values may be invalid as well.

        Raises:
            BadRequest: the first violation of the schema. The rules of the model are not checked.
        """
        data = validate(body, cls.schema(creating), withheld)["data"]
        found = Values(dict(data.get("attributes", {})))
        if creating and "id" in data:
            found.values["id"] = data["id"]
        for name, relationship in data.get("relationships", {}).items():
            identifier, related = relationship["data"], cls._declared_fields[name]
            if isinstance(related, NestedField):
                found.values[name] = [nested["attributes"] for nested in identifier]
                continue
            row = identifier and related.find(identifier["id"], bearer)
            if identifier and row is None:
                found.missing.append(name)
            else:
                found.values[name] = row
        return found

    @classmethod
    def find_related(cls, name: str, uuid: UUIDType, bearer: Bearer) -> Any | None:
        """The row with this id to which a bearer may relate a row by its relationship `name`."""
        return cls._declared_fields[name].find(uuid, bearer)

    @classmethod
    def new_row(cls, values: dict[str, Any]) -> Any:
        """A new row with these values, which is not saved."""
        return cls.Meta.model(**values)

    @classmethod
    def create_row(cls, values: dict[str, Any]) -> Any:
        """Save a new row with these values."""
        row = cls.new_row(values)
        row.validate_and_save()
        return row

    @classmethod
    def update_row(cls, row: Any, values: dict[str, Any]) -> None:
        """Save the values that differ from the row's."""
        changed = [name for name, value in values.items() if getattr(row, name) != value]
        for name in changed:
            setattr(row, name, values[name])
        if changed:
            row.save_changes(*changed)

    @classmethod
    def refuse_missing(cls, missing: Iterable[str], values: dict[str, Any]) -> None:
        """Refuse a new row with missing relationships, with all its other errors.

        Raises:
            ValidationError: always; the missing relationships first.
        """
        errors = {name: [must_exist()] for name in missing}
        try:
            cls.new_row(values).check_rules()
        except ValidationError as error:
            for name, more in error.error_dict.items():
                errors.setdefault(name, []).extend(more)
        raise ValidationError(errors)


@cache
def type_spellings(model: type[models.Model]) -> tuple[str, str]:
    """The names of a resource type in a request: plural and singular (contract: keys 0.3)."""
    return model.JSONAPIMeta.resource_name, model._meta.model_name  # type: ignore[attr-defined, return-value]


def _schema_of(each: serializers.Field, required: bool = False, description: str = "") -> Schema:
    """The schema of a field in a request document. The model checks the choices."""
    items = _schema_of(each.child, required=True) if isinstance(each, serializers.ListField) else None
    container = isinstance(each, serializers.ListField | serializers.JSONField)
    return Schema(
        type_of_field(each),
        required=required,
        nullable=each.allow_null,
        blank=container or getattr(each, "allow_blank", False),
        one_of=tuple(each.choices) if isinstance(each, EnumField) else (),
        items=items,
        description=description,
    )
