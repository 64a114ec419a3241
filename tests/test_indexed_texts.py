"""Texts in indexes: PostgreSQL refuses a row whose index entry is too large, after all checks of the values."""

import random

import pytest
from django.apps import apps
from django.core.exceptions import ValidationError
from django.db.models import CharField, F, TextField

from keygen_site.db.fields import MAX_INDEXED_BYTES, MaxBytes
from tests.errors import assert_refused, unprocessable
from tests.licensing.test_issue_license import license_document


def random_emojis(count):
    """A text that cannot be compressed much."""
    choice = random.Random(1).choice
    return "".join(choice([chr(code) for code in range(0x1F300, 0x1F5FF)]) for _ in range(count))


def indexed_fields(model):
    """The columns of the indexes and unique constraints of a model."""
    expressions = []
    for each in (*model._meta.indexes, *model._meta.constraints):
        expressions += getattr(each, "expressions", ())
        yield from (model._meta.get_field(name.lstrip("-")) for name in getattr(each, "fields", ()))
    while expressions:
        each = expressions.pop()
        if isinstance(each, F):
            yield model._meta.get_field(each.name)
        elif hasattr(each, "get_source_expressions"):
            expressions += each.get_source_expressions()
    yield from (each for each in model._meta.concrete_fields if each.unique or each.db_index)


def largest_text(field):
    """The number of bytes of the largest text that a field accepts; None if it has no limit."""
    limits = [each.limit_value for each in field.validators if isinstance(each, MaxBytes)]
    return min([*limits, 4 * field.max_length]) if field.max_length else None


def test_all_texts_in_indexes_fit():
    models = [model for model in apps.get_models() if model._meta.app_label in ("accounts", "licensing", "pools")]
    fields = {
        each
        for model in models
        for each in indexed_fields(model)
        if isinstance(each, CharField | TextField) and not each.choices
    }
    assert len(fields) > 10

    too_large = {str(each) for each in fields if (largest_text(each) or MAX_INDEXED_BYTES + 1) > MAX_INDEXED_BYTES}
    assert too_large == {"accounts.Setting.key"}  # one of `Setting.Key`


def test_name_of_a_license_is_limited_in_bytes_too(acme, api):
    def issue(name):
        return api(acme.admin).post("licenses", license_document(acme.unpooled, {"name": name}))

    assert issue(random_emojis(MAX_INDEXED_BYTES // 4)).status_code == 201
    assert issue("x" * 1024).status_code == 201
    refused = unprocessable("licenses", "is too long (maximum is 2600 bytes)", "NAME_TOO_LONG", "/data/attributes/name")
    assert_refused(issue(random_emojis(1024)), 422, refused)


@pytest.mark.parametrize("text", ["Ⱥ" * 1000, "ⱥ" * 1000])
def test_bytes_are_counted_in_both_cases(text):
    """This letter has two bytes, and three in lower case."""
    with pytest.raises(ValidationError):
        MaxBytes(2_600)(text)
