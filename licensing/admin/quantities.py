"""Form fields for amounts with a unit: durations, and sizes of memory and disks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.html import format_html
from django.utils.safestring import SafeString

from licensing.durations import DAY, HOUR, MINUTE, MONTH, WEEK, YEAR

MAX_INTEGER, MAX_BIG_INTEGER = 2**31 - 1, 2**63 - 1  # of the columns


@dataclass(frozen=True)
class Units:
    """The units in which an amount is written.

    Attributes:
        sizes: the size of each unit, from the largest to 1.
        usual: the unit of an empty field.
    """

    sizes: Mapping[str, int]
    usual: str

    def split(self, amount: int | None) -> tuple[int | None, str]:
        """The number and the unit of an amount, in the largest unit that fits. None and the usual unit for None."""
        if amount is None:
            return None, self.usual
        unit = next(unit for unit, size in self.sizes.items() if amount % size == 0)
        return amount // self.sizes[unit], unit

    def describe(self, amount: int) -> str:
        """An amount in words, e.g. "1 year"."""
        number, unit = self.split(amount)
        return f"{number:,} {unit.removesuffix('s') if number == 1 else unit}"


# The last unit is for amounts that an API client has set.
DURATIONS = Units({"years": YEAR, "months": MONTH, "weeks": WEEK, "days": DAY, "seconds": 1}, "years")
HEARTBEATS = Units({"days": DAY, "hours": HOUR, "minutes": MINUTE, "seconds": 1}, "minutes")
SIZES = Units({"TB": 2**40, "GB": 2**30, "MB": 2**20, "bytes": 1}, "GB")


def describe_duration(seconds: int | None) -> str:
    """How long a license is valid, in words."""
    return "Never expires" if seconds is None else DURATIONS.describe(seconds)


class QuantityWidget(forms.MultiWidget):
    """A number and its unit, perhaps with a box for "none"."""

    use_fieldset = True

    def __init__(self, units: Units, none: str = "") -> None:
        """
        Args:
            none: the label of the box; without one, an empty number is none.
        """
        self.units, self.none = units, none
        widgets: dict[str, forms.Widget | type[forms.Widget]] = {
            "number": forms.NumberInput(attrs={"min": 1, "aria-label": "Number"}),
            "unit": forms.Select(choices=[(unit, unit) for unit in units.sizes], attrs={"aria-label": "Unit"}),
        }
        if none:
            widgets["never"] = forms.CheckboxInput(attrs={"data-turns-off": "number"})
        super().__init__(widgets)

    def decompress(self, value: int | None) -> list[Any]:
        number, unit = self.units.split(value)
        return [number, unit, *([number is None] if self.none else [])]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        parts = self.get_context(name, value, attrs)["widget"]["subwidgets"]
        draw: Any = super()._render  # type: ignore[misc]
        number, unit, *box = (draw(part["template_name"], {"widget": part}, renderer) for part in parts)
        label = format_html(' <label class="never">{} {}</label>', box[0], self.none) if box else ""
        return format_html('<span class="duration">{} {}{}</span>', number, unit, label)


class QuantityField(forms.MultiValueField):
    """An amount in the smallest unit, or None."""

    def __init__(self, units: Units, *, smallest: int, largest: int, none: str = "", **options: Any) -> None:
        """
        Args:
            smallest, largest: the bounds of the amount.
            none: see `QuantityWidget`.
        """
        self.units, self.none, self.smallest, self.largest = units, none, smallest, largest
        invalid = "Enter a whole number."
        fields: list[forms.Field] = [
            forms.IntegerField(min_value=1, error_messages={"invalid": invalid, "min_value": "At least 1."}),
            forms.ChoiceField(choices=[(unit, unit) for unit in units.sizes]),
        ]
        if none:
            fields.append(forms.BooleanField())
        widget = QuantityWidget(units, none)
        super().__init__(fields, require_all_fields=False, required=False, widget=widget, **options)
        for field in self.fields:
            field.required = False

    def compress(self, values: list[Any]) -> int | None:
        number, unit, *box = values or [None, ""]
        if any(box):
            if number:
                raise ValidationError(f"Clear “{self.none}”, or the number.", code="ambiguous")
            return None
        if number is None:
            if self.none:
                raise ValidationError(f"Enter a number, or tick “{self.none}”.", code="required")
            return None
        amount = number * self.units.sizes[unit or self.units.usual]
        if amount < self.smallest:
            raise ValidationError(f"At least {self.units.describe(self.smallest)}.", code="min_value")
        if amount > self.largest:
            unit, size = next(iter(self.units.sizes.items()))
            raise ValidationError(f"At most {self.largest // size:,} {unit}.", code="max_value")
        return amount

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return self.to_python(initial) != self.clean(data)
        except ValidationError:
            return True


class DurationField(QuantityField):
    """How long a license is valid, in seconds, or None for "never expires"."""

    def __init__(self, **options: Any) -> None:
        super().__init__(DURATIONS, smallest=DAY, largest=MAX_INTEGER, none="never expires", **options)


class HeartbeatField(QuantityField):
    """The time within which a heartbeat is due, in seconds, or None for the default."""

    def __init__(self, **options: Any) -> None:
        super().__init__(HEARTBEATS, smallest=MINUTE, largest=MAX_INTEGER, **options)


class SizeField(QuantityField):
    """A number of bytes, or None for no limit."""

    def __init__(self, **options: Any) -> None:
        super().__init__(SIZES, smallest=1, largest=MAX_BIG_INTEGER, **options)
