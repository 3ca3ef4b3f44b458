# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plays that are ended from outside: their modules end with them, here and over SSH, and leave nothing."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable

from tests.integration.progress.conftest import BY_SU, LOCAL, Stage
from tests.support.machine import CORES
from tests.support.oci_endpoint import Endpoint
from tests.support.oci_endpoint.faults import Fault
from tests.support.oci_import import BUCKET, make_disk
from tests.support.playbook_run import PlaybookRun
from tests.support.watching import open_files, processes, wait_until

#: ansible-core, what is done to its play, and whether it waits for its modules: it does when it is interrupted.
WAYS: list[tuple[str, Callable[[PlaybookRun], None], bool]] = [
    (CORES[0], PlaybookRun.press_ctrl_c, True),
    (CORES[-1], PlaybookRun.press_ctrl_c, True),
    (CORES[0], lambda run: run.process.terminate(), False),
    (CORES[-1], lambda run: run.process.terminate(), False),
    (CORES[-1], lambda run: run.process.kill(), False),
]


def test_modules_end_and_leave_nothing(stage: Stage, ssh: dict[str, Any]) -> None:
    hosts = {
        "local": stage.variables(),
        "plain": stage.variables(**ssh),
        "pipelined": stage.variables(**ssh, ansible_pipelining=True),
        "become": stage.variables(**ssh, **BY_SU, ansible_python_interpreter="/usr/bin/python3"),
    }
    with ExitStack() as stack:
        runs = []
        for number, (core, end, waits) in enumerate(WAYS):
            dest = stage.hold(str(number))
            plays = [{"hosts": "all", "gather_facts": False, "tasks": [stage.task(dest)]}]
            runs.append((stack.enter_context(PlaybookRun(stage.folder / f"home{number}", plays, hosts, core=core)), dest, end, waits))
        for run, dest, end, waits in runs:
            run.wait_for(lambda run=run: all(f"[{host}] boot image amd64: waiting" in run.err for host in hosts))
            end(run)
            assert run.finish() != 0
            if waits:
                assert not _making(dest), "it did not wait for them"
            assert "Traceback" not in run.err, run.err
        wait_until(lambda: not stage.modules())
        wait_until(lambda: not [name for name in stage.left() if name.startswith("tmp/")])
    stage.release()
    assert stage.left() == []


def _making(dest: str) -> list[int]:
    """Processes that have the image's lock open."""
    lock = str(Path(dest).with_name(f".{Path(dest).name}.lock"))
    return [each.pid for each in processes() if lock in open_files(each.pid)]


def test_an_upload_is_shown_in_check_mode_and_in_earnest_and_removed_by_ctrl_c(tmp_path: Path) -> None:
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        options = {
            "src": str(make_disk(tmp_path / "disk.qcow2", 50)),
            "compartment": "team/images",
            "architecture": "amd64",
            "display_name": "ock",
            "config_file_location": str(cloud.config_file),
            "endpoints": dict.fromkeys(("compute", "identity", "object_storage", "work_requests"), cloud.url),
        }
        plays = [{"hosts": "all", "gather_facts": False, "tasks": [{"name": "Import", "ocne.images.ocne_oci_import": options}]}]
        hosts = {"localhost": {**LOCAL, "ansible_python_interpreter": sys.executable}}
        cloud.faults.add(Fault("delay", "GET", "/compartments", seconds=8))
        with PlaybookRun(tmp_path / "home", plays, hosts, "--check") as check:
            assert check.finish() == 0, check.err
            assert "changed=1 " in check.out
            assert "OCI image ock amd64: looking at what is in the cloud" in check.err
        cloud.faults.clear()
        cloud.faults.add(Fault("delay", "PUT", "uploadPartNum", times=None, seconds=8))
        with PlaybookRun(tmp_path / "home", plays, hosts) as run:
            run.wait_for(lambda: "OCI image ock amd64: uploading" in run.err and cloud.uploads(BUCKET))
            assert " of 50 MiB" in run.err
            run.press_ctrl_c()
            assert run.finish() != 0
        assert cloud.uploads(BUCKET) == []
        assert not list((tmp_path / "home/.ocne/uploads").glob("*"))
