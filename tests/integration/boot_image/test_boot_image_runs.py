# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs that meet each other, are broken off, or find no room: the artefact is whole or absent, and nothing is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.boot_image.conftest import Converter
from tests.support import module_call
from tests.support.command import run
from tests.support.sample_disk import SMALL, boot_disk
from tests.support.watching import PATIENCE, wait_until

WHOLE = ["boot.oci", "boot.oci.build.json"]


def start(convert: Converter, **options: object) -> subprocess.Popen[str]:
    return module_call.start("ocne_boot_image", {**convert.params, "source": str(boot_disk(SMALL)), **options})


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem with 8 MiB of room."""
    folder = tmp_path / "small"
    folder.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", folder)
    yield folder
    run("umount", folder)


def test_check_mode_writes_nothing_and_predicts_exactly(convert: Converter) -> None:
    predicted = convert(boot_disk(SMALL), check=True)
    assert predicted["changed"] and not convert.dest.parent.exists() and not convert.cache.exists()
    made = convert(boot_disk(SMALL))
    assert predicted["actions"] == made["actions"]
    assert predicted["diff"] == made["diff"]
    assert not convert(boot_disk(SMALL), check=True)["changed"]


def test_what_was_changed_by_others_is_made_anew(convert: Converter) -> None:
    sha256 = convert(boot_disk(SMALL))["sha256"]
    os.utime(convert.dest)
    assert not convert(boot_disk(SMALL))["changed"], "only its time differs"
    with convert.dest.open("r+b") as file:
        file.seek(100_000)
        file.write(b"another's")
    assert convert(boot_disk(SMALL))["sha256"] == sha256
    assert convert(boot_disk(SMALL), kernel_arguments=["quiet"])["changed"]
    (convert.dest.parent / WHOLE[1]).write_text("{")
    assert convert(boot_disk(SMALL))["changed"]
    assert convert.left() == WHOLE


def test_runs_at_once_make_it_once(convert: Converter) -> None:
    runs = [start(convert) for _turn in range(4)]
    results = [json.loads(process.communicate(timeout=120)[0]) for process in runs]
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert len({result["sha256"] for result in results}) == 1
    assert convert.left() == WHOLE


def test_a_run_that_is_not_to_wait_says_who_is_at_work(convert: Converter) -> None:
    convert.dest.parent.mkdir()
    holder = subprocess.Popen(["flock", convert.dest.parent / ".boot.oci.lock", "-c", "echo held; read _"], stdin=-1, stdout=-1)
    assert holder.stdin and holder.stdout
    holder.stdout.readline()
    assert "is making" in convert.message(boot_disk(SMALL), lock_timeout=0)
    holder.communicate(b"\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_ended_leaves_nothing(convert: Converter, number: signal.Signals) -> None:
    process = start(convert, force=True)
    wait_until((convert.dest.parent / ".boot.oci.part").exists, process)
    process.send_signal(number)
    result = json.loads(process.communicate(timeout=PATIENCE)[0])
    if result.get("failed"):  # else it was quicker than the signal
        assert number.name in result["msg"]
        assert convert.left() == []


def test_what_a_killed_run_leaves_the_next_one_removes(convert: Converter) -> None:
    process = start(convert)
    wait_until((convert.dest.parent / ".boot.oci.part").exists, process)
    process.kill()
    process.communicate()
    assert WHOLE[0] not in convert.left()
    assert convert(boot_disk(SMALL))["changed"]
    assert convert.left() == WHOLE


def test_a_full_disk_is_said_and_left_as_it_was(convert: Converter, small_disk: Path) -> None:
    message = convert.message(boot_disk(SMALL), dest=str(small_disk / "boot.oci"))
    assert "No space is left" in message
    assert list(small_disk.iterdir()) == []


def test_a_destination_that_cannot_be_written(convert: Converter, small_disk: Path, tmp_path: Path) -> None:
    run("mount", "-o", "remount,ro", small_disk)
    for check in (True, False):
        assert "is not writable" in convert.message(boot_disk(SMALL), check=check, dest=str(small_disk / "boot.oci"))
    file = tmp_path / "file"
    file.touch()
    assert "is no folder" in convert.message(boot_disk(SMALL), dest=str(file / "boot.oci"))


def test_a_folder_gets_the_usual_name(convert: Converter, tmp_path: Path) -> None:
    result = convert(boot_disk(SMALL), dest=f"{tmp_path}/", kubernetes_version="1.32")
    assert result["path"] == f"{tmp_path}/boot.qcow2-1.32-amd64.oci"
    assert Path(result["path"]).stat().st_mode & 0o777 == 0o600
