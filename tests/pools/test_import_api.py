"""`POST …/pool/actions/import` and `GET …/pool/actions/export`."""

import gzip
import io
import json
import re
import zipfile
from itertools import product

import pytest

from accounts.models import Account
from pools.api.transfers import IMPORT_MEDIA_TYPES
from pools.key_files import FORMATS
from pools.models import Key, KeyImport
from tests.cast import add_keys, make_product, numbered
from tests.errors import BAD, FORBIDDEN, NOT_FOUND, UNPROCESSABLE, assert_refused, bad_request, not_found
from tests.tables import each_row

TEXT = "\n".join(numbered(3)).encode()


def zipped(name, data):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr(name, data)
    return archive.getvalue()


def send(api, path, body=TEXT, content_type="text/plain", query="", **headers):
    return api.post(f"{path}/import{query}", body, content_type=content_type, **headers)


def keys_of(policy):
    return [key.key for key in policy.pool.available().order_by("id")]


class TestImport:
    @pytest.mark.parametrize(
        ("content_type", "body"),
        [
            ("text/plain", TEXT),
            ("text/plain; charset=utf-8", TEXT),
            ("", TEXT),
            ("text/csv", b"id,key\n1,KEY-0001\n2,KEY-0002\n3,KEY-0003\n"),
            ("application/x-ndjson", b'{"key":"KEY-0001"}\n{"key":"KEY-0002"}\n{"key":"KEY-0003"}'),
            ("text/plain", gzip.compress(TEXT, mtime=0)),
            ("application/gzip", gzip.compress(TEXT, mtime=0)),
            ("application/zip", zipped("keys.txt", TEXT)),
            ("application/octet-stream", TEXT),
            ("text/plain; charset=utf-16-le", TEXT.decode().encode("utf-16-le")),
            ("application/json", b'["KEY-0001", "KEY-0002", "KEY-0003"]'),
        ],
    )
    def test_import_adds_the_keys_of_a_file(self, acme, api, path, content_type, body):
        response = send(api(acme.admin), path, body, content_type, "?name=ACME%20PO%204711")

        key_import = KeyImport.objects.get()
        assert response.status_code == 200, response.json()
        report = response.json()["meta"]
        assert report.pop("understood")[0]["kind"] in FORMATS
        assert report == {
            "dryRun": False,
            "import": str(key_import.pk),
            "lines": 3,
            "blank": 0,
            "trimmed": 0,
            "used": 0,
            "added": 3,
            "wouldAdd": None,
            "alreadyImported": False,
            "firstKeys": numbered(3),
            "lastKeys": numbered(3),
            "warnings": [],
            "rejected": 0,
            "reasons": {},
            "rejections": [],
        }
        assert keys_of(acme.policy) == numbered(3)
        assert (key_import.name, key_import.bearer_type, key_import.bearer_id) == (
            "ACME PO 4711",
            "users",
            acme.admin.pk,
        )

    def test_import_adds_nothing_when_a_line_is_rejected(self, acme, api, path):
        response = send(api(acme.admin), path, b"KEY-0001\nKEY-0002\nshort\n")

        error = {
            "title": "Unprocessable entity",
            "detail": "No key was added: 1 of 3 lines was rejected",
            "code": "IMPORT_REJECTED",
            "links": {"about": "/docs#IMPORT_REJECTED"},
        }
        assert (response.status_code, response.json()["errors"]) == (UNPROCESSABLE, [error])
        assert response.json()["meta"]["rejections"] == [
            {"line": 3, "code": "too_short", "detail": "The key is too short (minimum is 8 characters)"}
        ]
        assert not Key.objects.exists()

    @pytest.mark.parametrize(
        ("query", "status", "added"),
        [
            ("?skip-invalid=true", 200, 2),
            ("?skip-invalid", 200, 2),
            ("?skip-invalid=true&dry-run=true", 200, 0),
            ("?dry-run=true", 422, 0),
        ],
    )
    def test_import_does_what_the_query_says(self, acme, api, path, query, status, added):
        response = send(api(acme.admin), path, b"KEY-0001\nKEY-0002\nshort\n", query=query)

        assert response.status_code == status
        assert (response.json()["meta"]["added"], Key.objects.count()) == (added, added)

    @pytest.mark.parametrize("content_type", ["multipart/form-data", "text/html", "image/png", "nonsense"])
    def test_import_takes_no_other_media_type(self, acme, api, path, content_type):
        response = send(api(acme.admin), path, content_type=content_type)

        error = bad_request(f"must be {', '.join(IMPORT_MEDIA_TYPES)}")
        assert_refused(response, BAD, error | {"source": {"header": "Content-Type"}})

    @pytest.mark.parametrize(
        ("query", "parameter", "detail"),
        [
            ("?dry-run=maybe", "dry-run", "must be true or false"),
            ("?trim=some", "trim", "must be true or false"),
            ("?accept-warnings=all", "accept-warnings", "must be true or false"),
            ("?header=first", "header", "must be true or false"),
            ("?header&no-header", "no-header", "must not contradict the parameter header"),
            ("?format=pdf", "format", "must be one of: text, csv, ndjson, json, xlsx"),
            ("?used-rows=sell", "used-rows", "must be one of: reject, used, ignore"),
            ("?skip-invalid=2", "skip-invalid", "must be true or false"),
            (f"?name={'x' * 256}", "name", "must have 255 characters at most, without control characters"),
            ("?name=a%0Ab", "name", "must have 255 characters at most, without control characters"),
        ],
    )
    def test_import_refuses_a_query_that_makes_no_sense(self, acme, api, path, query, parameter, detail):
        assert_refused(send(api(acme.admin), path, query=query), BAD, bad_request(detail, parameter=parameter))

    def test_import_refuses_a_file_that_is_broken(self, acme, api, path):
        response = send(api(acme.admin), path, gzip.compress(TEXT)[:-9])

        detail = "The file is not a whole gzip file: send it again, or send it unpacked"
        error = {"title": "Unprocessable entity", "detail": detail, "code": "FILE_UNREADABLE"}
        error |= {"links": {"about": "/docs#FILE_UNREADABLE"}}
        assert_refused(response, UNPROCESSABLE, error)

    @pytest.mark.parametrize("body", [b"KEY-0001\n" * 200, gzip.compress(b"KEY-0001\n" * 200, mtime=0)])
    def test_import_refuses_a_file_that_is_too_large(self, acme, api, path, settings, body):
        settings.MAX_IMPORT_BYTES = 1000

        response = send(api(acme.admin), path, body, query="?skip-invalid")

        (error,) = response.json()["errors"]
        assert (response.status_code, error["code"]) == (413, "FILE_TOO_LARGE")
        assert error["detail"].startswith("The file is too large")
        assert not Key.objects.exists()

    def test_import_refuses_a_policy_without_a_pool(self, acme, api):
        response = send(api(acme.admin), f"policies/{acme.unpooled.pk}/pool/actions")

        assert response.status_code == UNPROCESSABLE
        assert not Key.objects.exists()

    @pytest.mark.parametrize("role", ["admin", "developer", "product"])
    def test_import_is_for_those_who_may_add_keys(self, acme, api, path, role):
        assert send(api(acme.bearer(role)), path).status_code == 200

    @pytest.mark.parametrize("role", ["sales-agent", "support-agent", "read-only", "license", "user"])
    def test_import_is_not_for_others(self, acme, api, path, role):
        add_keys(acme.policy, "OLD-KEY-0001")
        bearer = acme.bearer(role)
        before = Key.objects.count()

        assert send(api(bearer), path).status_code in (FORBIDDEN, NOT_FOUND)
        assert Key.objects.count() == before

    def test_import_hides_the_policies_of_others(self, acme, rival, api):
        response = send(api(acme.admin), f"policies/{rival.policy.pk}/pool/actions")

        assert_refused(response, NOT_FOUND, not_found("policy", rival.policy.pk))
        foreign = make_product(Account.objects.get(pk=acme.account.pk), "Other")
        assert send(api(foreign), f"policies/{acme.policy.pk}/pool/actions").status_code == NOT_FOUND


