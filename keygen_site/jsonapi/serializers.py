"""How a row looks on the wire, and what a client may send to make or change one.

A serializer states its attributes, relationships and links as data. The resource object is built from
these tables, and the schema of request documents too, both once per class: the package's way of asking
every field of every row costs most of a request.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, cached_property
from operator import attrgetter
from typing import Any

from django.core.exceptions import ValidationError
from rest_framework import serializers
from rest_framework_json_api import serializers as package

from keygen_site.db.compiled_queries import CompiledQuery
from keygen_site.jsonapi import request_documents
from keygen_site.jsonapi.request_documents import Member, camel

ACCOUNT_PATH = "/v1/accounts/{}"


@dataclass(frozen=True)
class Relationship:
    """One relationship of a resource object.

    Attributes:
        type: the related resources' type, or None where only the link is shown.
        source: path of attributes to the related id, e.g. `policy.product_id`; None: there can be none.
        direct: whether the link is the related resource's own address rather than one below this resource.
        meta: a function of the row that gives the relationship's `meta`, if it has one.
    """

    type: str | None = None
    source: str | None = None
    direct: bool = False
    meta: Callable[[Any], dict] | None = None

    @cached_property
    def id_of(self):
        return attrgetter(self.source) if self.source else lambda row: None


def to_one(type, source, direct=False):
    """A relationship with data and a link."""
    return Relationship(type, source, direct)


def to_many(meta=None):
    """A relationship of which only the link is shown, and its `meta`."""
    return Relationship(meta=meta)


ACCOUNT = to_one("accounts", "account_id")


class VisibleRelatedField(package.ResourceRelatedField):
    """A relationship that a client may set, to a row that the bearer may see."""

    @property
    def model(self):
        return self.queryset.model

    def find(self, uuid, bearer):
        """The row with this id among those that the bearer may see, or None."""
        return self.prepared.first(uuid, bearer=bearer)

    @cached_property
    def prepared(self):
        return CompiledQuery(lambda bearer, uuid: self.queryset.visible_to(bearer).filter(pk=uuid), self.model._meta.pk)


class ResourceSerializer(package.ModelSerializer):
    """Base of all serializers.

    `Meta` of a subclass states:
        model, fields: as in Django REST framework; the attributes in the order of the wire, then the
            relationships that a client may set, each declared as a `VisibleRelatedField`.
        on_create, on_update: the names of `fields` that a client may send.
        required: those that a create needs; `attributes` is the member that holds them all, even if it may be empty.
        client_ids: whether a client may choose the id of a new row (then `id` is among the validated values).

    `relationships` states all that are shown, by name; `aliases`, other names that requests and errors have for them.
    """

    relationships: dict[str, Relationship] = {"account": ACCOUNT}
    aliases: frozenset[str] = frozenset()

    def __init__(self, *args, **options):
        # Past the package's own, which refuses a query that says `include`: that is ignored (contract: platform 10).
        super(package.IncludedResourcesValidationMixin, self).__init__(*args, **options)

    # Writing a resource object ---------------------------------------------------------------------------------------

    @classmethod
    @cache
    def type_name(cls):
        """The resource type on the wire, e.g. `keys`."""
        return cls.Meta.model.JSONAPIMeta.resource_name

    @classmethod
    @cache
    def table(cls):
        """`(name on the wire, how to get it, how to write it)` of each attribute."""
        rows = []
        for name, member in cls().fields.items():
            if isinstance(member, VisibleRelatedField):
                continue
            rows.append((camel(name), cls.getter(name, member.source), _writer(member)))
        return rows

    @classmethod
    def getter(cls, name, source):
        """How an attribute is had from a row; for subclasses where that is not a path of attributes."""
        return attrgetter(source)

    @classmethod
    def path_of(cls, row):
        """The address of a row; always with the account's UUID, also when the request said its slug."""
        return f"{ACCOUNT_PATH.format(row.account_id)}/{cls.type_name()}/{row.pk}"

    @classmethod
    def resource_object(cls, row):
        """A row as a JSON:API resource object (contract: keys 0.5, 2.1; member order: seed)."""
        path = cls.path_of(row)
        return {
            "id": str(row.pk),
            "type": cls.type_name(),
            "links": {"self": path},
            "attributes": {name: write(get(row)) for name, get, write in cls.table()},
            "relationships": {
                camel(name): cls._relationship_object(row, path, name, relationship)
                for name, relationship in cls.relationships.items()
            },
        }

    @classmethod
    def _relationship_object(cls, row, path, name, relationship):
        account_path = ACCOUNT_PATH.format(row.account_id)
        related = account_path if name == "account" else f"{path}/{name.replace('_', '-')}"
        members = {"links": {"related": related}}
        if relationship.type:
            uuid = relationship.id_of(row)
            members["data"] = None if uuid is None else {"type": relationship.type, "id": str(uuid)}
            if relationship.direct:
                related = None if uuid is None else f"{account_path}/{relationship.type}/{uuid}"
                members["links"]["related"] = related
        if relationship.meta:
            members["meta"] = relationship.meta(row)
        return members

    @classmethod
    def describe(cls, members):
        """Put into the schema of the resource object what the tables do not say; for subclasses.

        Args:
            members: the JSON Schema of each member, by name.
        """

    def to_representation(self, instance):
        return self.resource_object(instance)

    # Reading a request document --------------------------------------------------------------------------------------

    @classmethod
    @cache
    def schema(cls, creating):
        """The members that a document may have that makes (`creating`) or changes a row."""
        writable = cls.Meta.on_create if creating else cls.Meta.on_update
        required = set(cls.Meta.required) if creating else set()
        attributes, relationships = {}, {}
        for name, member in cls().fields.items():
            if name not in writable:
                continue
            if isinstance(member, VisibleRelatedField):
                types = _spellings(member.model)
                relationships[name] = request_documents.linkage(
                    *types, required=name in required, nullable=member.allow_null
                )
            else:
                attributes[name] = _member(member, required=name in required)
        data = {"type": Member("string", required=True, one_of=_spellings(cls.Meta.model))}
        if not creating:
            data["id"] = Member("string")  # ignored
        elif getattr(cls.Meta, "client_ids", False):
            data["id"] = Member("uuid")
        needed = not creating or bool(required & {"attributes", *attributes})
        data["attributes"] = Member(required=needed, members=attributes)
        if relationships:
            data["relationships"] = Member(required=bool(required & set(relationships)), members=relationships)
        return {"data": Member(required=True, members=data)}

    def is_valid(self, *, raise_exception=False):
        """Check the shape of the document; `validated_data` then holds the values by field name.

        A relationship to a row that does not exist, or not for this bearer, is listed in `missing`: whether
        that is 422 or 403 depends on the bearer, and other values may be wrong as well.

        Raises:
            BadRequest: the first problem of shape. Whether the values make sense, the model says.
        """
        creating = self.instance is None
        data = request_documents.read(self.initial_data, self.schema(creating), self.context.get("withheld", ()))[
            "data"
        ]
        values = dict(data.get("attributes", {}))
        if creating and "id" in data:
            values["id"] = data["id"]
        self.missing = []
        for name, relationship in data.get("relationships", {}).items():
            linkage = relationship["data"]
            row = linkage and self._declared_fields[name].find(linkage["id"], self.context["request"].user)
            if linkage and row is None:
                self.missing.append(name)
            else:
                values[name] = row
        self._validated_data = values
        self._errors = {}
        return True

    def create(self, validated_data):
        row = self.Meta.model(**validated_data)
        row.validate_and_save()
        return row

    def update(self, instance, validated_data):
        changed = [name for name, value in validated_data.items() if getattr(instance, name) != value]
        for name in changed:
            setattr(instance, name, validated_data[name])
        if changed:
            instance.save_changes(*changed)
        return instance

    def explain_missing(self, values):
        """All that is wrong with a new row of which some relationships could not be found.

        Raises:
            ValidationError: always; what was missing first, then what else is wrong.
        """
        errors = {name: [ValidationError("must exist", code="not_found")] for name in self.missing}
        try:
            self.Meta.model(**values).check_rules()
        except ValidationError as error:
            for name, more in error.error_dict.items():
                errors.setdefault(name, []).extend(more)
        raise ValidationError(errors)


