"""Errors of several rules, which a response names together."""

from collections.abc import Collection, Iterable

from django.core.exceptions import ValidationError

from keygen_site.models import Resource, must_exist


def own_errors(row: Resource) -> dict[str, list[ValidationError]]:
    """The errors of a row's own values by field name."""
    try:
        row.check_rules()
    except ValidationError as error:
        return dict(error.error_dict)
    return {}


class RuleErrors:
    """Collects the errors of a resource by field name, in the order in which the fields first fail."""

    def __init__(self) -> None:
        self._by_name: dict[str, list[ValidationError]] = {}

    def add(self, name: str, detail: str, code: str) -> None:
        """Add an error of a field; of the resource as a whole with the name `__all__`."""
        self.extend(name, [ValidationError(detail, code=code)])

    def extend(self, name: str, errors: Collection[ValidationError]) -> None:
        if errors:
            self._by_name.setdefault(name, []).extend(errors)

    def add_missing(self, names: Iterable[str]) -> None:
        """Add an error for each relationship to a row that does not exist or that the bearer may not see."""
        for name in names:
            self.extend(name, [must_exist()])

    def merge(self, row: Resource) -> None:
        """Add the errors of a row's own values."""
        for name, errors in own_errors(row).items():
            self.extend(name, errors)

    def raise_if_any(self) -> None:
        """
        Raises:
            ValidationError: by field name, if there are errors.
        """
        if self._by_name:
            raise ValidationError(dict(self._by_name))