class TestReading:
    """How the body is read: by its content, and by the query."""

    @pytest.mark.parametrize(
        ("query", "body", "understood"),
        [
            ("", b"key;note\nKEY-0001;a\nKEY-0002;b\n", {"kind": "csv", "delimiter": ";", "ignoredColumns": ["note"]}),
            (
                "?encoding=windows-1252&column=Schl%C3%BCssel",
                "Schlüssel;Größe\nKEY-0001;Öl\nKEY-0002;Äh\n".encode("windows-1252"),
                {"encoding": "windows-1252", "column": "Schlüssel"},
            ),
            ("?delimiter=tab&column=2", b"Game\tKEY-0001\nGame\tKEY-0002\n", {"delimiter": "\t", "header": False}),
            ("?delimiter=%09&no-header&column=2", b"Game\tKEY-0001\nGame\tKEY-0002\n", {"delimiter": "\t"}),
            ("?header&column=1", b"KEY-0000\nKEY-0001\nKEY-0002\n", {"header": True}),
            ("?trim", b" KEY-0001\nKEY-0002 \n", {"kind": "text"}),
        ],
    )
    def test_content_and_query_decide(self, acme, api, path, query, body, understood):
        response = send(api(acme.admin), path, body, "application/octet-stream", query)

        assert response.status_code == 200, response.json()
        (found,) = response.json()["meta"]["understood"]
        assert {name: found[name] for name in understood} == understood
        assert keys_of(acme.policy) == numbered(2)

    def test_trimmed_lines_are_counted(self, acme, api, path):
        response = send(api(acme.admin), path, b" KEY-0001\nKEY-0002\n", query="?trim")

        assert response.json()["meta"]["trimmed"] == 1

    def test_declared_charset_is_used(self, acme, api, path):
        body = "SCHLÜSSEL-1\nSCHLÜSSEL-2\n".encode("iso-8859-1")

        assert send(api(acme.admin), path, body).status_code == UNPROCESSABLE
        assert send(api(acme.admin), path, body, "text/plain; charset=iso-8859-1").status_code == 200
        assert keys_of(acme.policy) == ["SCHLÜSSEL-1", "SCHLÜSSEL-2"]

    @pytest.mark.parametrize(
        ("body", "code"),
        [
            (b"", "NO_KEYS"),
            (b" \n\n", "NO_KEYS"),
            (b"key\n", "NO_KEYS"),
            (b"<!DOCTYPE html><html><body>Not found</body></html>", "FILE_UNREADABLE"),
            (b"%PDF-1.7\n", "FILE_UNREADABLE"),
            (b"SCHL\xdcSSEL-1\nSCHL\xdcSSEL-2\n", "FILE_UNREADABLE"),
            (b"Product,Note\nGame,AAAA-0001\nGame,AAAA-0002\n", "COLUMN_AMBIGUOUS"),
        ],
    )
    @pytest.mark.parametrize("query", ["", "?dry-run", "?skip-invalid"])
    def test_file_is_refused_as_a_whole(self, acme, api, path, body, code, query):
        response = send(api(acme.admin), path, body, query=query)

        assert response.status_code == UNPROCESSABLE
        assert [error["code"] for error in response.json()["errors"]] == [code]
        assert not Key.objects.exists()

    def test_columns_to_choose_from_are_in_meta(self, acme, api, path):
        response = send(api(acme.admin), path, b"Product,Note\nGame,AAAA-0001\nGame,AAAA-0002\n")

        candidates = response.json()["meta"]["candidates"]
        assert {"column": "Note", "number": 2, "samples": ["AAAA-0001", "AAAA-0002"]} in candidates
        chosen = send(api(acme.admin), path, b"Product,Note\nGame,AAAA-0001\nGame,AAAA-0002\n", query="?column=Note")
        assert chosen.status_code == 200
        assert keys_of(acme.policy) == ["AAAA-0001", "AAAA-0002"]

    @pytest.mark.parametrize(
        ("query", "status", "available", "popped"),
        [
            ("", 422, 0, 0),
            ("?skip-invalid", 200, 1, 0),
            ("?used-rows=used", 200, 1, 1),
            ("?used-rows=ignore", 200, 2, 0),
        ],
    )
    def test_used_rows_are(self, acme, api, path, query, status, available, popped):
        response = send(api(acme.admin), path, b"key,status\nKEY-0001,sold\nKEY-0002,available\n", query=query)

        assert response.status_code == status, response.json()
        pool = acme.policy.pool
        assert (pool.available().count(), pool.filter(popped__isnull=False).count()) == (available, popped)


