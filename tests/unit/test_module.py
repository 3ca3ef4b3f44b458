# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible.module_utils import basic
from ansible_collections.ocne.images.plugins.module_utils import _module
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._module import Plan


class Step:
    """A step that does what the test says."""

    applied = 0

    def __init__(self, actions: tuple[str, ...] = ("make it",), outcome: Any = None) -> None:
        self.actions = actions
        self.outcome = outcome

    def plan(self) -> Plan:
        return Plan(self.actions, {"state": "old"}, {"state": "new"}, {"path": "/planned"})

    def apply(self, plan: Plan) -> Mapping[str, Any]:
        self.applied += 1
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        if callable(self.outcome):
            self.outcome()
        return self.outcome if isinstance(self.outcome, dict) else {"path": "/made"}


def run(step: Step, capsys: pytest.CaptureFixture[str], check: bool = False) -> dict[str, Any]:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": {"_ansible_check_mode": check}}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    try:
        with pytest.raises(SystemExit):
            _module.run(lambda params, progress: step, {})
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def test_a_plan_with_actions_is_applied(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step()
    result = run(step, capsys)
    assert step.applied == 1
    assert (result["changed"], result["path"], result["actions"]) == (True, "/made", ["make it"])
    assert result["diff"] == {"before": {"state": "old"}, "after": {"state": "new"}}


def test_check_mode_stops_before_the_first_action_and_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step()
    checked, done = run(step, capsys, check=True), run(Step(), capsys)
    assert step.applied == 0
    assert (checked["changed"], checked["path"]) == (True, "/planned")
    assert (checked["diff"], checked["actions"]) == (done["diff"], done["actions"])


def test_a_plan_without_actions_is_nothing_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    step = Step(actions=())
    result = run(step, capsys)
    assert step.applied == 0 and not result["changed"] and result["path"] == "/planned"


@pytest.mark.parametrize("check", [False, True])
def test_what_a_killed_run_left_is_removed_where_nothing_is_to_be_done(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, check: bool
) -> None:
    left = [tmp_path / ".image.lock", tmp_path / ".image.part"]
    for path in left:
        path.touch()
    step = Step()
    step.plan = lambda: Plan((), {}, {}, artefact=tmp_path / "image")  # type: ignore[method-assign]
    assert not run(step, capsys, check)["changed"]
    assert [path.exists() for path in left] == [check, check]


def test_what_another_run_did_meanwhile_is_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    assert not run(Step(outcome={"changed": False}), capsys)["changed"]


def test_changes_that_only_the_work_shows_are_in_the_diff(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Step(outcome={"changes": {"a": 1}}), capsys)["diff"]["after"] == {"state": "new", "changes": {"a": 1}}


def test_errors_become_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    result = run(Step(outcome=OcneError("It failed.", "Do this.", request_id="r1")), capsys)
    assert result["failed"] and result["msg"] == "It failed. Do this." and result["request_id"] == "r1"
    result = run(Step(outcome=PermissionError(13, "Permission denied", "/etc/shadow")), capsys)
    assert result["msg"] == "The system refused an operation on /etc/shadow: Permission denied."
    result = run(Step(outcome=OSError(28, "No space left on device")), capsys)
    assert result["msg"] == "The system refused an operation on a file: No space left on device."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_step(capsys: pytest.CaptureFixture[str], number: signal.Signals) -> None:
    result = run(Step(outcome=lambda: os.kill(os.getpid(), number)), capsys)
    assert result["failed"] and number.name in result["msg"]


@pytest.mark.parametrize(("outcome", "method", "changed"), [(OcneError("no room"), "fail_json", None), (None, "exit_json", True)])
def test_a_signal_while_it_reports_changes_nothing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, outcome: Any, method: str, changed: Optional[bool]
) -> None:
    report = getattr(basic.AnsibleModule, method)

    def interrupted(module: basic.AnsibleModule, **facts: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        report(module, **facts)

    monkeypatch.setattr(basic.AnsibleModule, method, interrupted)
    result = run(Step(outcome=outcome), capsys)
    assert result.get("changed") is changed or result["msg"] == "no room"
