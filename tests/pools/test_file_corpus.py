"""Every file of the corpus has exactly the expected report, from the service and through each door.

The short profile of Hypothesis puts a share of the files through each door, the long one all of them.
"""

import io
import json
from urllib.parse import urlencode

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts.audit import AuditContext
from keygen_site.jsonapi.errors import DomainError
from pools.key_files import ReadOptions, UsedRows, open_key_file
from pools.models import Key, PendingImport
from pools.services.imports import import_keys, stage_import
from tests.console import page, signed_in, staff
from tests.fuzzing import share
from tests.pools.file_corpus import EXPECTATIONS, FOLDER, all_cases, cases_of, folders
from tests.processes import manage_here
from tests.tables import rolled_back

pytestmark = pytest.mark.without_database  # the subject is files and processes

each_folder = pytest.mark.parametrize("folder", folders())
STATUSES = {"FILE_TOO_LARGE": 413, "ALREADY_IMPORTED": 409}
EXIT_CODES = {"ALREADY_IMPORTED": 6}


def check_each(cases, outcome_of, acme):
    """Assert that each case has the expected outcome."""
    wrong = {}
    for case in cases:
        with rolled_back():
            if case.pool:
                fill(acme.policy, case.pool)
            try:
                found = outcome_of(case)
            except Exception as error:
                wrong[repr(case)] = f"{type(error).__name__}: {error}"
                continue
        if differs := difference(case, found):
            wrong[repr(case)] = differs
    shown = "\n".join(f"{case}: (found, expected) = {differs}" for case, differs in wrong.items())
    assert not wrong, f"{len(wrong)} of {len(cases)} files:\n{shown}"


def difference(case, found):
    """The members of an outcome that are not as expected: (found, expected). A door need not report all members."""
    expected = case.outcome | {"understood": case.understood, "trimmed": case.trimmed}
    wrong = {}
    for name, value in found.items():
        right = expected.get(name, f"no {name}")
        if name == "understood":
            value = {member: value.get(member, "absent") for member in right}
        elif name == "says":
            value, right = (value, right) if right.lower() not in value.lower() else ("", "")
        elif name == "warnings" and isinstance(right, list):
            without_lines = [said.rstrip(" 0123456789") for said in value]
            value = [short if short in right else said for said, short in zip(value, without_lines, strict=True)]
            value, right = sorted(value), sorted(right)
        elif name == "rejected" and isinstance(right, list):
            value, right = sorted(value), sorted(right)
        if value != right:
            wrong[name] = (value, right)
    return wrong


def fill(policy, texts):
    """Import keys into a pool. The warnings of later files take them for stock."""
    file = io.BufferedReader(io.BytesIO("".join(f"{text}\n" for text in texts).encode()))
    key_file = open_key_file(file, ReadOptions(format="text", header=False))
    import_keys(policy=policy, files=[key_file], audit=AuditContext(operator="tests"), accept_warnings=True)


def keys_in_pool(case):
    """The texts that the import of a case has added: available ones, and those added as popped."""
    keys = Key.objects.exclude(key__in=case.pool).order_by("id")
    return {
        "accepted": list(keys.filter(popped=None).values_list("key", flat=True)),
        "used": list(keys.exclude(popped=None).values_list("key", flat=True)),
    }


def rejected_lines(report):
    return [f"{each['line']} {each['code']}" for each in report["rejections"]]


def read_options(options):
    given = {name.replace("-", "_"): value for name, value in options.items()}
    if "used_rows" in given:
        given["used_rows"] = UsedRows(given["used_rows"])
    return ReadOptions(**given)


def declared(case):
    """The media type and the charset that the client declares."""
    media_type, _, charset = case.media_type.partition("; charset=")
    return {"media_type": media_type, "charset": charset}


class TestCorpus:
    def test_corpus_has_many_files_and_describes_each(self):
        files = {f"{path.parent.name}/{path.name}" for path in FOLDER.glob("*/*") if path.name != EXPECTATIONS}
        described = [repr(case) for case in all_cases()]

        assert files == set(described)
        assert len(described) >= 130

    def test_accepted_keys_can_be_keys(self):
        """A slip in the corpus itself: a text that no pool takes."""
        texts = [text for case in all_cases() for text in case.outcome.get("accepted", ())]

        assert [text for text in texts if not 8 <= len(text) <= 1024 or text != text.strip()] == []


@pytest.mark.django_db
class TestService:
    @each_folder
    def test_service_reports_exactly_this(self, acme, audit, folder):
        def outcome(case):
            def options(**more):
                with case.path.open("rb") as file:
                    content = io.BufferedReader(io.BytesIO(file.read()))
                key_file = open_key_file(content, read_options(case.options), name=case.path.name, **declared(case))
                return {
                    "policy": acme.policy,
                    "files": [key_file],
                    "audit": audit,
                    "skip_invalid": True,
                    "accept_warnings": True,
                } | more

            try:
                with stage_import(**options(dry_run=True)) as staged:
                    staged.publish()
                    preview = staged.report
                report = import_keys(**options())
            except DomainError as error:
                columns = [each.column or str(each.number) for each in getattr(error, "candidates", ())]
                is_header = hasattr(error, "first_row")
                return {"refused": error.code, "says": error.detail, "asked": ["header"] if is_header else columns}
            (understood,) = report.understood
            assert preview.would_add == report.added
            assert [each.as_dict() for each in preview.warnings] == [each.as_dict() for each in report.warnings]
            return keys_in_pool(case) | {
                "rejected": rejected_lines(report.as_dict()),
                "warnings": [
                    " ".join(["serious" if each.is_serious else "mild", each.code, *map(str, each.lines)])
                    for each in report.warnings
                ],
                "trimmed": report.trimmed,
                "understood": understood.as_dict(),
            }

        check_each(cases_of(folder), outcome, acme)


