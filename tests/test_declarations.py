"""Declarations that would be wrong or without effect are refused when the class is made, or at the first query."""

import pytest
from django.utils import timezone
from rest_framework.decorators import action

from accounts.api.base import APIViewSet
from accounts.bearers import Bearer
from keygen_site.db.compiled_queries import CompiledQuery, UnsafeQuery, sample_text, sample_time, sample_uuid
from keygen_site.jsonapi.operations import operation
from keygen_site.jsonapi.serializers import ResourceSerializer
from pools.api.serializers import KeySerializer
from pools.models import Key


def viewset(handler):
    return type("Sample", (APIViewSet,), {"serializer_class": KeySerializer, "queryset": Key.objects, "act": handler})


class TestOperations:
    def test_operation_without_a_permission_is_refused(self):
        handler = action(detail=True, methods=["post"])(operation("Act", locks=True)(lambda self, request, key: None))

        with pytest.raises(TypeError, match="Sample.act has no permission"):
            viewset(handler)

    @pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
    def test_write_that_does_not_state_its_lock_is_refused(self, method):
        declared = operation("Act", permission="key.update")(lambda self, request, key: None)

        with pytest.raises(TypeError, match="Sample.act does not state whether it locks its row"):
            viewset(action(detail=True, methods=[method])(declared))

    def test_action_without_an_operation_is_refused(self):
        with pytest.raises(TypeError, match="Sample.act has no @operation"):
            viewset(action(detail=True, methods=["post"])(lambda self, request, pk: None))

    def test_complete_operation_is_accepted(self):
        complete = operation("Act", permission="key.update", locks=True, idempotent=False)
        declared = complete(lambda self, request, key: None)

        made = viewset(action(detail=True, methods=["post"])(declared))

        assert made.operations["act"].permission == "key.update"


def test_serializer_with_a_declaration_that_has_no_effect_is_refused():
    ignored = {
        "validate_key": lambda self, value: value,
        "validate": lambda self, values: values,
        "to_internal_value": lambda self, data: data,
        "to_representation": lambda self, row: {},
        "included_serializers": {},
        "Meta": type("Meta", (), {"model": Key, "validators": []}),
    }
    accepted = []
    for name, value in ignored.items():
        try:
            type("Sample", (ResourceSerializer,), {"Meta": type("Meta", (), {"model": Key}), name: value})
            accepted.append(name)
        except TypeError as error:
            assert "would have no effect" in str(error)  # noqa: PT017

    assert accepted == []


@pytest.mark.django_db
class TestCompiledQueries:
    def test_time_that_would_be_frozen_is_refused(self):
        query = CompiledQuery(lambda pk: Key.objects.filter(pk=pk, created__lt=timezone.now()), sample_uuid())

        with pytest.raises(UnsafeQuery, match="would be frozen"):
            query.first(sample_uuid())

    def test_time_that_is_a_value_is_accepted(self):
        query = CompiledQuery(lambda pk, now: Key.objects.filter(pk=pk, created__lt=now), sample_uuid(), sample_time())

        assert query.first(sample_uuid(), timezone.now()) is None

    def test_value_that_the_sql_does_not_contain_is_refused(self):
        query = CompiledQuery(lambda pk, text: Key.objects.filter(pk=pk), sample_uuid(), sample_text())

        with pytest.raises(UnsafeQuery, match="are not parameters of"):
            query.first(sample_uuid(), "KEY-0001")

    def test_query_that_does_not_depend_on_the_account_of_the_bearer_is_refused(self, acme):
        bearer = Bearer(account_id=acme.account.pk, id=acme.admin.pk, model=type(acme.admin), role="admin")
        query = CompiledQuery(lambda bearer, pk: Key.objects.filter(pk=pk), sample_uuid())

        with pytest.raises(UnsafeQuery, match="of the account"):
            query.first(sample_uuid(), bearer=bearer)
