"""Forms of the console's imports."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from accounts.models import User
from keygen_site.jsonapi.text import is_one_line
from licensing.models import Policy
from pools.key_files import FORMATS, ReadOptions, UsedRows
from pools.key_files.encodings import ENCODINGS
from pools.models import PendingImport
from pools.models.pending_imports import PART_BYTES
from pools.services.import_processing import options_of
from pools.services.pending_imports import MAX_FILES, SentFile

MAX_POOLS = 500  # to choose from
MAX_PASTED_BYTES = 1_000_000  # of a text that a form shows again; the script sends a longer one as a file
FORMAT_TITLES = {
    "text": "Text, a key on each line",
    "csv": "CSV or columns with another delimiter",
    "xlsx": "Excel workbook (.xlsx)",
    "ndjson": "NDJSON, an object on each line",
    "json": "JSON, one list",
}
DELIMITER_TITLES = {"comma": "Comma  ,", "semicolon": "Semicolon  ;", "tab": "Tab", "pipe": "Vertical bar  |"}
USED_ROWS_TITLES = {
    UsedRows.REJECT: "Skip them",
    UsedRows.USED: "Add them as handed out, so that no customer gets them",
    UsedRows.IGNORE: "Ignore that column and add them as available",
}
DETECT = ("", "Detect")


def importable_pools(operator: User) -> QuerySet[Policy]:
    """The policies with a pool into which an operator may import, the newest first."""
    pools = Policy.objects.filter(use_pool=True).select_related("account", "product").order_by("-id")
    return pools if operator.is_superuser else pools.filter(account=operator.account_id)


class OptionsForm(forms.Form):
    """How a file is read: `ReadOptions`. An empty value is found out from the content."""

    trim = forms.BooleanField(required=False, label="Remove spaces before and after each key")
    used_rows = forms.ChoiceField(
        required=False,
        label="Used keys",
        choices=list(USED_ROWS_TITLES.items()),
        help_text="Rows whose column status, used, sold, popped or the like says that the key has been used.",
    )
    format = forms.ChoiceField(
        required=False, choices=[DETECT, *((format, FORMAT_TITLES[format]) for format in FORMATS)]
    )
    encoding = forms.CharField(
        max_length=40,
        required=False,
        widget=forms.TextInput(attrs={"list": "encodings", "placeholder": DETECT[1]}),
        help_text="UTF-8, UTF-16 and UTF-32 are detected. Old Windows programs write windows-1252.",
    )
    delimiter = forms.ChoiceField(
        required=False,
        choices=[DETECT, *DELIMITER_TITLES.items()],
        help_text="The character between the columns.",
    )
    header = forms.ChoiceField(
        required=False,
        choices=[DETECT, ("yes", "The first row has names"), ("no", "The first row has a key like the others")],
    )
    column = forms.CharField(
        max_length=255,
        required=False,
        help_text="The column with the keys: its name, or its number from 1.",
    )

    encodings = ENCODINGS  # to choose from
    place = 0

    @property
    def option_fields(self) -> list[forms.BoundField]:
        names = ("trim", "used_rows", "format", "encoding", "delimiter", "header", "column")
        return [self[name] for name in names if name in self.fields]

    @property
    def has_options(self) -> bool:
        """Whether one of the options is set, or has an error."""
        values = [field for field in self.option_fields if field.name != "used_rows"]
        return any(field.value() or field.errors for field in values) or bool(self["used_rows"].errors)

    def read_options(self) -> ReadOptions:
        values = self.cleaned_data
        return ReadOptions(
            format=values["format"] or None,
            encoding=values["encoding"] or None,
            delimiter=values["delimiter"] or None,
            header={"yes": True, "no": False}.get(values["header"]),
            column=values["column"] or None,
            trim=values["trim"],
            used_rows=UsedRows(values["used_rows"] or UsedRows.REJECT),
        )

    @staticmethod
    def values_of(options: ReadOptions) -> dict[str, Any]:
        """The initial values of the form for options."""
        values = {name: value for name, value in asdict(options).items() if value is not None}
        if options.header is not None:
            values["header"] = "yes" if options.header else "no"
        return values

    @classmethod
    def of_file(cls, pending: PendingImport, place: int) -> "OptionsForm":
        """The form for one of the files of a pending import."""
        form = cls(initial=cls.values_of(options_of(pending, place)), auto_id=f"id_{place}_%s")
        form.place = place
        return form


class NameForm(forms.Form):
    """The name of an import."""

    name = forms.CharField(
        max_length=255, required=False, label="Name this batch", help_text="For example ACME PO 4711."
    )

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if not is_one_line(name):
            raise forms.ValidationError("Use one line of text.")
        return name


class FilesInput(forms.FileInput):
    allow_multiple_selected = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> list[UploadedFile]:
        return files.getlist(name) if hasattr(files, "getlist") else []


class FilesField(forms.FileField):
    """Any number of files, also none."""

    widget = FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        return [super(FilesField, self).clean(file, initial) for file in data or ()]


class PoolField(forms.ModelChoiceField):
    """One of the newest MAX_POOLS of some pools."""

    def __init__(self, **options: Any) -> None:
        super().__init__(Policy.objects.none(), **options)

    def offer(self, pools: QuerySet[Policy]) -> int:
        """Set the pools to choose from. Returns their number."""
        newest = list(pools.order_by("-id").values_list("pk", flat=True)[:MAX_POOLS])
        pools = pools.filter(pk__in=newest).select_related("product", "account").order_by("product__name", "name")
        self.queryset = pools
        return len(newest)

    def label_from_instance(self, pool: Policy) -> str:
        return f"{pool.product} · {pool}"


class UploadForm(NameForm, OptionsForm):
    """Keys to be imported: pasted, in files, or in files of a pending import that is changed.

    Args:
        pools: the pools to choose from, if the page is not about one of them.
        retried: a pending import of the same operator, to be replaced.
    """

    pool = PoolField(label="Import into")
    keys = forms.CharField(
        required=False,
        strip=False,
        label="Paste keys, one on each line, or rows of a spreadsheet",
        widget=forms.Textarea(attrs={"rows": 10, "spellcheck": "false", "autocomplete": "off", "data-long": True}),
    )
    file = FilesField(required=False, allow_empty_file=True, label="Or drop files")
    kept = forms.TypedMultipleChoiceField(
        coerce=int, required=False, label="Files that you have sent", widget=forms.CheckboxSelectMultiple
    )

    def __init__(
        self, *args: Any, pools: QuerySet[Policy] | None = None, retried: PendingImport | None = None, **options: Any
    ) -> None:
        super().__init__(*args, **options)
        number_of_pools = 1
        if pools is None:
            del self.fields["pool"]
        else:
            field: Any = self.fields["pool"]
            number_of_pools = field.offer(pools)
            if number_of_pools == 1:
                self.initial["pool"] = pools.first()
        if number_of_pools == 1:
            self.fields["keys"].widget.attrs["autofocus"] = True
        self.retried = retried
        kept = list(_kept_files(retried)) if retried else []
        if kept:
            self.fields["kept"].choices = kept  # type: ignore[attr-defined]
            self.initial["kept"] = [place for place, _ in kept]
        else:
            del self.fields["kept"]
        if retried and not self.is_bound:
            self.initial.update(OptionsForm.values_of(options_of(retried)))
            self.initial.update(name=retried.name, keys=pasted_text(retried))

    def clean(self) -> dict[str, Any]:
        values = super().clean() or {}
        if self.data.get("kept") and "kept" not in self.fields:
            raise forms.ValidationError(
                "The files that you sent before have been replaced or deleted. Choose them again."
            )
        if len(values.get("file") or ()) + len(values.get("kept") or ()) > MAX_FILES:
            raise forms.ValidationError(f"Choose {MAX_FILES} files at most.")
        if not values.get("file") and not values.get("kept") and not (values.get("keys") or "").strip():
            raise forms.ValidationError("Paste some keys, or choose a file.")
        return values

    def sent_files(self) -> list[SentFile]:
        """The pasted text, the kept files and the new ones."""
        values = self.cleaned_data
        files = [SentFile("", _split(values["keys"]))] if values["keys"].strip() else []
        if self.retried:
            given = self.retried.given_files
            files += [
                SentFile(given[place]["name"], self.retried.read_given(place)) for place in values.get("kept", ())
            ]
        return files + [SentFile(file.name or "", file.chunks(PART_BYTES)) for file in values["file"]]


def pasted_text(pending: PendingImport) -> str:
    """The text that was pasted for a pending import; empty if there is none."""
    for place in _pasted_places(pending):
        return b"".join(pending.read_given(place)).decode(errors="replace")
    return ""


def _pasted_places(pending: PendingImport) -> Sequence[int]:
    files = enumerate(pending.given_files)
    return [place for place, file in files if not file["name"] and file["size"] <= MAX_PASTED_BYTES][:1]


def _kept_files(pending: PendingImport) -> Iterator[tuple[int, str]]:
    pasted = _pasted_places(pending)
    for place, file in enumerate(pending.given_files):
        if place not in pasted:
            yield place, f"{file['name'] or 'Pasted keys'} ({max(file['size'] // 1024, 1):,} KB)"


def _split(text: str) -> Iterable[bytes]:
    data = text.encode(errors="surrogatepass")
    return (data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES))
