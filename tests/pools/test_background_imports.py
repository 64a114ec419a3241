"""`POST …/pool/actions/import` of a large file, and `GET …/key-imports/{id}`."""

import gzip

import pytest

from pools.models import Key, KeyEvent, KeyImport, PendingImport, PendingImportPart
from pools.services.import_processing import MAX_DIRECT_LINES
from pools.services.import_workers import run_waiting_imports
from tests.cast import add_keys, make_product, numbered
from tests.console import page, signed_in, staff
from tests.errors import NOT_FOUND, not_found
from tests.pools.background import attributes_of, run_import, send, waiting

TEXT = "\n".join(numbered(3)).encode()


def texts_of(policy):
    return list(policy.pool.available().order_by("id").values_list("key", flat=True))


class TestAccepted:
    def test_import_is_accepted_and_done_by_a_worker(self, acme, api, path):
        admin = api(acme.admin)

        response = send(admin, path, TEXT, "?background&name=PO%204711", Keygen_Reference="Order 1")

        document = response.json()["data"]
        assert response.status_code == 202
        assert response["Location"].endswith(document["links"]["self"])
        assert (document["type"], document["attributes"]["state"]) == ("key-imports", "waiting")
        assert (document["attributes"]["report"], document["attributes"]["error"]) == (None, None)
        assert document["relationships"]["policy"]["data"]["id"] == str(acme.policy.pk)
        assert texts_of(acme.policy) == []

        run_waiting_imports(wait=False)

        done, key_import, event = attributes_of(admin, response), KeyImport.objects.get(), KeyEvent.objects.get()
        assert (done["state"], done["lines"], done["report"]["added"]) == ("done", 3, 3)
        assert texts_of(acme.policy) == numbered(3)
        assert (str(key_import.pk), key_import.name, key_import.bearer_id) == (document["id"], "PO 4711", acme.admin.pk)
        assert (event.bearer_id, event.reference, event.request_id) == (
            acme.admin.pk,
            "Order 1",
            response["X-Request-Id"],
        )
        assert not PendingImportPart.objects.exists()

    @pytest.mark.parametrize(
        "body",
        [
            b"KEY-0000-0001-%06d\n" % 1 * 20_000,
            b"\n".join(b"KEY-%06d" % number for number in range(MAX_DIRECT_LINES + 1)),
            gzip.compress(b"KEY-0001-0002-0003\n" * 20_000),
        ],
        ids=["bytes", "lines", "unpacked bytes"],
    )
    def test_large_files_are_imported_in_the_background(self, acme, api, path, body):
        response = send(api(acme.admin), path, body, "?skip-invalid")

        assert response.status_code == 202
        assert not Key.objects.exists()
        run_waiting_imports(wait=False)
        assert attributes_of(api(acme.admin), response)["state"] == "done"

    def test_policy_without_a_pool_is_refused(self, acme, api):
        response = send(api(acme.admin), f"policies/{acme.unpooled.pk}/pool/actions", TEXT)

        assert response.status_code == 422
        assert not PendingImport.objects.exists()

    def test_options_are_those_of_the_request(self, acme, api, path):
        body = "Schlüssel;Größe;status\n KEY-0001;Öl;sold\nKEY-0002;Äh;\n".encode("windows-1252")
        query = "column=1&delimiter=semicolon&header&trim&used=2026-01-31T12:00:00Z&accept-warnings&skip-invalid"

        done = run_import(api(acme.admin), path, body, query, content_type="text/csv; charset=windows-1252")

        assert (done["error"], done["report"]["used"], done["report"]["trimmed"]) == (None, 2, 1)
        assert {key.popped.isoformat() for key in Key.objects.all()} == {"2026-01-31T12:00:00+00:00"}


BODIES = [
    (TEXT, ""),
    (TEXT, "dry-run"),
    (b"KEY-0001\nshort\n", ""),
    (b"KEY-0001\nshort\n", "dry-run"),
    (b"KEY-0001\nshort\n", "skip-invalid"),
    (b"", ""),
    (b"%PDF-1.7\n", ""),
    (b"Product,Note\nGame,AAAA-0001\nGame,AAAA-0002\n", ""),
    ("\n".join([*(f"ABCD-EFGH-{number:04}" for number in range(30)), "Total: 30", ""]).encode(), ""),
    (b"OLD-KEY-0001\n", ""),
    (b"KEY-0001\nOLD-KEY-0001\n", "skip-invalid"),
]


