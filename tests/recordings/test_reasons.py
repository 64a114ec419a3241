"""Each `differs` gives the reason for an intended difference, and its `ours` has this project's answer.

`test_recordings.py` holds the server to each `ours`.
"""

from typing import Any

import pytest

from tests.recordings.__main__ import main
from tests.recordings.compact import may_differ, read, scenarios
from tests.recordings.replay import NOT_BUILT, differences, reduce_to, steps_to_replay

pytestmark = pytest.mark.without_database


@pytest.fixture(scope="module")
def deliberate() -> dict[str, dict[str, Any]]:
    """The scenarios in which this project answers otherwise on purpose, by name."""
    return {name: read(path) for name, path in scenarios([]).items() if may_differ(path)}


def test_every_reason_comes_with_an_answer_of_ours_that_the_recorded_one_contradicts(
    deliberate: dict[str, dict[str, Any]],
) -> None:
    wrong = []
    for name, scenario in deliberate.items():
        for number, step in steps_to_replay(scenario, NOT_BUILT):
            if not step.get("differs"):
                continue
            ours = step.get("ours", {})
            if "status" not in ours or not list(differences(ours, reduce_to(ours, step["answer"]), [])):
                wrong.append(f"{name} step {number}: {step['differs']}")

    assert wrong == []


def test_only_steps_with_a_reason_have_an_answer_of_ours(deliberate: dict[str, dict[str, Any]]) -> None:
    wrong = [
        f"{name} step {number}"
        for name, scenario in deliberate.items()
        for number, step in enumerate(scenario["steps"], 1)
        if "ours" in step and not step.get("differs")
    ]

    assert wrong == []


def test_the_reasons_are_listed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr("sys.argv", ["recordings", "reasons"])

    assert main() == 0

    assert "A key that was handed out never enters a pool again\n    422: pools/" in capsys.readouterr().out