class TestHostileCells:
    """Characters that no database stores and no JSON has: in headers, in keys and in other cells."""

    HOSTILE = [b"\x00", b"\xff", b"\xed\xa0\x80", b"\x1b[2J", "\u202e".encode()]
    BODIES = [
        b"key,No@te\nKEY-0001,a@\nKEY-0002,b\n",
        b"key@,Note\nKEY-0001,a\nKEY-0002@,b\n",
        b"Prod@uct,Note\nGa@me,KEY-0001\nGame,KEY-0002\n",
        b"key;sta@tus;status\nKEY-0001;x@;so@ld\nKEY-0002;;sold@\n",
        b'{"key": "KEY-0001", "no@te": "@"}\n{"key": "KEY-0002@"}\n',
        b'["KEY-0001@", "KEY-0002", "KEY-0003"]',
        b"KEY-0001\nKEY-0002\nThank you@ for your order\n",
    ]

    @pytest.mark.parametrize("query", ["?dry-run", "?skip-invalid&accept-warnings&no-header&column=1"])
    def test_hostile_cells_are_answered(self, acme, api, path, query):
        admin, wrong = api(acme.admin), []
        for body, hostile in product(self.BODIES, self.HOSTILE):
            response = send(admin, path, body.replace(b"@", hostile), query=query)
            shown = json.dumps(response.json(), ensure_ascii=False)
            if response.status_code not in (200, 409, UNPROCESSABLE) or re.search(r"[\ud800-\udfff]|\\u00[01]", shown):
                wrong.append((body, hostile, shown))

        assert wrong == []