@pytest.mark.django_db
class TestAPI:
    @each_folder
    def test_api_accepts_exactly_this(self, acme, api, folder):
        admin = api(acme.admin)

        def send(case, **more):
            options = case.options | more
            if "header" in options:
                options["header" if options.pop("header") else "no-header"] = True
            query = urlencode({name: str(value).lower() if value is True else value for name, value in options.items()})
            path = f"policies/{acme.policy.pk}/pool/actions/import?{query}"
            return admin.post(path, case.path.read_bytes(), content_type=case.media_type)

        def outcome(case):
            response = send(case)
            body = response.json()
            if case.is_refused:
                return refusal(case, response.status_code, body)
            if not case.is_clean:
                assert (response.status_code, keys_in_pool(case)) == (422, {"accepted": [], "used": []}), body
                assert body["errors"][0]["code"] in ("IMPORT_REJECTED", "IMPORT_WARNINGS")
                body = send(case, **{"skip-invalid": True, "accept-warnings": True}).json()
            assert "errors" not in body or not case.outcome["accepted"], body
            return keys_in_pool(case) | {"rejected": rejected_lines(body["meta"])}

        def refusal(case, status, body):
            (error,) = body.get("errors", [{}])
            assert status == STATUSES.get(case.outcome["refused"], 422), body
            meta = body.get("meta", {})
            columns = [each["column"] or str(each["number"]) for each in meta.get("candidates", ())]
            asked = ["header"] if "firstRow" in meta else columns
            return {"refused": error["code"], "says": error["detail"], "asked": asked}

        check_each(share(cases_of(folder), 0), outcome, acme)


@pytest.mark.django_db
class TestCommand:
    @each_folder
    def test_command_accepts_exactly_this(self, acme, monkeypatch, folder):
        # A command closes the connections when it ends, and with them the transaction of the test.
        monkeypatch.setattr("django.core.management.base.connections.close_all", lambda: None)

        def run(case, *more):
            options = dict(case.options)
            if "charset" in case.media_type:
                options["encoding"] = declared(case)["charset"]
            arguments = []
            if "header" in options:
                arguments.append("--header" if options.pop("header") else "--no-header")
            for name, value in options.items():
                arguments += [f"--{name}"] if value is True else [f"--{name}", value]
            return manage_here("import_keys", case.path, "--policy", "Pooled", "--json", *arguments, *more)

        def outcome(case):
            done = run(case)
            if case.is_refused:
                assert done.code == EXIT_CODES.get(case.outcome["refused"], 1), done
                assert keys_in_pool(case) == {"accepted": [], "used": []}
                return {"says": done.err + done.out}
            if not case.is_clean:
                assert done.code in (1, 3), done
                assert keys_in_pool(case) == {"accepted": [], "used": []}
                done = run(case, "--skip-invalid", "--accept-warnings")
            return keys_in_pool(case) | {"rejected": rejected_lines(json.loads(done.out))}

        check_each(share(cases_of(folder), 2), outcome, acme)


@pytest.mark.django_db
class TestConsole:
    @each_folder
    def test_console_accepts_exactly_this(self, acme, folder):
        client = signed_in(staff(acme, email="ann@acme.test"))

        def outcome(case):
            options = {name.replace("-", "_"): value for name, value in case.options.items()}
            if "charset" in case.media_type:
                options["encoding"] = declared(case)["charset"]
            if "header" in options:
                options["header"] = "yes" if options["header"] else "no"
            given = {"file": SimpleUploadedFile(case.path.name, case.path.read_bytes())}
            response = client.post(page("pools_pendingimport_import", acme.policy.pk), given | options)
            if response.status_code == 200:  # the form itself has an error
                assert case.is_refused, response.context["form"].errors
                return {"says": str(response.context["form"].errors)}
            pending = PendingImport.objects.get()
            address = page("pools_pendingimport_change", pending.pk)
            if case.is_refused:
                shown = client.get(address).content.decode()
                assert keys_in_pool(case) == {"accepted": [], "used": []}
                assert not any(f'name="{button}"' in shown for button in ("all", "skip")), shown
                missing = [column for column in case.outcome["asked"] if column != "header" and column not in shown]
                assert missing == []
                return {"says": pending.problem} if case.outcome["says"] else {}
            assert keys_in_pool(case) == {"accepted": [], "used": []}
            client.post(address, {"skip" if case.outcome["rejected"] else "all": "yes", "accept_warnings": "yes"})
            return keys_in_pool(case)

        check_each(share(cases_of(folder), 4), outcome, acme)
