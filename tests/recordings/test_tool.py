"""The compact form of the recordings, the comparison, and the check of a running server."""

from pathlib import Path
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from tests.recordings.__main__ import main
from tests.recordings.compact import FOLDER, compress, expand, read, scenarios, write
from tests.recordings.replay import ReplayFailed, differences, fill, normalize, open_files, steps_to_replay

ID = "01890000-0000-7000-8000-000000000001"


@pytest.mark.without_database
class TestCompactForm:
    @pytest.mark.parametrize(
        "name", ["access/tokens-list", "licenses/create-keys", "machines/machine-create-numbers", "pools/keys-versions"]
    )
    def test_a_scenario_is_written_as_it_was_read(self, name: str, tmp_path: Path) -> None:
        path = scenarios([name])[name]

        write(tmp_path / "written.json", read(path))

        assert (tmp_path / "written.json").read_text("utf-8") == path.read_text("utf-8")

    def test_members_of_a_pattern_are_left_out_of_an_answer(self) -> None:
        short = {"body": {"data": {"$like": "products", "id": "${p}", "attributes": {"name": "Rocket"}}}}

        answer = expand(short)

        product = answer["body"]["data"]
        assert answer["status"] == 200
        assert product["attributes"]["distributionStrategy"] == "LICENSED"
        assert product["attributes"]["name"] == "Rocket"
        assert product["links"] == {"self": "/v1/accounts/${account}/products/${p}"}
        assert answer["headers"]["Keygen-Bearer"] == "${adminUser}"
        assert compress(answer) == short

    def test_members_that_differ_from_all_patterns_are_kept(self) -> None:
        answer = expand({"body": {"data": {"$like": "products", "id": "${p}"}}})
        del answer["body"]["data"]["attributes"]["code"]
        answer["body"]["data"]["attributes"]["platforms"] = {"odd": None}

        assert expand(compress(answer)) == answer

    def test_a_relationship_is_its_id(self) -> None:
        links = {"related": "/v1/accounts/${account}/licenses/${l}/users/${u}"}
        short = {"body": {"data": {"$like": "license-users", "id": "<uuid>", "relationships": {}}}}
        short["body"]["data"]["relationships"] = {"license": "${l}", "user": "${u}"}

        answer = expand(short)

        link = answer["body"]["data"]
        assert link["links"] == links
        assert link["relationships"]["user"] == {
            "links": {"related": "/v1/accounts/${account}/users/${u}"},
            "data": {"type": "users", "id": "${u}"},
        }
        assert compress(answer) == short

    def test_an_error_has_a_name_in_its_pattern(self) -> None:
        error = {"$like": "licenses attribute", "$name": "maxUses", "detail": "is odd", "code": "ODD"}
        short = {"status": 422, "body": {"errors": [error]}}

        answer = expand(short)

        assert answer["body"]["errors"] == [
            {
                "title": "Unprocessable resource",
                "detail": "is odd",
                "code": "ODD",
                "source": {"pointer": "/data/attributes/maxUses"},
                "links": {"about": "<docs>/api/licenses/#licenses-object-attrs-maxUses"},
            }
        ]
        assert compress(answer) == short

    @pytest.mark.parametrize(("folders", "megabytes"), [("[!m]*", 6), ("machines", 2.5)])
    def test_the_recordings_are_small(self, folders: str, megabytes: float) -> None:
        sizes = [path.stat().st_size for path in FOLDER.glob(f"{folders}/*.json")]

        assert 0 < sum(sizes) <= megabytes * 1_000_000


@pytest.mark.without_database
class TestComparison:
    def test_a_line_for_each_value_that_differs(self) -> None:
        expected = {"status": 200, "body": {"data": [{"id": "a"}, {"id": "b"}], "meta": 1}}
        actual = {"status": 201, "body": {"data": [{"id": "a"}, {"id": "c"}, {}], "more": True}}

        assert list(differences(expected, actual, [])) == [
            "status: want 200, got 201",
            "body.data: want 2 entries, got 3",
            'body.data.1.id: want "b", got "c"',
            "body.meta: want 1, got nothing",
            "body.more: want nothing, got true",
        ]

    @pytest.mark.parametrize(("expected", "actual"), [(1, True), (1, 1.0), (None, False), ("1", 1)])
    def test_values_of_different_types_differ(self, expected: Any, actual: Any) -> None:
        assert list(differences({"a": expected}, {"a": actual}, [])) != []

    @pytest.mark.parametrize("loose", ["body", "body.data.1", "body.*.*.id", "*"])
    def test_loose_paths_are_not_compared(self, loose: str) -> None:
        expected, actual = ({"body": {"data": [{}, {"id": value}]}} for value in "ab")

        assert list(differences(expected, actual, [loose])) == []

    def test_saved_values_become_names_and_others_kinds(self) -> None:
        value = {"id": ID, "other": ID.replace("1", "2"), "at": "2026-01-02T03:04:05.678Z", "key": f"key of {ID}"}

        assert normalize(value, {"license": ID}) == {
            "id": "${license}",
            "other": "<uuid>",
            "at": "<time>",
            "key": "key of ${license}",
        }

    def test_a_request_with_a_name_that_was_not_saved_cannot_be_sent(self) -> None:
        with pytest.raises(ReplayFailed, match="nothing was saved as policy"):
            fill({"id": "${policy}"}, {})

    def test_a_license_file_is_compared_by_its_content(self) -> None:
        # {"enc": "eyJkYXRhIjp7fX0=", "sig": "AAAA", "alg": "base64+ed25519"}
        encoded = "eyJlbmMiOiAiZXlKa1lYUmhJanA3ZlgwPSIsICJzaWciOiAiQUFBQSIsICJhbGciOiAiYmFzZTY0K2VkMjU1MTkifQ=="
        file = f"-----BEGIN LICENSE FILE-----\n{encoded}\n-----END LICENSE FILE-----\n"

        assert open_files([file]) == [
            {"file": "LICENSE FILE", "enc": {"data": {}}, "sig": "<3 bytes>", "alg": "base64+ed25519"}
        ]


