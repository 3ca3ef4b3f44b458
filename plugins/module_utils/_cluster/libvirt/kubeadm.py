# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration from which kubeadm makes a node's control plane.

Source: https://kubernetes.io/docs/reference/config-api/kubeadm-config.v1beta4/ and …v1beta3/. Two words in it are for the
node to replace before kubeadm reads it: what it alone knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from .node import API_PORT, POD_SUBNET, SERVICE_SUBNET, Node

#: The node's address, and the version of its kubeadm, which is that of the images that it has.
NODE_IP, KUBERNETES_VERSION = "NODE_IP", "KUBERNETES_VERSION"
PATCHES = "/etc/ocne/ock/patches"

#: What OCK brings of etcd, by minor version of Kubernetes; for others, kubeadm's own choice.
_ETCD_TAGS = {
    26: "3.5.6",
    27: "3.5.10",
    28: "3.5.10",
    29: "3.5.10",
    30: "3.5.12",
    31: "3.5.15",
    32: "3.5.15",
    33: "3.5.23",
}
_TLS = {"tls-min-version": "VersionTLS12"}


def minor_version(version: str) -> int:
    """33 of '1.33' or '1.33.5'."""
    found = re.match(r"1\.(\d+)", version)
    return int(found.group(1)) if found else 0


def api_version(version: str) -> str:
    """The newest version of the format that the kubeadm of this Kubernetes reads."""
    return "kubeadm.k8s.io/v1beta4" if minor_version(version) >= 31 else "kubeadm.k8s.io/v1beta3"


def kubeadm_config(node: Node) -> str:
    """The documents of 'kubeadm init --config', as YAML (in its subset JSON)."""
    documents = (_init(node), _cluster(node))
    return "---\n".join(f"{json.dumps(document, indent=1)}\n" for document in documents)


def _is_new(node: Node) -> bool:
    return api_version(node.kubernetes_version).endswith("v1beta4")


def _init(node: Node) -> dict[str, Any]:
    timeout = f"{node.startup_timeout}s"
    waiting = {"timeouts": {"controlPlaneComponentHealthCheck": timeout, "kubeletHealthCheck": timeout}} if _is_new(node) else {}
    kubelet = {"node-ip": NODE_IP, "address": "0.0.0.0", "volume-plugin-dir": "/var/lib/kubelet/volumeplugins", **_TLS}
    return {
        "apiVersion": api_version(node.kubernetes_version),
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": NODE_IP, "bindPort": API_PORT},
        "nodeRegistration": {"kubeletExtraArgs": _arguments(node, kubelet), "taints": []},
        "certificateKey": node.certificate_key,
        # They come as manifests (manifests.py), with what OCK has of them.
        "skipPhases": ["preflight", "addon/kube-proxy", "addon/coredns"],
        "patches": {"directory": PATCHES},
        **waiting,
    }


def _cluster(node: Node) -> dict[str, Any]:
    waiting = {} if _is_new(node) else {"timeoutForControlPlane": f"{node.startup_timeout}s"}
    etcd = _ETCD_TAGS.get(minor_version(node.kubernetes_version))
    tls = {"extraArgs": _arguments(node, _TLS)}
    return {
        "apiVersion": api_version(node.kubernetes_version),
        "kind": "ClusterConfiguration",
        "kubernetesVersion": KUBERNETES_VERSION,
        "imageRepository": node.registry,
        "controlPlaneEndpoint": f"{NODE_IP}:{API_PORT}",
        "networking": {"serviceSubnet": SERVICE_SUBNET, "podSubnet": POD_SUBNET},
        "etcd": {"local": {"imageTag": etcd} if etcd else {}},
        "apiServer": {"certSANs": list(node.addresses), **tls, **waiting},
        "controllerManager": tls,
        "scheduler": tls,
    }


def _arguments(node: Node, arguments: Mapping[str, str]) -> Any:
    """Arguments of a program: by name in the older format, a list in the newer."""
    return [{"name": name, "value": value} for name, value in arguments.items()] if _is_new(node) else dict(arguments)