@pytest.mark.parametrize(("body", "query"), BODIES)
def test_report_and_error_are_those_of_an_import_within_its_request(acme, api, path, body, query):
    add_keys(acme.policy, "OLD-KEY-0001")
    admin = api(acme.admin)

    done = run_import(admin, path, body, query)
    found = texts_of(acme.policy)
    Key.objects.exclude(key="OLD-KEY-0001").delete()
    direct = send(admin, path, body, f"?{query}")

    document = direct.json()
    meta = document.get("meta", {})
    meta.pop("id", None)
    if direct.status_code == 200:
        assert (done["state"], done["error"]) == ("done", None)
        assert done["report"] | {"import": None} == meta | {"import": None}
    else:
        (error,) = document["errors"]
        assert (done["state"], done["report"] or {}) == ("failed", meta)
        assert done["error"] == {"status": str(direct.status_code), **error}
    assert found == texts_of(acme.policy)


class TestIdempotency:
    def test_repeated_request_gets_the_same_import(self, acme, api, path):
        admin = api(acme.admin)

        first, second = (send(admin, path, TEXT, Idempotency_Key="po-4711") for _ in range(2))
        run_waiting_imports(wait=False)
        third = send(admin, path, TEXT, Idempotency_Key="po-4711")

        assert [response.status_code for response in (first, second, third)] == [202] * 3
        assert first["Location"] == second["Location"] == third["Location"]
        assert first.json() == third.json()
        assert third["Idempotency-Replayed"] == "true"
        assert PendingImport.objects.count() == KeyImport.objects.count() == 1
        assert texts_of(acme.policy) == numbered(3)

    def test_another_file_under_the_same_key_is_refused(self, acme, api, path):
        admin = api(acme.admin)
        send(admin, path, TEXT, Idempotency_Key="po-4711")

        response = send(admin, path, b"KEY-0009\n", Idempotency_Key="po-4711")

        assert [error["code"] for error in response.json()["errors"]] == ["IDEMPOTENCY_KEY_REUSED"]
        assert PendingImport.objects.count() == 1

    def test_file_of_a_refused_request_is_not_kept(self, acme, api, path, monkeypatch):
        def fail(*arguments):
            raise RuntimeError("the database is gone")

        monkeypatch.setattr("pools.api.transfers.run_api_import", fail)

        with pytest.raises(RuntimeError):
            send(api(acme.admin), path, TEXT, Idempotency_Key="po-4711")

        assert not PendingImport.objects.exists()


class TestVisibility:
    ALLOWED = {"admin": 200, "developer": 200}
    REFUSED = {"product": 404, "sales-agent": 403, "support-agent": 403, "read-only": 403, "license": 404, "user": 404}

    @pytest.mark.parametrize("part", ["", "/rejections"])
    def test_import_is_seen_by_staff_who_may_import(self, acme, api, path, part):
        pending = waiting(api(acme.admin), path)

        found = {
            role: api(acme.bearer(role)).get(f"key-imports/{pending.pk}{part}").status_code
            for role in (*self.ALLOWED, *self.REFUSED)
        }

        expected = self.ALLOWED if not part else dict.fromkeys(self.ALLOWED, 404)  # no line is rejected
        assert found == expected | self.REFUSED

    def test_import_of_a_product_is_seen_by_the_product_and_by_staff(self, acme, api, path):
        pending = waiting(api(acme.product), path)

        found = [api(bearer).get(f"key-imports/{pending.pk}").status_code for bearer in (acme.product, acme.admin)]

        assert found == [200, 200]

    def test_import_of_others_is_not_found(self, acme, rival, api, path):
        pending = waiting(api(acme.admin), path)
        strangers = [api(make_product(acme.account, "Other")), api(rival.admin, "rival")]

        for stranger in strangers:
            response = stranger.get(f"key-imports/{pending.pk}")
            assert (response.status_code, response.json()["errors"]) == (
                NOT_FOUND,
                [not_found("import", pending.pk)],
            )

    def test_imports_of_the_console_and_of_the_api_are_apart(self, acme, api, path):
        client = signed_in(staff(acme))
        client.post(page("pools_pendingimport_import", acme.policy.pk), {"keys": "KEY-0001"})
        uploaded = PendingImport.objects.get()
        pending = waiting(api(acme.admin), path)

        assert client.get(page("pools_pendingimport_change", uploaded.pk)).status_code == 200
        assert client.get(page("pools_pendingimport_change", pending.pk)).status_code == 404
        assert api(acme.admin).get(f"key-imports/{pending.pk}").status_code == 200
        assert api(acme.admin).get(f"key-imports/{uploaded.pk}").status_code == 404

    def test_rejected_lines_are_for_the_bearer_of_the_import(self, acme, api, path):
        admin, other = api(acme.admin), api(acme.bearer("developer"))
        pending = waiting(admin, path, b"KEY-0001\nshort\n", "?background&skip-invalid")
        run_waiting_imports(wait=False)

        response = admin.get(f"key-imports/{pending.pk}/rejections")

        assert b"".join(response.streaming_content).decode().splitlines() == [
            "line,code,reason,text",
            "2,too_short,The key is too short (minimum is 8 characters),short",
        ]
        assert other.get(f"key-imports/{pending.pk}/rejections").status_code == 404
