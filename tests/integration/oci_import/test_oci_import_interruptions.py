# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kills, signals, lost connections and other runs: what is taken up again, what is removed, what is left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils import _files, _record

from tests.support import module_call
from tests.support.oci_endpoint import Fault
from tests.support.oci_http import Client
from tests.support.oci_import import BUCKET, Importer
from tests.support.watching import PATIENCE, wait_until

PART = "uploadPartNum"


def _slow_parts_after(importer: Importer, count: int) -> None:
    """Later parts take longer than any test."""
    importer.endpoint.faults.add(Fault("delay", "PUT", PART, times=None, skip=count, seconds=60))


def _kill_in_mid_upload(importer: Importer, number: int = signal.SIGKILL, **changes: Any) -> subprocess.Popen[str]:
    """A run that is ended when two parts have been stored."""
    _slow_parts_after(importer, 2)
    process = importer.start(**changes)
    wait_until(lambda: len(importer.puts()) == 2, process)
    process.send_signal(number)
    process.wait(timeout=50)
    importer.endpoint.faults.clear()
    return process


def test_killed_upload_sends_only_the_missing_parts(importer: Importer, disk: Path) -> None:
    _kill_in_mid_upload(importer)
    stored = importer.puts()
    assert len(importer.endpoint.uploads(BUCKET)) == 1
    assert len(importer.journals()) == 1 or importer.journals()

    result = importer()

    parts = max(importer.puts())
    assert parts >= 4
    assert importer.puts() == list(range(1, parts + 1)), "no part was sent twice"
    missing = [entry for entry in importer.endpoint.requests("PUT", PART) if entry.status == 200][len(stored) :]
    assert result["uploaded_bytes"] == sum(entry.received for entry in missing)
    assert len(importer.endpoint.requests("POST", "/u$")) == 1, "no second upload was begun"
    assert importer.endpoint.images.by_id[result["image"]["id"]].disk.read_bytes() == disk.read_bytes()
    assert importer.objects() == []
    assert not importer.journals()


def test_upload_goes_on_in_another_container_that_shares_the_journals(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = tmp_path / "shared"
    _kill_in_mid_upload(importer, journal_dir=str(shared))
    assert list(shared.glob("*.jsonl")) and not importer.journals()
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    assert importer(journal_dir=str(shared))["uploaded_bytes"]
    assert importer.puts() == list(range(1, max(importer.puts()) + 1)), "no part was sent twice"
    assert not list(shared.iterdir())


def test_an_image_that_is_being_imported_is_not_pruned(importer: Importer, tmp_path: Path) -> None:
    old, new = (Path(shutil.copy(importer.params["src"], tmp_path / name)) for name in ("old", "new"))
    for made_at, path in ((1, old), (2, new)):
        os.utime(path, (made_at, made_at))
        _record.write(path, _record.Record("sha256:a", {}, _record.describe(path, _files.file_sha256(path)), {}))
    _slow_parts_after(importer, 1)
    process = importer.start(src=str(old))
    wait_until(importer.puts, process)
    pruned = module_call.call("ocne_image_prune", {"path": str(tmp_path), "keep": 1})
    assert pruned["in_use"] == [str(old)] and not pruned["changed"] and old.exists()
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=50)
    pruned = module_call.call("ocne_image_prune", {"path": str(tmp_path), "keep": 1})
    assert pruned["removed"] == [str(old)] and not old.exists() and new.exists()


def test_journal_can_be_read_by_its_owner_only(importer: Importer) -> None:
    _kill_in_mid_upload(importer)
    journal = next(path for path in importer.journals() if path.suffix == ".jsonl")
    assert journal.stat().st_mode & 0o777 == 0o600
    assert journal.parent.stat().st_mode & 0o777 == 0o700


