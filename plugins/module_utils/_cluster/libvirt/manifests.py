# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new cluster gets from us once its API server answers: network, kube-proxy, and DNS, from the images that its node has.

Sources: the manifests of flannel (https://github.com/flannel-io/flannel), kubeadm's addons, and
https://github.com/kubernetes/dns/blob/master/docs/specification.md
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .node import API_PORT, DNS_ADDRESS, POD_SUBNET

Manifest = dict[str, Any]

#: Which tag is taken where a node has several of an image, or none.
_PREFERRED = "current"
_COREFILE = """\
.:53 {
    errors
    health {
        lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
        max_concurrent 1000
    }
    cache 30
    loop
    reload
    loadbalance
}
"""


def choose_tag(repository: str, images: Iterable[str]) -> str:
    """The tag of an image to run, of those that the node has; older releases of OCK have other tags than 'current'."""
    tags = [tag for name, colon, tag in (image.rpartition(":") for image in images) if name == repository]
    return _PREFERRED if _PREFERRED in tags or not tags else sorted(tags)[-1]


def manifests(registry: str, images: Iterable[str], address: str, interface: str) -> list[Manifest]:
    """All of them, in the order to create them in.

    :param registry: where the images are from, as 'container-registry.oracle.com/olcne'.
    :param images: names of those that the node has.
    :param address: of the node, where its API server is.
    :param interface: the node's network card.
    """
    known = list(images)
    flannel, proxy, dns = (f"{registry}/{name}:{choose_tag(f'{registry}/{name}', known)}" for name in ("flannel", "kube-proxy", "coredns"))
    return [*_flannel(flannel, interface), *_kube_proxy(proxy, address), *_coredns(dns)]


def _flannel(image: str, interface: str) -> list[Manifest]:
    namespace, name, labels = "kube-flannel", "kube-flannel-ds", {"app": "flannel"}
    network = {"Network": POD_SUBNET, "EnableNFTables": False, "Backend": {"Type": "vxlan"}}
    plugin = {"type": "flannel", "delegate": {"hairpinMode": True, "isDefaultGateway": True}}
    cni = {"name": "cbr0", "cniVersion": "0.3.1", "plugins": [plugin, {"type": "portmap", "capabilities": {"portMappings": True}}]}
    rules = [
        _rule([""], ["pods"], ["get"]),
        _rule([""], ["nodes"], ["get", "list", "watch"]),
        _rule([""], ["nodes/status"], ["patch"]),
    ]
    mounts = [
        {"name": "run", "mountPath": "/run/flannel"},
        {"name": "flannel-cfg", "mountPath": "/etc/kube-flannel/"},
        {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
    ]
    install = {
        "name": "install-cni",
        "image": image,
        "command": ["cp"],
        "args": ["-f", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist"],
        "volumeMounts": [{"name": "cni", "mountPath": "/etc/cni/net.d"}, mounts[1]],
    }
    run = {
        "name": "kube-flannel",
        "image": image,
        "command": ["/opt/bin/flanneld"],
        "args": ["--ip-masq", "--kube-subnet-mgr", f"--iface={interface}"],
        "resources": {"requests": {"cpu": "50m", "memory": "50Mi"}},
        "securityContext": {"privileged": False, "capabilities": {"add": ["NET_ADMIN", "NET_RAW"]}},
        "env": [
            _field("POD_NAME", "metadata.name"),
            _field("POD_NAMESPACE", "metadata.namespace"),
            # The API server where it is, not by its service, which is nowhere before kube-proxy works.
            _field("KUBERNETES_SERVICE_HOST", "status.hostIP"),
            {"name": "KUBERNETES_SERVICE_PORT", "value": str(API_PORT)},
        ],
        "volumeMounts": mounts,
    }
    pod = {
        "hostNetwork": True,
        "serviceAccountName": "flannel",
        "initContainers": [install],
        "containers": [run],
        "volumes": [
            _host("run", "/run/flannel", "DirectoryOrCreate"),
            _host("cni", "/etc/cni/net.d", "DirectoryOrCreate"),
            _host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
            {"name": "flannel-cfg", "configMap": {"name": "kube-flannel-cfg"}},
        ],
    }
    data = {"cni-conf.json": json.dumps(cni, indent=1), "net-conf.json": json.dumps(network, indent=1)}
    privileged = {f"pod-security.kubernetes.io/{mode}": "privileged" for mode in ("enforce", "warn", "audit")}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": privileged}},
        _service_account("flannel", namespace),
        _cluster_role("flannel", rules),
        _binding("flannel", "flannel", "flannel", namespace),
        _config_map("kube-flannel-cfg", namespace, data),
        _daemon_set(name, namespace, labels, pod),
    ]


def _kube_proxy(image: str, address: str) -> list[Manifest]:
    namespace, name = "kube-system", "kube-proxy"
    account = "/var/run/secrets/kubernetes.io/serviceaccount"
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "default", "cluster": {"certificate-authority": f"{account}/ca.crt", "server": f"https://{address}:{API_PORT}"}}
        ],
        "users": [{"name": "default", "user": {"tokenFile": f"{account}/token"}}],
        "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default", "namespace": "default"}}],
        "current-context": "default",
    }
    config = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf"},
        "clusterCIDR": POD_SUBNET,
        "mode": "iptables",
        # The host's tables are what they are; kube-proxy need not raise them.
        "conntrack": {"maxPerCore": 0},
    }
    run = {
        "name": name,
        "image": image,
        "command": ["/usr/local/bin/kube-proxy", "--config=/var/lib/kube-proxy/config.conf", "--hostname-override=$(NODE_NAME)"],
        "env": [_field("NODE_NAME", "spec.nodeName")],
        "securityContext": {"privileged": True},
        "volumeMounts": [
            {"name": "kube-proxy", "mountPath": "/var/lib/kube-proxy"},
            {"name": "xtables-lock", "mountPath": "/run/xtables.lock"},
            {"name": "lib-modules", "mountPath": "/lib/modules", "readOnly": True},
        ],
    }
    pod = {
        "hostNetwork": True,
        "serviceAccountName": name,
        "containers": [run],
        "volumes": [
            {"name": "kube-proxy", "configMap": {"name": name}},
            _host("xtables-lock", "/run/xtables.lock", "FileOrCreate"),
            _host("lib-modules", "/lib/modules", ""),
        ],
    }
    data = {"config.conf": json.dumps(config, indent=1), "kubeconfig.conf": json.dumps(kubeconfig, indent=1)}
    return [
        _service_account(name, namespace),
        _binding("ocne-images:kube-proxy", "system:node-proxier", name, namespace),
        _config_map(name, namespace, data),
        _daemon_set(name, namespace, {"k8s-app": name}, pod),
    ]


