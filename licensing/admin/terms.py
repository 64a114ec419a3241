"""The terms of a policy as a form, and as sentences for operators who may not change them."""

from collections.abc import Iterator
from typing import Any, ClassVar

from django import forms
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin.base import ConsoleForm
from licensing.admin.quantities import HEARTBEATS, SIZES, DurationField, HeartbeatField, SizeField, describe_duration
from licensing.admin.term_words import HELP_TEXTS, LABELS, MEANINGS, TERMS, TERMS_FIELDSETS
from licensing.heartbeats import DEFAULT_DURATION
from licensing.models import Policy


def choices_of(name: str) -> list[tuple[str, SafeString]]:
    """The choices of a field of MEANINGS, each with the API's value in grey."""
    return [
        (value, format_html('<span>{} <code class="quiet">{}</code></span>', meaning, value))
        for value, meaning in MEANINGS[name].items()
    ]


class IntervalField(forms.ChoiceField):
    """An interval of check-ins, or None."""

    def __init__(self, **options: Any) -> None:
        choices = [("", "–"), *((unit, unit) for unit in ("day", "week", "month", "year"))]
        super().__init__(choices=choices, required=False, **options)

    def clean(self, value: Any) -> str | None:
        return super().clean(value) or None


class TermsForm(ConsoleForm):
    """The terms of a policy. Forms with fewer fields leave the others as they are."""

    duration = DurationField()
    heartbeat_duration = HeartbeatField()
    max_memory = SizeField()
    max_disk = SizeField()
    check_in_interval = IntervalField()

    class Meta:
        model = Policy
        fields: ClassVar = TERMS

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        for name in MEANINGS.keys() & self.fields.keys():
            # The rules of a policy choose the value of an optional one.
            replaced = self.fields[name]
            field = forms.ChoiceField(choices=choices_of(name), widget=forms.RadioSelect, required=replaced.required)
            field.initial = replaced.initial
            self.fields[name] = field
        for name in LABELS.keys() & self.fields.keys():
            self.fields[name].label = LABELS[name]
            self.fields[name].help_text = HELP_TEXTS.get(name, "")

    def _update_errors(self, errors: Any) -> None:
        """Show the words of the policy's rules. By their code, Django would show those of the field: no number."""
        for problems in getattr(errors, "error_dict", {}).values():
            for problem in problems:
                problem.code = None
        super()._update_errors(errors)


def describe_terms(policy: Policy) -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    """The terms of a policy by section: the title, and each term's label, words, and value in the API if it differs."""
    for title, options in TERMS_FIELDSETS[:-1]:
        yield title or "", [_describe_term(policy, name) for name in options["fields"]]


def _describe_term(policy: Policy, name: str) -> tuple[str, str, str]:
    value, label = getattr(policy, name), f"{LABELS[name][0].upper()}{LABELS[name][1:]}"
    if name == "duration":
        return label, describe_duration(value), ""
    if name == "heartbeat_duration":
        return label, HEARTBEATS.describe(value or DEFAULT_DURATION), ""
    if name in MEANINGS:
        return label, MEANINGS[name].get(value, value), value
    if isinstance(value, bool):
        return label, "Yes" if value else "No", ""
    if value is None:
        return label, "No limit" if name.startswith("max_") else "–", ""
    if name in ("max_memory", "max_disk"):
        return label, SIZES.describe(value), ""
    return label, f"{value:,}" if isinstance(value, int) else str(value), ""