@pytest.mark.without_database
class TestSteps:
    def steps(self, *requests: tuple[str, int]) -> list[int]:
        scenario = {"steps": [{"do": do, "answer": {"status": status}} for do, status in requests]}
        return [number for number, _ in steps_to_replay(scenario, ["machines", "components"])]

    def test_steps_that_request_an_unbuilt_route_are_left_out(self) -> None:
        assert self.steps(("GET /machines?limit=1", 200), ("POST /components", 422), ("GET /licenses", 200)) == [3]

    def test_a_change_by_an_unbuilt_route_ends_the_scenario(self) -> None:
        assert self.steps(("GET /me", 200), ("PUT /machines/x/owner", 200), ("GET /me", 200)) == [1]


@pytest.mark.without_database
class TestScenarios:
    def test_they_are_found_by_folder_and_by_name(self) -> None:
        assert "pools/keys-versions" in scenarios(["pools"])
        assert list(scenarios(["pools/keys-versions"])) == ["pools/keys-versions"]
        assert {name.split("/")[0] for name in scenarios([])} >= {
            "access",
            "licenses",
            "pools",
            "protocol",
            "validation",
        }

    def test_an_unknown_one_is_refused(self) -> None:
        with pytest.raises(FileNotFoundError, match="There is no scenario, file or folder pools/nothing"):
            scenarios(["pools/nothing"])


class TestCheck:
    @pytest.fixture(autouse=True)
    def open_server(self, settings: Any) -> None:
        settings.SIGN_UP = True
        settings.SIGN_UPS_PER_HOUR = 0

    def check(self, monkeypatch: pytest.MonkeyPatch, live_server: LiveServer, *arguments: str) -> int:
        monkeypatch.setattr("sys.argv", ["recordings", "check", "--base-url", live_server.url, *arguments])
        return main()

    def scenario(self, folder: Path, **answer: Any) -> str:
        body = {"data": {"type": "products", "attributes": {"name": "Rocket"}}}
        create = {"do": "POST /products", "body": body, "save": {"product": "data.id"}, "note": "new"}
        path = folder / "example.json"
        write(path, {"title": "Example", "steps": [{**create, "answer": answer}]})
        return str(path)

    def test_equal_answers_end_with_0(
        self, monkeypatch: pytest.MonkeyPatch, live_server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        product = {"$like": "products", "id": "${product}", "attributes": {"name": "Rocket"}}
        path = self.scenario(tmp_path, **expand({"status": 201, "body": {"data": product}}))

        assert self.check(monkeypatch, live_server, path) == 0
        assert (
            capsys.readouterr().out == "1 of 1 answers the same, 0 differ on purpose, 0 differ, 0 scenarios stopped\n"
        )

    def test_differences_are_printed_and_end_with_1(
        self, monkeypatch: pytest.MonkeyPatch, live_server: LiveServer, tmp_path: Path, capsys: pytest.CaptureFixture
    ) -> None:
        product = {"$like": "products", "id": "${product}", "attributes": {"name": "Capsule"}}
        path = self.scenario(tmp_path, **expand({"status": 201, "body": {"data": product}}))

        assert self.check(monkeypatch, live_server, path, "--without", "machines") == 1
        assert capsys.readouterr().out == (
            f"{tmp_path.name}/example step 1: POST /products  (new)\n"
            '    body.data.attributes.name: want "Capsule", got "Rocket"\n'
            "0 of 1 answers the same, 0 differ on purpose, 1 differ, 0 scenarios stopped, 0 steps left out\n"
        )

    def test_a_server_without_sign_up_is_reported(
        self,
        monkeypatch: pytest.MonkeyPatch,
        live_server: LiveServer,
        settings: Any,
        capsys: pytest.CaptureFixture,
    ) -> None:
        settings.SIGN_UP = False

        assert self.check(monkeypatch, live_server, "pools/keys-versions") == 1
        assert "Start the server with SIGN_UP=true and SIGN_UPS_PER_HOUR=0." in capsys.readouterr().out
