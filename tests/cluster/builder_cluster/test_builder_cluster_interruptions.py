# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Builds that are broken off, or whose pod, node or API server is: they recover, or say why not, and leave nothing."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._files import partial_path
from ansible_collections.ocne.images.plugins.module_utils._kubernetes import run as build_run
from ansible_collections.ocne.images.plugins.module_utils._kubernetes import transfer

from tests.cluster.builder_cluster.conftest import LARGER, WHOLE, ClusterConverter, reached
from tests.support.build_cluster import is_building, kill_node
from tests.support.command import run
from tests.support.registry import Registry
from tests.support.sample_disk import boot_disk
from tests.support.watching import wait_until

MIB = 1 << 20


@pytest.fixture
def larger(convert: ClusterConverter) -> ClusterConverter:
    convert.params["source"] = str(boot_disk(LARGER))
    return convert


def result(process: subprocess.Popen[str], timeout: float = 300) -> dict[str, Any]:
    output, _errors = process.communicate(timeout=timeout)
    found: dict[str, Any] = json.loads(output)
    return found


def is_fetching(convert: ClusterConverter) -> bool:
    partial = partial_path(convert.dest)
    return partial.exists() and partial.stat().st_size > 8 * MIB


def on_node(convert: ClusterConverter, *command: str) -> str:
    return run("docker", "exec", convert.cluster.node, *command, env=dict(convert.cluster.env))


def test_a_pod_that_is_deleted_twice(larger: ClusterConverter) -> None:
    process = larger.start()
    seen: list[str] = []
    for _time in range(2):
        pod = larger.cluster.wait_for_pod(larger.namespace, lambda pod: is_building(pod) and pod["metadata"]["name"] not in seen, 300)
        seen.append(pod["metadata"]["name"])
        larger.cluster.kubectl("delete", "pod", seen[-1], "-n", larger.namespace, "--wait=false")
    assert result(process)["sha256"] == larger.local()["sha256"]
    assert larger.left() == []


def test_an_api_server_that_is_killed_in_both_directions(larger: ClusterConverter) -> None:
    process = larger.start()
    for moment in (lambda: larger.inside("find", "/ocne/work", "-path", "*/sources/*", "-size", "+8M"), lambda: is_fetching(larger)):
        wait_until(moment, process)
        on_node(larger, "pkill", "-KILL", "kube-apiserver")
    assert result(process)["sha256"] == larger.local()["sha256"]
    # The cluster's controllers, which were cut off as well, may come later than the run waits for them.
    wait_until(lambda: larger.cluster.left(larger.namespace) == [])


def test_a_node_that_is_restarted(larger: ClusterConverter) -> None:
    process = larger.start()
    wait_until(lambda: is_fetching(larger), process)
    kill_node(larger.cluster)
    assert result(process)["sha256"] == larger.local()["sha256"]
    # The cluster's controllers, which were cut off as well, may come later than the run waits for them.
    wait_until(lambda: larger.cluster.left(larger.namespace) == [])


def test_an_api_server_that_stays_away(larger: ClusterConverter, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be removed now is told, and goes with the next run."""
    manifest, aside = "/etc/kubernetes/manifests/kube-apiserver.yaml", "/etc/kubernetes/kube-apiserver.yaml"
    for module, name in ((transfer, "PATIENCE"), (build_run, "_PATIENCE"), (build_run, "_CLEAN_UP_PATIENCE")):
        monkeypatch.setattr(module, name, 2.0)
    fetch = transfer.Transfers.fetch

    def cut_off(self: transfer.Transfers, *arguments: Any) -> None:
        on_node(larger, "mv", manifest, aside)
        on_node(larger, "pkill", "-KILL", "kube-apiserver")
        fetch(self, *arguments)

    with monkeypatch.context() as changed:
        changed.setattr(transfer.Transfers, "fetch", cut_off)
        try:
            message = larger.message()
        finally:
            on_node(larger, "mv", aside, manifest)
    assert "no answer from the API server" in message and "the next run removes it" in message
    wait_until(lambda: answers(larger))
    assert larger(source=str(boot_disk()))["changed"]
    wait_until(lambda: larger.left() == [])


def answers(convert: ClusterConverter) -> bool:
    try:
        return bool(convert.cluster.kubectl("get", "--raw", "/readyz"))
    except RuntimeError:
        return False


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (["truncate", "--size=-1", "/ocne/work/output"], r"output has \d+ bytes, and had \d+"),
        (["dd", "if=/dev/urandom", "of=/ocne/work/output", "bs=64", "count=1", "seek=99", "conv=notrunc"], "its bytes have the digest"),
    ],
    ids=["cut short", "altered"],
)
def test_a_result_that_is_damaged_on_its_way(
    convert: ClusterConverter, monkeypatch: pytest.MonkeyPatch, damage: Sequence[str], told: str
) -> None:
    fetch = transfer.Transfers.fetch

    def damaged(self: transfer.Transfers, *arguments: Any) -> None:
        convert.inside(*damage)
        fetch(self, *arguments)

    monkeypatch.setattr(transfer.Transfers, "fetch", damaged)
    with pytest.raises(AssertionError, match=told):
        raise AssertionError(convert.message())
    assert convert.left() == [] and convert.files() == []


def test_ends_at_random_moments(convert: ClusterConverter) -> None:
    began = time.monotonic()
    expected = convert()["sha256"]
    usual = time.monotonic() - began
    seed = random.randrange(1 << 32)
    numbers = random.Random(seed)
    for number in (*[signal.SIGTERM, signal.SIGINT] * 3, *[signal.SIGKILL] * 3):
        process = convert.start(force=True)
        delay = numbers.uniform(0.3, usual)
        time.sleep(delay)
        process.send_signal(number)
        output, _errors = process.communicate(timeout=300)
        told = f"seed {seed}: {number.name} after {delay:.2f} s of {usual:.2f} s: {output}"
        if number != signal.SIGKILL:
            assert convert.left() == [] and convert.files() == WHOLE, told
    assert convert(force=True)["sha256"] == expected
    wait_until(lambda: convert.left() == [])
    assert convert.files() == WHOLE


def test_what_a_killed_run_leaves_ends_by_itself(convert: ClusterConverter, pod_registry: Registry, boot_layout: Path) -> None:
    """Nobody comes after it: the cluster removes what it left. Its times are made short, once it is seen that they are set."""
    source = pod_registry.push(f"oci:{boot_layout}:1.33", "olcne/ock:left")
    process = convert.start(source=source, **reached(pod_registry))
    convert.cluster.wait_for_pod(convert.namespace, is_building, 300)
    process.kill()
    process.communicate()
    kinds = {name.partition("/")[0] for name in convert.left()}
    assert {"Job", "Pod", "Secret", "ConfigMap"} <= kinds
    (job,) = convert.cluster.get("jobs", convert.namespace)
    assert job["spec"]["activeDeadlineSeconds"] == 3600 and job["spec"]["ttlSecondsAfterFinished"] == 300
    soon = json.dumps({"spec": {"activeDeadlineSeconds": 1, "ttlSecondsAfterFinished": 1}})
    convert.cluster.kubectl("patch", "job", job["metadata"]["name"], "-n", convert.namespace, "--type=merge", "-p", soon)
    wait_until(lambda: convert.cluster.left(convert.namespace) == [])
    assert len(convert.left()) == 1, "its receipt, which the next run removes"
