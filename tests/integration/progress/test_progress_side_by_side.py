# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Modules that are left to themselves, and waited for together by ocne_build_wait."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.integration.progress.conftest import Stage
from tests.support.machine import CORES
from tests.support.playbook_run import PlaybookRun
from tests.support.watching import wait_until

NAMES = ["one", "two", "three"]


def _plays(stage: Stage, *names: str) -> list[dict[str, Any]]:
    """Begin to make the images, and wait for them."""
    dests = {name: stage.hold(name) for name in names}
    kinds = {"vars": {"dests": dests, "providers": dict(zip(names, ("oci", "olvm", "oci")))}}
    make = stage.task("{{ dests[item] }}", name="Begin", loop=list(names), poll=0, register="begun", **{"async": 600}, **kinds)
    make["ocne.images.ocne_boot_image"]["provider"] = "{{ providers[item] }}"
    wait = {"name": "Wait", "ocne.images.ocne_build_wait": {"jobs": "{{ begun.results }}"}, "register": "made"}
    show = {"name": "Show", "ansible.builtin.debug": {"msg": "{% for made in made.results %}{{ made.item }}={{ made.path }} {% endfor %}"}}
    return [{"hosts": "all", "gather_facts": False, "tasks": [make, wait, show]}]


def _variables(stage: Stage, where: dict[str, Any]) -> dict[str, Any]:
    return stage.variables(**where, ansible_async_dir=str(stage.folder / "jobs"))


def _waiting(run: PlaybookRun, *providers: str) -> bool:
    return all(f"boot image amd64 {provider}: waiting" in run.err for provider in providers)


@pytest.mark.parametrize("core", [CORES[0], CORES[-1]])
@pytest.mark.parametrize("far", [False, True], ids=["here", "over SSH"])
def test_the_progress_of_each_is_told_apart(stage: Stage, ssh: dict[str, Any], core: str, far: bool) -> None:
    plays, hosts = _plays(stage, *NAMES), {"it": _variables(stage, ssh if far else {})}
    with PlaybookRun(stage.folder / "home", plays, hosts, core=core) as run:
        run.wait_for(lambda: _waiting(run, "oci", "olvm"))
        stage.release()
        assert run.finish() == 0, run.out + run.err
        shown = " ".join(f"{name}={stage.images / name}" for name in NAMES)
        assert shown in run.out and re.search(r"ok=3 +changed=2", run.out), run.out
    wait_until(lambda: stage.left() == sorted(f"images/{name}{suffix}" for name in NAMES for suffix in ("", ".build.json")))
    assert not list((stage.folder / "jobs").glob("*"))


def test_a_failure_is_told_and_keeps_none_from_its_end(stage: Stage) -> None:
    plays = _plays(stage, "one", "two")
    plays[0]["tasks"][0]["vars"]["dests"]["two"] = str(stage.source)
    with PlaybookRun(stage.folder / "home", plays, {"it": _variables(stage, {})}) as run:
        run.wait_for(lambda: _waiting(run, "oci"))
        stage.release()
        assert run.finish() == 2
        assert f"boot image amd64 olvm: {stage.source} is the source itself" in run.out.replace("\\n", " ")
    assert (stage.images / "one.build.json").exists()


def test_ctrl_c_ends_them_all(stage: Stage, ssh: dict[str, Any]) -> None:
    with PlaybookRun(stage.folder / "home", _plays(stage, *NAMES), {"it": _variables(stage, ssh)}) as run:
        run.wait_for(lambda: _waiting(run, "oci", "olvm"))
        run.press_ctrl_c()
        assert run.finish() != 0
        assert "Traceback" not in run.err, run.err
    wait_until(lambda: not stage.modules())
    stage.release()
    assert stage.left() == []
    assert not list((stage.folder / "jobs").glob("*"))


def test_what_was_not_begun_cannot_be_waited_for(stage: Stage) -> None:
    wait = {"name": "Wait", "ocne.images.ocne_build_wait": {"jobs": [{"ansible_job_id": "j1"}]}}
    plays = [{"hosts": "all", "gather_facts": False, "tasks": [wait]}]
    with PlaybookRun(stage.folder / "home", plays, {"it": _variables(stage, {})}) as run:
        assert run.finish() == 2
        assert "This is no result of a module of ocne.images in a task with poll: 0" in run.out