class TestWarnings:
    BODY = "\n".join([*(f"ABCD-EFGH-{number:04}" for number in range(30)), "Total: 30", ""]).encode()

    def test_serious_warnings_refuse_the_file(self, acme, api, path):
        response = send(api(acme.admin), path, self.BODY)

        assert response.status_code == UNPROCESSABLE
        assert [error["code"] for error in response.json()["errors"]] == ["IMPORT_WARNINGS"]
        assert any(warning["serious"] for warning in response.json()["meta"]["warnings"])
        assert not Key.objects.exists()

    def test_serious_warnings_may_be_accepted(self, acme, api, path):
        response = send(api(acme.admin), path, self.BODY, query="?accept-warnings")

        assert (response.status_code, response.json()["meta"]["added"]) == (200, 31)


class TestSameFileAgain:
    @pytest.mark.parametrize("query", ["", "?dry-run", "?skip-invalid"])
    def test_same_file_again_is_a_conflict(self, acme, api, path, query):
        send(api(acme.admin), path)

        response = send(api(acme.admin), path, query=query)

        assert response.status_code == 409
        assert [error["code"] for error in response.json()["errors"]] == ["ALREADY_IMPORTED"]
        assert response.json()["meta"]["alreadyImported"] is True
        assert keys_of(acme.policy) == numbered(3)


class TestImportAskedTwice:
    def test_import_asked_twice_is_done_once(self, acme, api, path):
        admin = api(acme.admin)
        first = send(admin, path, Idempotency_Key="po-4711")

        second = send(admin, path, Idempotency_Key="po-4711")

        assert (second.status_code, second.json()) == (first.status_code, first.json())
        assert second["Idempotency-Replayed"] == "true"
        assert KeyImport.objects.count() == 1

    @pytest.mark.parametrize(("body", "query"), [(b"KEY-0009", ""), (TEXT, "?skip-invalid")])
    def test_import_asked_twice_is_refused_for_another_file_or_query(self, acme, api, path, body, query):
        admin = api(acme.admin)
        send(admin, path, Idempotency_Key="po-4711")

        response = send(admin, path, body, query=query, Idempotency_Key="po-4711")

        assert response.json()["errors"][0]["code"] == "IDEMPOTENCY_KEY_REUSED"
        assert KeyImport.objects.count() == 1

    def test_import_asked_twice_may_be_tried_again_after_a_refusal(self, acme, api, path):
        admin = api(acme.admin)
        (key,) = add_keys(acme.policy, "KEY-0001")
        assert send(admin, path, Idempotency_Key="po-4711").status_code == UNPROCESSABLE
        key.delete()

        assert send(admin, path, Idempotency_Key="po-4711").status_code == 200
        assert keys_of(acme.policy) == numbered(3)


class TestParameters:
    """A misunderstood parameter could import keys that should only be checked."""

    @each_row(
        "query", ["?dry_run=true", "?dryRun=true", "?Used=true", "?use=true", "?colour=red", "?format=csv&Format=csv"]
    )
    def test_unknown_parameter_is_refused(self, acme, api, query):
        response = send(api(acme.admin), f"policies/{acme.policy.pk}/pool/actions", b"KEY-0001", "text/plain", query)

        assert response.status_code == 400
        assert "is unknown" in response.json()["errors"][0]["detail"]
        assert not acme.policy.pool.exists()

    def test_parameter_that_is_there_twice_is_refused(self, acme, api):
        query = "?dry-run=true&dry-run=false"

        response = send(api(acme.admin), f"policies/{acme.policy.pk}/pool/actions", b"KEY-0001", "text/plain", query)

        assert response.status_code == 400
        assert not acme.policy.pool.exists()
