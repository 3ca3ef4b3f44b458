# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress in plays of all kinds. Their modules wait for a lock that the test holds until everything has been said."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.integration.progress.conftest import BY_SU, Stage
from tests.support.machine import CORES
from tests.support.playbook_run import PlaybookRun
from tests.support.watching import wait_until


def _lines(run: PlaybookRun, host: str) -> list[str]:
    """What was said of a host, without its name."""
    return [line.partition("] ")[2] for line in run.err.splitlines() if re.match(rf"\[{re.escape(host)}[] ]", line)]


def _waits(run: PlaybookRun, host: str) -> bool:
    return any("waiting for process" in line for line in _lines(run, host))


def _default(run: PlaybookRun, folder: Path) -> set[str]:
    """Hosts that have changed, as the callbacks default, junit and tree tell."""
    recap = dict(re.findall(r"^(\w+) +: ok=1 +changed=(\d)", run.out, re.MULTILINE))
    (report,) = (folder / "junit").iterdir()
    cases = {str(case.get("name")) for case in ElementTree.parse(report).iter("testcase")}
    trees = {path.name for path in (folder / "tree").iterdir() if json.loads(path.read_text())["changed"]}
    assert len(cases) == len(trees) == 2
    assert "waiting" not in run.out
    return trees & {host for host, changed in recap.items() if changed == "1"}


def _minimal(run: PlaybookRun, _folder: Path) -> set[str]:
    results = re.findall(r"^(\w+) \| CHANGED => (\{.*?^\})", run.out, re.MULTILINE | re.DOTALL)
    assert re.sub(r"^(\w+) \| CHANGED => (\{.*?^\})", "", run.out, flags=re.MULTILINE | re.DOTALL).strip() == ""
    return {host for host, result in results if json.loads(result)["changed"]}


def _oneline(run: PlaybookRun, _folder: Path) -> set[str]:
    results = [re.fullmatch(r"(\w+) \| CHANGED => (\{.*\})", line) for line in run.out.splitlines() if line]
    return {match[1] for match in results if match and json.loads(match[2])["changed"]} if all(results) else set()


def test_with_every_ansible_core_strategy_and_callback_targets_are_told_apart(stage: Stage) -> None:
    ways: list[tuple[str, str, str, Callable[[PlaybookRun, Path], set[str]]]] = [
        (CORES[0], "linear", "oneline", _oneline),
        (CORES[1], "free", "minimal", _minimal),
        (CORES[2], "host_pinned", "default", _default),
    ]
    with ExitStack() as stack:
        runs = []
        for core, strategy, callback, read in ways:
            folder = stage.folder / core
            hosts = {
                f"{architecture}host": stage.variables(architecture=architecture, dest=stage.hold(f"{core}-{architecture}"))
                for architecture in ("amd64", "arm64")
            }
            plays = [{"hosts": "all", "gather_facts": False, "strategy": strategy, "tasks": [stage.task("{{ dest }}")]}]
            environment = {
                "ANSIBLE_STDOUT_CALLBACK": callback,
                "ANSIBLE_CALLBACKS_ENABLED": "junit,tree" if callback == "default" else "",
                "ANSIBLE_CALLBACK_TREE_DIR": str(folder / "tree"),
                "JUNIT_OUTPUT_DIR": str(folder / "junit"),
            }
            runs.append((stack.enter_context(PlaybookRun(folder, plays, hosts, core=core, **environment)), read, folder))
        for run, _read, _folder in runs:
            run.wait_for(lambda run=run: _waits(run, "amd64host") and _waits(run, "arm64host"))
        stage.release()
        for run, read, folder in runs:
            assert run.finish() == 0, run.out + run.err
            assert read(run, folder) == {"amd64host", "arm64host"}, run.out
            for architecture in ("amd64", "arm64"):
                assert all(line.startswith(f"boot image {architecture}: ") for line in _lines(run, f"{architecture}host"))
    assert [name for name in stage.left() if name.startswith("tmp/")] == []


KINDS: dict[str, dict[str, Any]] = {
    "loop": {"loop": ["one", "two"]},
    "delegate": {"delegate_to": "elsewhere"},
    "async": {"async": 600, "poll": 1},
    "secret": {"no_log": True},
    "quiet": {"vars": {"ocne_images_progress": False}},
    "plain": {},
    "pipelined": {},
    "become": {},
}


def test_in_tasks_of_all_kinds_here_and_over_ssh(stage: Stage, ssh: dict[str, Any]) -> None:
    hosts = {
        **{name: stage.variables() for name in ("loop", "secret", "quiet", "elsewhere")},
        # ansible-core 2.19 looks for jobs in another home than HOME, where it has put them.
        "async": stage.variables(ansible_async_dir=str(stage.folder / "jobs")),
        "delegate": stage.variables(ansible_connection="ssh", ansible_host="192.0.2.1"),  # where nothing is
        "plain": stage.variables(**ssh),
        "pipelined": stage.variables(**ssh, ansible_pipelining=True),
        "become": stage.variables(**ssh, **BY_SU, ansible_python_interpreter="/usr/bin/python3"),
    }
    tasks = []
    for name, keywords in KINDS.items():
        dests = {item: stage.hold(f"{name}-{item}") for item in keywords.get("loop", ["one"])}
        dest = "{{ dests[item] }}" if "loop" in keywords else dests["one"]
        variables = {"dests": dests, **keywords.get("vars", {})}
        tasks.append(stage.task(dest, name=name, when=f"inventory_hostname == '{name}'", **{**keywords, "vars": variables}))
    plays = [{"hosts": ":".join(KINDS), "gather_facts": False, "strategy": "free", "tasks": tasks}]
    with PlaybookRun(stage.folder / "home", plays, hosts, "--forks=10") as run:
        speaking = ("loop", "delegate -> elsewhere", "plain", "pipelined", "become")
        run.wait_for(lambda: all(_waits(run, host) for host in speaking))
        stage.release()
        assert run.finish() == 0, run.out + run.err
        changed = dict(re.findall(r"^(\w+) +: ok=1 +changed=(\d)", run.out, re.MULTILINE))
        assert changed == dict.fromkeys(KINDS, "1"), run.out
        assert _lines(run, "quiet") == _lines(run, "async") == []
        assert set(_lines(run, "secret")) <= {"boot image: running, 20 s"}
    # ansible-core's async wrapper removes its folder after it has said that the job has ended
    wait_until(lambda: not [name for name in stage.left() if name.startswith("tmp/")])


def test_a_module_that_is_killed_leaves_no_file(stage: Stage) -> None:
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [stage.task(stage.hold("one"), name="Make")]}]
    with PlaybookRun(stage.folder / "home", plays, {"it": stage.variables()}) as run:
        run.wait_for(lambda: "waiting for process" in run.err)
        assert "[it]" not in run.err, "one host need not be told from others"
        (state,) = stage.tmp.glob("ocne-images-*")
        os.kill(json.loads(state.read_text().splitlines()[0])["pid"], signal.SIGKILL)
        assert run.finish() == 2
    assert [name for name in stage.left() if name.startswith("tmp/")] == []