def test_changed_source_aborts_the_old_upload_and_starts_afresh(importer: Importer, other_disk: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(importer.params["src"], tmp_path / "boot.qcow2"))
    _kill_in_mid_upload(importer, src=str(source))
    old = importer.endpoint.uploads(BUCKET)[0].id
    shutil.copy(other_disk, source)

    result = importer(src=str(source))

    assert [entry.status for entry in importer.endpoint.requests("DELETE", old)] == [204]
    assert importer.endpoint.uploads(BUCKET) == []
    assert importer.endpoint.images.by_id[result["image"]["id"]].disk.read_bytes() == other_disk.read_bytes()


def test_changed_source_of_the_same_size_and_time_starts_afresh(importer: Importer, other_disk: Path, tmp_path: Path) -> None:
    source = Path(shutil.copy(importer.params["src"], tmp_path / "boot.qcow2"))
    before = source.stat()
    _kill_in_mid_upload(importer, src=str(source))
    assert other_disk.stat().st_size == before.st_size
    shutil.copy(other_disk, source)
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))

    result = importer(src=str(source))

    assert importer.endpoint.images.by_id[result["image"]["id"]].disk.read_bytes() == other_disk.read_bytes()


def test_part_that_the_service_has_otherwise_is_sent_again(importer: Importer, disk: Path) -> None:
    _kill_in_mid_upload(importer)
    upload = importer.endpoint.uploads(BUCKET)[0]
    number, (_part, segment) = sorted(upload.parts.items())[0]
    size = next(entry.received for entry in importer.endpoint.requests("PUT", f"{PART}={number}$"))
    target = f"/n/{importer.endpoint.settings.namespace}/b/{BUCKET}/u/{upload.object_name}?uploadId={upload.id}&uploadPartNum={number}"
    assert Client(importer.endpoint)("PUT", target, bytes(size), raw=True).status == 200, "another content of the same size"

    result = importer()

    assert importer.puts().count(number) == 3
    assert importer.endpoint.images.by_id[result["image"]["id"]].disk.read_bytes() == disk.read_bytes()
    assert segment


def test_upload_that_the_service_has_forgotten_starts_afresh(importer: Importer) -> None:
    _kill_in_mid_upload(importer)
    importer.endpoint.buckets.by_name[BUCKET].uploads.clear()
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"
    assert not importer.journals()


def test_journal_that_was_cut_short_is_taken_up(importer: Importer) -> None:
    _kill_in_mid_upload(importer)
    journal = next(path for path in importer.journals() if path.suffix == ".jsonl")
    journal.write_bytes(journal.read_bytes()[:-20])
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"
    assert len(importer.endpoint.requests("POST", "/u$")) == 1


def test_what_a_killed_run_left_is_removed_when_the_image_is_there(
    importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _kill_in_mid_upload(importer)
    monkeypatch.setenv("HOME", str(tmp_path / "another"))
    importer(object_name="another")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert importer.endpoint.uploads(BUCKET)

    foretold = importer(check=True)
    assert foretold["actions"] == [f"remove what an interrupted run left of object ocne_boot.qcow2 in bucket {BUCKET}"]
    assert importer()["changed"]
    assert importer.endpoint.uploads(BUCKET) == []
    assert not importer()["changed"]


def test_absent_removes_what_a_killed_run_left(importer: Importer) -> None:
    _kill_in_mid_upload(importer)
    removed = importer(state="absent")
    assert removed["changed"]
    assert importer.endpoint.uploads(BUCKET) == []
    assert not importer(state="absent")["changed"]


def test_absent_leaves_a_run_alone_that_uploads(importer: Importer) -> None:
    _slow_parts_after(importer, 2)
    process = importer.start()
    wait_until(lambda: len(importer.puts()) == 2, process)
    assert "is in the hand of another run" in importer.message(state="absent", wait_timeout=1)
    assert importer.endpoint.uploads(BUCKET)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=50)
    assert importer.nothing_is_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_in_mid_upload_leaves_nothing(importer: Importer, number: int) -> None:
    began = time.monotonic()
    process = _kill_in_mid_upload(importer, number)
    assert time.monotonic() - began < 30, "it did not wait for the parts that were under way"
    assert process.stdout is not None
    result = json.loads(process.stdout.read())
    assert result["failed"]
    assert f"Ended by {signal.Signals(number).name}" in result["msg"]
    assert importer.nothing_is_left()
    assert importer()["image"]["lifecycle_state"] == "AVAILABLE"


