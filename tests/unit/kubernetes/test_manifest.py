# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import dataclasses
from typing import Any

from ansible_collections.ocne.images.plugins.module_utils._kubernetes import manifest
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.manifest import FILES, SECRETS, WORK, Build, Placement, Step

BUILD = Build(
    name="ocne-boot-image-0123",
    program="boot-image",
    fetches=[Step("fetch-0", "quay.io/skopeo/stable", ["skopeo", "copy"], secret_environment={"HTTPS_PROXY": "proxy/https"})],
    builder=Step("build", "python:3.14-slim", ["python3"]),
    files={"program.zip": b"PK", "certificates/ca.crt": b"pem"},
    secrets={"0.json": b"{}", "proxy/https": b"http://me:secret@proxy:3128"},
)
PLACEMENT = Placement("ocne-system", "20Gi", resources={"requests": {"cpu": 1}, "limits": {"memory": "1Gi"}})


def pod(**changes: Any) -> Any:
    return manifest.job(BUILD, dataclasses.replace(PLACEMENT, **changes))["spec"]["template"]["spec"]


def test_pods_are_restricted() -> None:
    spec = pod()
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] and spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in (*spec["initContainers"], *spec["containers"]):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]} and "privileged" not in context
    assert not any("hostPath" in volume for volume in spec["volumes"])


def test_a_job_ends_by_itself() -> None:
    spec = manifest.job(BUILD, dataclasses.replace(PLACEMENT, deadline=77))["spec"]
    assert (spec["activeDeadlineSeconds"], spec["template"]["spec"]["restartPolicy"]) == (77, "Never")
    assert spec["ttlSecondsAfterFinished"] > 0 and spec["backoffLimit"] >= 2


def test_only_what_fetches_sees_secrets() -> None:
    spec = pod()
    mounts = {container["name"]: [mount["mountPath"] for mount in container["volumeMounts"]] for container in spec["initContainers"]}
    assert mounts == {"fetch-0": [FILES, WORK, SECRETS]}
    assert SECRETS not in [mount["mountPath"] for mount in spec["containers"][0]["volumeMounts"]]
    variables = {each["name"]: each for each in spec["initContainers"][0]["env"]}
    assert variables["HTTPS_PROXY"]["valueFrom"] == {"secretKeyRef": {"name": BUILD.name, "key": "proxy_https"}}
    assert "HTTPS_PROXY" not in {each["name"] for each in spec["containers"][0]["env"]}
    assert "proxy:3128" not in str(manifest.job(BUILD, PLACEMENT))


def test_storage_is_the_nodes_or_a_volume_of_a_class() -> None:
    (work,) = (volume for volume in pod()["volumes"] if volume["name"] == "work")
    assert work["emptyDir"] == {"sizeLimit": "20Gi"}
    assert manifest.requests(PLACEMENT) == {"ephemeral-storage": "20Gi", "cpu": "1"}
    spec = pod(storage_class="fast")
    (work,) = (volume for volume in spec["volumes"] if volume["name"] == "work")
    claim = work["ephemeral"]["volumeClaimTemplate"]["spec"]
    assert (claim["storageClassName"], claim["resources"]) == ("fast", {"requests": {"storage": "20Gi"}})
    assert spec["containers"][0]["resources"]["requests"]["ephemeral-storage"] == "1Gi"


def test_placement_reaches_the_pod() -> None:
    toleration = {"key": "a", "operator": "Exists"}
    spec = pod(node_selector={"disk": "large"}, tolerations=[toleration], pull_secrets=["mine"])
    assert spec["nodeSelector"]["disk"] == "large"
    assert (spec["tolerations"], spec["imagePullSecrets"]) == ([toleration], [{"name": "mine"}])


def test_files_and_secrets_go_with_the_job() -> None:
    owner = {"metadata": {"uid": "u-1"}}
    for made in (manifest.config_map(BUILD, PLACEMENT, owner), manifest.secret(BUILD, PLACEMENT, owner)):
        assert made["metadata"]["ownerReferences"] == [{"apiVersion": "batch/v1", "kind": "Job", "name": BUILD.name, "uid": "u-1"}]
    data = manifest.config_map(BUILD, PLACEMENT, owner)["binaryData"]
    items = next(volume for volume in pod()["volumes"] if volume["name"] == "files")["configMap"]["items"]
    assert {item["path"]: base64.b64decode(data[item["key"]]) for item in items} == BUILD.files