def _coredns(image: str) -> list[Manifest]:
    namespace, name, labels = "kube-system", "coredns", {"k8s-app": "kube-dns"}
    rules = [
        _rule([""], ["endpoints", "services", "pods", "namespaces"], ["list", "watch"]),
        _rule(["discovery.k8s.io"], ["endpointslices"], ["list", "watch"]),
    ]
    run = {
        "name": name,
        "image": image,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"limits": {"memory": "170Mi"}, "requests": {"cpu": "100m", "memory": "70Mi"}},
        "ports": [{"name": f"dns-{protocol.lower()}", "containerPort": 53, "protocol": protocol} for protocol in ("UDP", "TCP")],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"add": ["NET_BIND_SERVICE"], "drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    pod = {
        "serviceAccountName": name,
        "priorityClassName": "system-cluster-critical",
        "tolerations": [{"key": "CriticalAddonsOnly", "operator": "Exists"}],
        "nodeSelector": {"kubernetes.io/os": "linux"},
        "dnsPolicy": "Default",
        "containers": [run],
        "volumes": [{"name": "config", "configMap": {"name": name}}],
    }
    deployment = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"replicas": 1, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": pod}},
    }
    ports = [{"name": f"dns-{protocol.lower()}", "port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "kube-dns", "namespace": namespace, "labels": {**labels, "kubernetes.io/name": "CoreDNS"}},
        "spec": {"clusterIP": DNS_ADDRESS, "selector": labels, "ports": ports},
    }
    return [
        _service_account(name, namespace),
        _cluster_role("system:coredns", rules),
        _binding("system:coredns", "system:coredns", name, namespace),
        _config_map(name, namespace, {"Corefile": _COREFILE}),
        deployment,
        service,
    ]


def _daemon_set(name: str, namespace: str, labels: dict[str, str], pod: dict[str, Any]) -> Manifest:
    # The network's pods have to run before anything else can: on a node that is not ready, too.
    spec = {"priorityClassName": "system-node-critical", "tolerations": [{"operator": "Exists"}], **pod}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": namespace, "labels": labels},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def _service_account(name: str, namespace: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}


def _config_map(name: str, namespace: str, data: dict[str, str]) -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def _cluster_role(name: str, rules: list[dict[str, Any]]) -> Manifest:
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name}, "rules": rules}


def _binding(name: str, role: str, account: str, namespace: str) -> Manifest:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }


def _rule(groups: list[str], resources: list[str], verbs: list[str]) -> dict[str, Any]:
    return {"apiGroups": groups, "resources": resources, "verbs": verbs}


def _host(name: str, path: str, kind: str) -> dict[str, Any]:
    return {"name": name, "hostPath": {"path": path, "type": kind}}


def _field(name: str, path: str) -> dict[str, Any]:
    return {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