def test_signal_in_mid_import_leaves_nothing(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 30
    process = importer.start()
    wait_until(importer.images, process)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=50)
    assert importer.nothing_is_left()


@pytest.mark.parametrize(
    ("target", "changes"),
    [("/u$", {}), ("/p$|/p/$", {"import_through": "preauthenticated_request"}), ("/images$", {}), ("/u/.*uploadId", {})],
    ids=["upload", "pre-authenticated request", "image", "object"],
)
def test_signal_while_something_is_being_made_leaves_nothing(importer: Importer, target: str, changes: dict[str, Any]) -> None:
    importer.endpoint.settings.import_seconds = 30
    importer.endpoint.faults.add(Fault("delay", "POST", target, seconds=2))
    process = importer.start(**changes)
    wait_until(lambda: importer.endpoint.requests("POST", target), process)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=50) == 1
    assert importer.nothing_is_left()


def test_killed_import_is_waited_for_by_the_next_run(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 4
    process = importer.start()
    wait_until(importer.images, process)
    process.kill()
    process.wait()
    begun = importer.images()[0]["id"]

    foretold = importer(check=True)
    assert f"wait for the import of image {begun}" in foretold["actions"]
    result = importer()
    assert result["image"]["id"] == begun
    assert result["image"]["lifecycle_state"] == "AVAILABLE"
    assert result["uploaded_bytes"] == 0
    assert importer.objects() == []
    assert importer.endpoint.capability_schemas.by_id
    assert not importer()["changed"]


def test_two_runs_on_one_host_make_one_image(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 1
    runs = [importer.start(), importer.start()]
    results = [json.loads(run.communicate(timeout=PATIENCE)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], results
    assert results[0]["image"]["id"] == results[1]["image"]["id"]
    assert sorted(result["changed"] for result in results) == [False, True]
    assert len(importer.images()) == 1
    assert importer.objects() == []
    assert not importer.journals()


def test_run_does_not_wait_for_another_for_ever(importer: Importer) -> None:
    importer.endpoint.settings.import_seconds = 60
    first = importer.start()
    wait_until(importer.images, first)
    message = importer.message(wait_timeout=1)
    assert f"The object ocne_boot.qcow2 in bucket {BUCKET} is in the hand of another run." in message
    assert str(first.pid) in message
    first.send_signal(signal.SIGINT)
    first.wait(timeout=50)


def test_two_runs_on_two_hosts_make_one_image(importer: Importer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importer.endpoint.settings.import_seconds = 2
    runs = []
    for host in ("one", "two"):
        monkeypatch.setenv("HOME", str(tmp_path / host))
        runs.append(importer.start())
    results = [json.loads(run.communicate(timeout=PATIENCE)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], results
    assert results[0]["image"]["id"] == results[1]["image"]["id"]
    assert len(importer.images()) == 1
    assert importer.objects() == []
    assert importer.endpoint.uploads(BUCKET) == []


def test_two_runs_with_the_same_object_and_other_content_wait_for_each_other(
    importer: Importer, other_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    importer.endpoint.settings.import_seconds = 3
    monkeypatch.setenv("HOME", str(tmp_path / "one"))
    first = importer.start(object_name="ock.oci")
    wait_until(importer.images, first)
    monkeypatch.setenv("HOME", str(tmp_path / "two"))
    second = importer.start(object_name="ock.oci", src=str(other_disk))
    results = [json.loads(run.communicate(timeout=PATIENCE)[0]) for run in (first, second)]
    assert [run.returncode for run in (first, second)] == [0, 0], results
    contents = [importer.endpoint.images.by_id[result["image"]["id"]].disk.read_bytes() for result in results]
    assert contents == [Path(importer.params["src"]).read_bytes(), other_disk.read_bytes()]
    assert importer.objects() == []
