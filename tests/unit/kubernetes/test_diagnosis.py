# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.diagnosis import (
    FAILED,
    NAMESPACE,
    NODES,
    REFUSED_BY,
    RUNNING,
    WAITING,
    judge,
)

JOB: dict[str, Any] = {"status": {}}


def pod(name: str = "p", **status: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "status": status}


def container(name: str = "build", **state: Any) -> dict[str, Any]:
    return {"name": name, "image": "python:3.14-slim", "state": state}


def event(reason: str, message: str, name: str = "p") -> dict[str, Any]:
    return {"reason": reason, "message": message, "involvedObject": {"name": name}}


def failed_job(reason: str, message: str = "") -> dict[str, Any]:
    return {"status": {"conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": message}]}}


def test_a_build_comes_up() -> None:
    assert judge(JOB, [], []).state == WAITING
    assert judge(JOB, [pod(phase="Pending")], []).patience is None
    fetching = pod(phase="Pending", initContainerStatuses=[container("fetch-0", running={})], containerStatuses=[container(waiting={})])
    assert judge(JOB, [fetching], []).told == "pod p runs fetch-0"
    running = judge(JOB, [pod(phase="Running", containerStatuses=[container(running={"startedAt": "now"})])], [])
    assert (running.state, running.pod) == (RUNNING, "p")


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (
            'Error creating: pods "x" is forbidden: exceeded quota: q, requested: cpu=2, used: cpu=0, limited: cpu=1',
            "quota does not allow its pod: forbidden: exceeded quota: q, requested",
        ),
        ('Error creating: pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged', "Pod Security does not allow"),
        ('Error creating: pods "x" is forbidden: maximum memory usage per Container is 1Gi, but limit is 2Gi', "limits do not allow"),
    ],
)
def test_a_pod_that_the_namespace_refuses(message: str, told: str) -> None:
    situation = judge(JOB, [], [event("FailedCreate", message, "job")])
    assert situation.state == FAILED and told in situation.told and situation.hint
    assert situation.lacks == (NAMESPACE if "quota" in told else ""), "what other builds hold they give back"


def test_an_admission_that_is_down_may_come_back() -> None:
    situation = judge(JOB, [], [event("FailedCreate", "Internal error occurred: failed calling webhook", "job")])
    assert situation.state == WAITING and situation.patience


def test_no_node_takes_it() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes: 1 Insufficient cpu."}
    stuck = pod(phase="Pending", conditions=[condition])
    situation = judge(JOB, [stuck], [])
    assert "no node takes pod p: 0/1 nodes: 1 Insufficient cpu" in situation.told and situation.patience and situation.lacks == NODES
    condition["message"] = "0/1 nodes: 1 node(s) had untolerated taint."
    assert not judge(JOB, [stuck], []).lacks
    scaling = judge(JOB, [stuck], [event("TriggeredScaleUp", "pod triggered scale-up")])
    assert scaling.patience and scaling.patience > situation.patience


def test_an_image_that_cannot_be_pulled() -> None:
    waiting = pod(
        phase="Pending", containerStatuses=[container(waiting={"reason": "ImagePullBackOff", "message": "Back-off pulling image"})]
    )
    events = [event("Failed", 'Failed to pull image "python:3.14-slim": not found'), event("BackOff", "Back-off pulling image")]
    situation = judge(JOB, [waiting], events)
    assert "not found" in situation.told and "ImagePullBackOff, image python:3.14-slim" in situation.told
    assert situation.patience and "image_pull_secrets" in situation.hint
    assert judge(JOB, [pod(containerStatuses=[container(waiting={"reason": "InvalidImageName"})])], []).patience == 0


def test_a_volume_that_does_not_come() -> None:
    condition = {"type": "PodScheduled", "status": "False", "message": "pod has unbound immediate PersistentVolumeClaims."}
    unbound = judge(
        JOB, [pod(phase="Pending", conditions=[condition])], [event("ProvisioningFailed", 'storageclass "x" not found', "p-work")]
    )
    assert 'PersistentVolumeClaims: storageclass "x" not found' in unbound.told and "storage_class" in unbound.hint
    situation = judge(JOB, [pod(phase="Pending")], [event("FailedMount", "timed out"), event("FailedMount", "of another", "q")])
    assert "pod p does not start: timed out (FailedMount)" in situation.told and situation.patience


def test_out_of_memory() -> None:
    killed = pod(phase="Failed", containerStatuses=[container(terminated={"reason": "OOMKilled", "exitCode": 137})])
    situation = judge(JOB, [killed], [])
    assert situation.state == FAILED and "OOMKilled" in situation.told and "memory" in situation.hint


def test_evictions() -> None:
    full = pod(phase="Failed", reason="Evicted", message='Usage of EmptyDir volume "work" exceeds the limit "1Mi".')
    assert judge(JOB, [full], []).state == FAILED and "Raise storage" in judge(JOB, [full], []).hint
    running = pod("new", phase="Running", containerStatuses=[container(running={})])
    assert judge(JOB, [full, running], []).state == FAILED, "the next pod would fill its storage as well"
    pressed = pod(phase="Failed", reason="Evicted", message="The node was low on resource: memory.")
    assert judge(JOB, [pressed], []).state == WAITING


def test_a_container_that_ends_with_an_error_of_its_own() -> None:
    refused = pod(phase="Failed", initContainerStatuses=[container("fetch-0", terminated={"reason": "Error", "exitCode": 1})])
    situation = judge(failed_job("PodFailurePolicy"), [refused], [])
    assert (situation.state, situation.container, situation.pod) == (REFUSED_BY, "fetch-0", "p")


def test_an_image_without_the_program() -> None:
    message = 'exec: "python3": executable file not found in $PATH'
    ended = pod(containerStatuses=[container(terminated={"reason": "StartError", "exitCode": 128, "message": message})])
    assert "executable file not found" in judge(JOB, [ended], []).told


def test_a_pod_that_was_killed_is_waited_for_and_the_new_one_counts() -> None:
    killed = pod("old", phase="Failed", containerStatuses=[container(terminated={"reason": "Error", "exitCode": 137})])
    assert judge(JOB, [killed], []).state == WAITING
    new = pod("new", phase="Running", containerStatuses=[container(running={})])
    assert judge(JOB, [killed, new], []).pod == "new"
    leaving = {**new, "metadata": {"name": "leaving", "deletionTimestamp": "now"}}
    assert judge(JOB, [new, leaving], []).pod == "new"
    assert judge(JOB, [leaving], []).state == WAITING


def test_a_job_that_failed() -> None:
    killed = pod(phase="Failed", containerStatuses=[container(terminated={"reason": "Error", "exitCode": 137})])
    again = judge(failed_job("BackoffLimitExceeded"), [killed], [])
    assert again.state == FAILED and "killed again and again" in again.told and "exit status 137" in again.told
    assert judge(failed_job("DeadlineExceeded"), [], []).hint == "Raise wait_timeout."
    assert judge(failed_job("PodFailurePolicy", "It may not."), [], []).told == "its Job failed: It may not"
    assert judge(None, [], []).state == FAILED
