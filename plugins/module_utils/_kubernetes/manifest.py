# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a build consists of on a cluster, as manifests: a Job, a ConfigMap with what its containers read, a Secret.

Its pods meet Pod Security 'restricted' (https://kubernetes.io/docs/concepts/security/pod-security-standards/): no root,
no capability, no privilege escalation, the runtime's default seccomp profile. Further: a read-only root file system, no
service-account token, a deadline, and a time to live after it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

Object = dict[str, Any]

#: The label by which all that is ours is known, and its value.
MANAGED_BY = ("app.kubernetes.io/managed-by", "ocne.images")
#: Where containers find the ConfigMap's files, the Secret's, and the room to work in.
FILES, SECRETS, WORK = "/ocne/files", "/ocne/secrets", "/ocne/work"
BUILDER = "build"
_WORK_VOLUME = "work"
#: Exit statuses by which a container says that another try would end no better: those of skopeo, and of Python.
REFUSALS = (1, 2)
#: Any number but 0 will do; this one is what images without root usually take.
_UID = 65532
#: Seconds that a finished Job stays, for people who look; whoever waits for it removes it at once.
_TIME_TO_LIVE = 300
#: How many pods may be killed before the build is given up.
_RETRIES = 4
#: Bytes that an object may have, by the API server's default.
SIZE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Placement:
    """Where and how pods run.

    :param storage: room to work in, as a quantity.
    :param storage_class: of a volume that is made for it; '': the node's own ephemeral storage.
    :param resources: {'requests': {...}, 'limits': {...}} of each container.
    :param pull_secrets: names of Secrets in the namespace.
    :param deadline: seconds after which the cluster ends the Job.
    """

    namespace: str
    storage: str
    storage_class: str = ""
    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: Sequence[Mapping[str, Any]] = ()
    resources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pull_secrets: Sequence[str] = ()
    deadline: int = 3600


@dataclass(frozen=True)
class Step:
    """A container that does a part of the work.

    :param secret_environment: variables, and the names of the build's secrets that they get.
    """

    name: str
    image: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Build:
    """A build.

    :param name: unique, a DNS label.
    :param fetches: run first, one after the other; only they see the secrets.
    :param builder: runs then, until it is ended.
    :param files: names and contents, for all containers, below FILES.
    :param secrets: names and contents, below SECRETS.
    """

    name: str
    program: str
    fetches: Sequence[Step]
    builder: Step
    files: Mapping[str, bytes]
    secrets: Mapping[str, bytes]


def job(build: Build, placement: Placement) -> Object:
    """The Job."""
    labels = _labels(build)
    pod: Object = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 2,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": _UID,
            "runAsGroup": _UID,
            "fsGroup": _UID,
            "fsGroupChangePolicy": "OnRootMismatch",
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "nodeSelector": {"kubernetes.io/os": "linux", **placement.node_selector},
        "tolerations": [dict(each) for each in placement.tolerations],
        "imagePullSecrets": [{"name": name} for name in placement.pull_secrets],
        "initContainers": [_container(build, step, placement, bool(build.secrets)) for step in build.fetches],
        "containers": [_container(build, build.builder, placement, False)],
        "volumes": _volumes(build, placement),
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": build.name, "namespace": placement.namespace, "labels": labels},
        "spec": {
            "activeDeadlineSeconds": placement.deadline,
            "ttlSecondsAfterFinished": _TIME_TO_LIVE,
            "backoffLimit": _RETRIES,
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onExitCodes": {"operator": "In", "values": list(REFUSALS)}},
                    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
                ]
            },
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def config_map(build: Build, placement: Placement, owner: Object) -> Object:
    """The ConfigMap, which goes with its Job."""
    data = {key: base64.b64encode(content).decode() for key, content in _by_key(build.files).items()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": _owned(build, placement, owner), "binaryData": data, "immutable": True}


def secret(build: Build, placement: Placement, owner: Object) -> Object:
    """The Secret, which goes with its Job."""
    data = {key: base64.b64encode(content).decode() for key, content in _by_key(build.secrets).items()}
    metadata = _owned(build, placement, owner)
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": data, "immutable": True}


def is_ours(thing: Object) -> bool:
    """Whether something carries our label."""
    return (thing["metadata"].get("labels") or {}).get(MANAGED_BY[0]) == MANAGED_BY[1]


def claim_name(pod: str) -> str:
    """The claim of the volume that is made for a pod; its name is the cluster's rule."""
    return f"{pod}-{_WORK_VOLUME}"


def requests(placement: Placement) -> dict[str, str]:
    """What a pod asks of its node, as quantities."""
    return dict(_resources(placement)["requests"])


def _labels(build: Build) -> dict[str, str]:
    return {"app.kubernetes.io/name": "ocne-build", "app.kubernetes.io/component": build.program, MANAGED_BY[0]: MANAGED_BY[1]}


def _owned(build: Build, placement: Placement, owner: Object) -> Object:
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": build.name, "uid": owner["metadata"]["uid"]}
    return {"name": build.name, "namespace": placement.namespace, "labels": _labels(build), "ownerReferences": [reference]}


def _container(build: Build, step: Step, placement: Placement, secrets: bool) -> Object:
    mounts = [{"name": "files", "mountPath": FILES, "readOnly": True}, {"name": _WORK_VOLUME, "mountPath": WORK}]
    if secrets:
        mounts.append({"name": "secrets", "mountPath": SECRETS, "readOnly": True})
    # Of all folders, only WORK can be written to.
    environment = {"HOME": WORK, "TMPDIR": WORK, **step.environment}
    return {
        "name": step.name,
        "image": step.image,
        "command": list(step.command),
        "workingDir": WORK,
        "env": [
            *({"name": name, "value": value} for name, value in environment.items()),
            *(
                {"name": name, "valueFrom": {"secretKeyRef": {"name": build.name, "key": _key(secret)}}}
                for name, secret in step.secret_environment.items()
            ),
        ],
        "resources": _resources(placement),
        "volumeMounts": mounts,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
    }


def _resources(placement: Placement) -> dict[str, dict[str, str]]:
    """With a volume of its own a pod needs hardly any of the node's storage."""
    storage = "1Gi" if placement.storage_class else placement.storage
    requests = {"ephemeral-storage": storage, **_texts(placement.resources.get("requests"))}
    return {"requests": requests, "limits": _texts(placement.resources.get("limits"))}


def _texts(quantities: Optional[Mapping[str, Any]]) -> dict[str, str]:
    return {str(name): str(quantity) for name, quantity in (quantities or {}).items()}


def _volumes(build: Build, placement: Placement) -> list[Object]:
    volumes = [
        {"name": "files", "configMap": {"name": build.name, "items": _items(build.files), "defaultMode": 0o444}},
        {"name": _WORK_VOLUME, **_work(placement)},
    ]
    if build.secrets:
        volumes.append({"name": "secrets", "secret": {"secretName": build.name, "items": _items(build.secrets), "defaultMode": 0o440}})
    return volumes


def _work(placement: Placement) -> Object:
    if not placement.storage_class:
        return {"emptyDir": {"sizeLimit": placement.storage}}
    claim = {
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": placement.storage_class,
        "resources": {"requests": {"storage": placement.storage}},
    }
    return {"ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {MANAGED_BY[0]: MANAGED_BY[1]}}, "spec": claim}}}


def _by_key(files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {_key(name): content for name, content in files.items()}


def _items(files: Mapping[str, bytes]) -> list[Object]:
    return [{"key": _key(name), "path": name} for name in sorted(files)]


def _key(name: str) -> str:
    """Keys of ConfigMaps and Secrets cannot have slashes; _items() gives the files their names again."""
    return name.replace("/", "_")
