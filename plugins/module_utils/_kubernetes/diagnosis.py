# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the state of a Job, its pods and their events means: a pure function, with words for people."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from .manifest import BUILDER, REFUSALS

Object = dict[str, Any]

WAITING, RUNNING, REFUSED_BY, FAILED = "waiting", "running", "refused", "failed"
NODES, NAMESPACE = "nodes", "namespace"

#: Seconds that a trouble may last which often passes by itself, by what the kubelet calls it; others are 'waiting' for as long as it takes.
_CONTAINER_TROUBLES = {
    "ErrImagePull": 20.0,
    "ImagePullBackOff": 20.0,
    "RegistryUnavailable": 60.0,
    "InvalidImageName": 0.0,
    "ErrImageNeverPull": 0.0,
    "ImageInspectError": 20.0,
    "SignatureValidationFailed": 0.0,
    "CreateContainerConfigError": 30.0,
    "CreateContainerError": 30.0,
    "RunContainerError": 10.0,
}
_POD_TROUBLES = {"FailedMount": 90.0, "FailedAttachVolume": 180.0, "FailedCreatePodSandBox": 60.0}
_UNSCHEDULABLE = 60.0
_NO_VOLUME = 60.0
#: Room comes and goes, and not everybody may see who holds it.
_NO_ROOM = 300.0
#: While an autoscaler brings up a node.
_SCALING = 900.0
_NOT_CREATED = 10.0


@dataclass(frozen=True)
class Situation:
    """How a build stands.

    :param state: WAITING for a pod to do its work; RUNNING: the builder is at work; REFUSED_BY a container, whose log tells why;
        FAILED for good.
    :param told: what is the matter.
    :param patience: seconds after which a trouble that lasts counts as failure; None: no trouble.
    :param pod: name of the pod that this is about.
    :param container: the one that refused.
    :param lacks: it lacks room that other builds may hold, of the NODES or of the NAMESPACE's quota.
    """

    state: str
    told: str
    hint: str = ""
    patience: Optional[float] = None
    pod: str = ""
    container: str = ""
    lacks: str = ""


def judge(job: Optional[Object], pods: Sequence[Object], events: Sequence[Object]) -> Situation:
    """How the build stands.

    :param pods: of the Job, the oldest first.
    :param events: of the Job, of its newest pod, and of that one's volume claim.
    """
    if job is None:
        return Situation(FAILED, "its Job was deleted by somebody else", "Run again.")
    # Where its Job has made another pod already, that will end in the same way.
    hopeless = next((each for each in (_about_pod(pod, events) for pod in pods) if each.state == FAILED), None)
    if hopeless:
        return hopeless
    newest = _newest(pods)
    about_pod = _about_pod(newest, events) if newest else None
    failed = _condition(job, "Failed")
    if about_pod and (about_pod.state == REFUSED_BY or not failed):
        return about_pod
    if failed:
        return _failed_job(failed, about_pod, events)
    return _no_pod(events)


def _newest(pods: Sequence[Object]) -> Optional[Object]:
    """The newest pod that is not being deleted; else the newest."""
    staying = [pod for pod in pods if not pod["metadata"].get("deletionTimestamp")]
    return next(reversed(staying or list(pods)), None)


def _failed_job(condition: Object, about_pod: Optional[Situation], events: Sequence[Object]) -> Situation:
    reason, message = condition.get("reason"), str(condition.get("message") or "").rstrip(".")
    last = f"; last, {about_pod.told}" if about_pod and about_pod.told else ""
    last = last or "".join(f"; last, {event['message']}" for event in list(events)[-1:] if event.get("message"))
    if reason == "DeadlineExceeded":
        return Situation(FAILED, f"the cluster ended it, since it took longer than it may{last}", "Raise wait_timeout.")
    if reason == "BackoffLimitExceeded":
        return Situation(FAILED, f"its pods were killed again and again{last}", "Find out in the cluster's events who or what ends them.")
    return Situation(FAILED, f"its Job failed: {message or reason}{last}")


def _no_pod(events: Sequence[Object]) -> Situation:
    """Why the Job has no pod, if something is the matter."""
    refusals = [str(event.get("message") or "") for event in events if event.get("reason") == "FailedCreate"]
    if not refusals:
        return Situation(WAITING, "waiting for a pod")
    why = re.sub(r'^Error creating: pods "[^"]*" is ', "", refusals[-1])
    if "exceeded quota" in why:
        told = f"the namespace's quota does not allow its pod: {why}"
        return Situation(FAILED, told, "Free some of it, have it raised, or set resources.", lacks=NAMESPACE)
    if "PodSecurity" in why:
        return Situation(FAILED, f"the namespace's Pod Security does not allow its pod: {why}", "Choose another namespace.")
    if "limit" in why.lower() and "forbidden" in why:
        return Situation(FAILED, f"the namespace's limits do not allow its pod: {why}", "Set resources, or storage.")
    return Situation(
        WAITING, f"its pod cannot be created: {why}", "Check who may make pods in the namespace, and what admits them.", _NOT_CREATED
    )