@cache
def _spellings(model):
    """The names of a resource type in a request: plural and singular (contract: keys 0.3)."""
    return model.JSONAPIMeta.resource_name, model._meta.model_name


def _member(field, required=False):
    """What a document may say for a serializer field."""
    options = {"required": required, "nullable": field.allow_null}
    match field:
        case serializers.BooleanField():
            return Member("boolean", **options)
        case serializers.IntegerField():
            return Member("integer", **options)
        case serializers.FloatField():
            return Member("float", **options)
        case serializers.DateTimeField():
            return Member("time", **options)
        case serializers.ListField():
            return Member("array", blank=True, items=_member(field.child, required=True), **options)
        case serializers.JSONField():
            return Member("object", blank=True, **options)
        case _:  # a choice too: which values are permitted, the model says
            return Member("string", blank=getattr(field, "allow_blank", False), **options)


def timestamp(moment):
    """A moment as ISO 8601 in UTC with three fractional digits, cut off, e.g. `2017-01-02T20:26:53.464Z`."""
    # Not by `strftime`, which writes the year 204 with three digits.
    return moment and f"{moment.replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def _recased(value):
    """Metadata with names in camelCase where they were sent in snake_case; others stay as sent."""
    if isinstance(value, dict):
        return {
            camel(name) if request_documents.snake(name) == name else name: _recased(content)
            for name, content in value.items()
        }
    return [_recased(item) for item in value] if isinstance(value, list) else value


def _as_is(value):
    return value


def _writer(field):
    if isinstance(field, serializers.DateTimeField):
        return timestamp
    if isinstance(field, serializers.JSONField):
        return _recased
    return _as_is