def _about_pod(pod: Object, events: Sequence[Object]) -> Situation:
    name, status = str(pod["metadata"]["name"]), pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for each in statuses:
        ended = (each.get("state") or {}).get("terminated")
        if ended and ended.get("exitCode") != 0:
            return _ended(name, each, ended, status)
    if status.get("reason") == "Evicted":
        return _evicted(name, status)
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Failed", "Unknown"):
        why = str(status.get("message") or status.get("reason") or "").rstrip(".")
        return Situation(WAITING, f"pod {name} was ended{f' ({why})' if why else ''}", pod=name)
    for each in statuses:
        if each["name"] == BUILDER and _is_running(each):
            return Situation(RUNNING, "", pod=name)
    return _starting(name, pod, statuses, events)


def _ended(name: str, container: Object, ended: Object, status: Object) -> Situation:
    code, which = ended.get("exitCode"), str(container["name"])
    if ended.get("reason") == "OOMKilled":
        told = f"container {which} of pod {name} used more memory than it may, and was killed (OOMKilled)"
        return Situation(FAILED, told, "Raise the memory in resources: requests and limits.", pod=name, container=which)
    if status.get("reason") == "Evicted":
        return _evicted(name, status)
    if code in REFUSALS:
        return Situation(REFUSED_BY, f"container {which} of pod {name} ended with exit status {code}", pod=name, container=which)
    if code in (126, 127, 128):
        why = str(ended.get("message") or ended.get("reason") or "")[:300]
        told = f"container {which} of pod {name} cannot start: {why} (exit status {code}, image {container.get('image')})"
        return Situation(FAILED, told, "Choose another image: it lacks the program that is to run.", pod=name, container=which)
    return Situation(WAITING, f"container {which} of pod {name} was killed (exit status {code})", pod=name)


def _evicted(name: str, status: Object) -> Situation:
    message = str(status.get("message") or "").strip().rstrip(".")
    told = f"pod {name} was evicted from its node: {message}"
    if "exceeds" in message:
        return Situation(FAILED, told, "Raise storage.", pod=name)
    return Situation(WAITING, told, pod=name)


def _starting(name: str, pod: Object, statuses: Sequence[Object], events: Sequence[Object]) -> Situation:
    status = pod.get("status") or {}
    scheduled: Object = next((each for each in status.get("conditions") or [] if each.get("type") == "PodScheduled"), {})
    if scheduled.get("status") == "False":
        scaling = any(event.get("reason") == "TriggeredScaleUp" for event in events)
        told = f"no node takes pod {name}: {str(scheduled.get('message') or scheduled.get('reason')).rstrip('.')}"
        volume = next((str(each.get("message")) for each in reversed(events) if each.get("reason") == "ProvisioningFailed"), "")
        if volume:
            return Situation(WAITING, f"{told}: {volume.rstrip('.')}", "Check storage_class.", _NO_VOLUME, pod=name)
        hint = "Free some room, add a node, or change storage, resources, node_selector or tolerations."
        lacks = NODES if "Insufficient" in told or "Too many pods" in told else ""
        patience = _SCALING if scaling else _NO_ROOM if lacks else _UNSCHEDULABLE
        return Situation(WAITING, told, hint, patience, pod=name, lacks=lacks)
    for each in statuses:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _CONTAINER_TROUBLES:
            return _held_up(name, each, waiting, events)
    for event in reversed(events):
        if event.get("reason") in _POD_TROUBLES and event["involvedObject"].get("name") == name:
            told = f"pod {name} does not start: {str(event.get('message')).rstrip('.')} ({event['reason']})"
            return Situation(WAITING, told, "Check the node, and storage_class.", _POD_TROUBLES[event["reason"]], pod=name)
    running = [str(each["name"]) for each in statuses if _is_running(each)]
    return Situation(WAITING, f"pod {name} runs {running[0]}" if running else f"pod {name} is starting", pod=name)


def _held_up(name: str, container: Object, waiting: Object, events: Sequence[Object]) -> Situation:
    reason, image = str(waiting["reason"]), str(container.get("image"))
    pulls = [str(event.get("message")) for event in events if "Failed to pull image" in str(event.get("message"))]
    why = (pulls[-1] if pulls and "Image" in reason else str(waiting.get("message") or "")).strip().rstrip(".")
    told = f"container {container['name']} of pod {name} does not start: {why or 'no reason is given'} ({reason}, image {image})"
    if "Image" in reason or reason in ("RegistryUnavailable", "SignatureValidationFailed"):
        hint = "Check the image's name (builder_image, fetcher_image), the nodes' way to its registry, and image_pull_secrets."
    else:
        hint = "Check the image, and the Secrets that are named in the options."
    return Situation(WAITING, told, hint, _CONTAINER_TROUBLES[reason], pod=name)


def _is_running(container: Object) -> bool:
    return (container.get("state") or {}).get("running") is not None


def _condition(job: Object, kind: str) -> Optional[Object]:
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((each for each in conditions if each.get("type") == kind and each.get("status") == "True"), None)
