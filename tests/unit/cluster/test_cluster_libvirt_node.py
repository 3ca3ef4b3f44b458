# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node of a libvirt cluster is made from: pure functions of declared data."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from ansible_collections.ocne.images.plugins.module_utils._cluster.libvirt import (
    certificates,
    domain,
    ignition,
    kubeadm,
    manifests,
    node,
    scripts,
)

REGISTRY = "container-registry.oracle.com/olcne"


def a_node(version: str = "1.33", **more: Any) -> node.Node:
    return node.Node("c-control-plane-1", version, "CA CERTIFICATE\n", "CA KEY\n", "ab" * 32, **more)


def config(wanted: node.Node) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(ignition.ignition_config(wanted))
    return content


def text(wanted: node.Node, path: str) -> str:
    return ignition.file_content(ignition.ignition_config(wanted), path).decode()


def unit(wanted: node.Node, name: str) -> dict[str, Any]:
    (found,) = [each for each in config(wanted)["systemd"]["units"] if each["name"] == name]
    return dict(found)


def test_files_of_the_node_and_their_modes() -> None:
    content = config(a_node())
    assert content["ignition"] == {"version": "3.4.0"}
    assert {file["path"]: oct(file["mode"]) for file in content["storage"]["files"]} == {
        "/etc/hostname": "0o644",
        "/etc/kubernetes/pki/ca.crt": "0o600",
        "/etc/kubernetes/pki/ca.key": "0o600",
        "/etc/kubernetes/kubeadm.conf": "0o600",
        "/etc/ocne/update.yaml": "0o400",
        "/etc/ocne/ocne.sh": "0o555",
        "/etc/ocne/ocne-kubeadm-upgrade.sh": "0o555",
        "/etc/containers/registries.conf": "0o644",
        "/etc/sysconfig/network-scripts/ifcfg-enp0s2": "0o644",
    }
    assert all(file["overwrite"] for file in content["storage"]["files"])
    assert content["storage"]["directories"] == [{"path": "/etc/ocne/ock/patches"}]


def test_contents_of_the_nodes_files() -> None:
    wanted = a_node()
    assert text(wanted, "/etc/hostname") == "c-control-plane-1\n"
    assert text(wanted, "/etc/kubernetes/pki/ca.key") == "CA KEY\n"
    assert text(wanted, "/etc/ocne/update.yaml") == f"registry: {REGISTRY}/ock-ostree\ntag: '1.33'\ntransport: ostree-unverified-registry\n"
    assert text(wanted, "/etc/containers/registries.conf") == 'unqualified-search-registries = ["container-registry.oracle.com"]\n'
    assert "DEFROUTE=yes\n" in text(wanted, "/etc/sysconfig/network-scripts/ifcfg-enp0s2")
    with pytest.raises(KeyError):
        text(wanted, "/etc/passwd")


def test_the_same_data_give_the_same_bytes() -> None:
    assert ignition.ignition_config(a_node()) == ignition.ignition_config(a_node())


def test_units_of_the_node() -> None:
    wanted = a_node()
    enabled = [each["name"] for each in config(wanted)["systemd"]["units"] if each.get("enabled")]
    assert enabled == ["ocne.service", "ocne-update.service", "crio.service", "kubelet.service"]
    (dropin,) = unit(wanted, "ocne.service")["dropins"]
    assert dropin["name"] == "bootstrap.conf" and dropin["contents"].endswith("\n")
    assert {"Environment=ACTION=init", "Environment=NET_INTERFACE=enp0s2"} <= set(dropin["contents"].splitlines())


def test_proxies_reach_what_fetches_and_are_not_for_what_is_near() -> None:
    wanted = a_node(proxy=node.Proxy("http://user:a$b@proxy:3128", "", ".example.com,10.0.0.1"))
    lines = text(wanted, "/etc/ocne/proxy.env").splitlines()
    assert 'HTTP_PROXY="http://user:a\\$b@proxy:3128"' in lines and 'http_proxy="http://user:a\\$b@proxy:3128"' in lines
    assert not any(line.startswith("HTTPS_PROXY") for line in lines)
    (without,) = [line for line in lines if line.startswith("NO_PROXY=")]
    assert {".example.com", "10.0.0.1", "10.96.0.0/12", "10.244.0.0/16", "192.18.255.0/24", ".svc"} <= set(without[10:-1].split(","))
    (mode,) = [file["mode"] for file in config(wanted)["storage"]["files"] if file["path"] == "/etc/ocne/proxy.env"]
    assert mode == 0o600, "there may be a password in it"
    for name in ("crio.service", "ocne-update.service", "rpm-ostreed.service"):
        assert unit(wanted, name)["dropins"] == [{"name": "proxy.conf", "contents": "[Service]\nEnvironmentFile=/etc/ocne/proxy.env\n"}]
    assert "proxy" not in json.dumps(config(a_node()))


def test_trusted_authorities_and_the_users_key() -> None:
    wanted = a_node(ca_certificates="PEM\n", ssh_public_key=" ssh-ed25519 AAAA me\n")
    assert text(wanted, "/etc/pki/ca-trust/source/anchors/ocne-images.pem") == "PEM\n"
    assert "update-ca-trust" in unit(wanted, "ocne-images-ca-trust.service")["contents"]
    user = {"name": "ocne", "groups": ["wheel"], "shell": "/usr/bin/rescue.sh"}
    assert config(wanted)["passwd"]["users"] == [{**user, "sshAuthorizedKeys": ["ssh-ed25519 AAAA me"]}]
    assert config(a_node())["passwd"]["users"] == [user]


def test_a_second_network_card_is_the_nodes_and_no_way_out() -> None:
    wanted = a_node(interface="enp1s0")
    assert "DEFROUTE=no\n" in text(wanted, "/etc/sysconfig/network-scripts/ifcfg-enp1s0")
    assert "Environment=NET_INTERFACE=enp1s0\n" in unit(wanted, "ocne.service")["dropins"][0]["contents"]


def documents(version: str) -> tuple[dict[str, Any], dict[str, Any]]:
    init, cluster = (json.loads(part) for part in kubeadm.kubeadm_config(a_node(version)).split("---\n"))
    return init, cluster


@pytest.mark.parametrize(("version", "format"), [("1.26", "v1beta3"), ("1.30.3", "v1beta3"), ("1.31", "v1beta4"), ("1.33", "v1beta4")])
def test_kubeadm_gets_the_format_that_it_reads(version: str, format: str) -> None:
    for document in documents(version):
        assert document["apiVersion"] == f"kubeadm.k8s.io/{format}"


def test_what_kubeadm_is_to_do() -> None:
    init, cluster = documents("1.33")
    assert init["skipPhases"] == ["preflight", "addon/kube-proxy", "addon/coredns"]
    assert init["nodeRegistration"]["taints"] == [], "the only node works, too"
    assert {"name": "node-ip", "value": "NODE_IP"} in init["nodeRegistration"]["kubeletExtraArgs"]
    assert init["timeouts"]["controlPlaneComponentHealthCheck"] == "1200s"
    assert cluster["imageRepository"] == REGISTRY and cluster["etcd"] == {"local": {"imageTag": "3.5.23"}}
    assert cluster["controlPlaneEndpoint"] == "NODE_IP:6443" and "127.0.0.1" in cluster["apiServer"]["certSANs"]
    older_init, older = documents("1.30")
    assert (init["kind"], cluster["kind"]) == ("InitConfiguration", "ClusterConfiguration")
    assert init["localAPIEndpoint"] == {"advertiseAddress": "NODE_IP", "bindPort": 6443}
    assert init["certificateKey"] == a_node().certificate_key
    assert older["apiServer"]["timeoutForControlPlane"] == "1200s" and "timeouts" not in older_init
    assert older_init["nodeRegistration"]["kubeletExtraArgs"]["node-ip"] == "NODE_IP"
    assert documents("1.40")[1]["etcd"] == {"local": {}}, "an etcd that is not known is kubeadm's choice"


def run_start_script(folder: Path, *, address: str = "10.0.0.5", action: str = "init", joined: bool = False) -> tuple[str, list[str], str]:
    """What the script says, the programs that it has run, and the configuration as kubeadm gets it."""
    programs, system = folder / "bin", folder / "etc"
    programs.mkdir()
    (system / "kubernetes").mkdir(parents=True)
    (system / "kubernetes/kubeadm.conf").write_text("NODE_IP KUBERNETES_VERSION\n")
    if joined:
        (system / "kubernetes/kubelet.conf").touch()
    for name, does in {
        "systemctl": "",
        "journalctl": "echo LAST WORDS",
        "ip": f"echo '2: enp0s2    inet {address}/24 brd 10.0.0.255 scope global enp0s2'" if address else "",
        "kubeadm": 'if [ "$1" = version ]; then echo v1.33.5+2.el8; else grep -q bad "$CONFIG" && exit 3; fi; true',
        "sleep": "exec /bin/sleep 0.01",
    }.items():
        (programs / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/log\nCONFIG={system}/kubernetes/kubeadm.conf\n{does}\n')
        (programs / name).chmod(0o755)
    script = folder / "ocne.sh"
    script.write_text(scripts.START_SCRIPT.replace("/etc/", f"{system}/").replace("sleep 30", "exec /bin/sleep 30"))
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "ACTION": action, "NET_INTERFACE": "enp0s2"}
    result = subprocess.run(
        ["bash", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False
    )
    log = (folder / "log").read_text().splitlines() if (folder / "log").exists() else []
    return result.stdout + f"status {result.returncode}", log, (system / "kubernetes/kubeadm.conf").read_text()


def test_the_node_starts_its_cluster(tmp_path: Path) -> None:
    said, log, configuration = run_start_script(tmp_path)
    assert said.endswith("status 0")
    assert configuration == "10.0.0.5 v1.33.5\n"
    assert (
        f"kubeadm init --config {tmp_path}/etc/kubernetes/kubeadm.conf --upload-certs --skip-token-print --skip-certificate-key-print"
        in log
    )
    assert log.index("systemctl enable --now crio.service") < len(log) - 1


def test_the_node_starts_it_once_only(tmp_path: Path) -> None:
    said, log, configuration = run_start_script(tmp_path, joined=True)
    assert said.endswith("status 0") and not log and "NODE_IP" in configuration


@pytest.mark.parametrize(("options", "reason"), [({"action": "dance"}, "ACTION is 'dance'"), ({"address": ""}, "enp0s2 has got no IPv4")])
def test_what_the_node_cannot_do_is_said(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    said, _log, _configuration = run_start_script(tmp_path, **options)
    assert reason in said and said.endswith("status 1")


def machine(**more: Any) -> ET.Element:
    names = {"name": "c-control-plane-1", "uuid": "u", "pool": "images", "disk": "d.qcow2", "ignition": "/i", "console": "/c"}
    facts = {"architecture": "amd64", "hypervisor": "qemu", "cpus": 2, "memory": 4096, "api_address": "127.0.0.1", "api_port": 6444}
    return ET.fromstring(domain.domain_xml(domain.Domain(**{**names, **facts, **more})))


def test_the_machine_boots_by_uefi_with_its_config() -> None:
    root = machine()
    (system, entry) = (root.find("os"), root.find("sysinfo/entry"))
    assert system is not None and system.get("firmware") == "efi"
    assert entry is not None and entry.attrib == {"name": "opt/com.coreos/config", "file": "/i"}
    arguments = [each.get("value") for each in root.iter("{http://libvirt.org/schemas/domain/qemu/1.0}arg")]
    assert arguments[1] == "user,id=user0,net=192.18.255.0/24,hostfwd=tcp:127.0.0.1:6444-:6443"
    assert root.find("devices/interface") is None
    features = root.find("features")
    assert features is not None and [each.tag for each in features] == ["acpi", "apic", "smm"]
    assert [root.findtext(name) for name in ("on_poweroff", "on_reboot", "on_crash")] == ["destroy", "restart", "destroy"]


@pytest.mark.parametrize(("hypervisor", "mode"), [("kvm", "host-passthrough"), ("qemu", "maximum")])
def test_its_processor(hypervisor: str, mode: str) -> None:
    root = machine(hypervisor=hypervisor)
    processor = root.find("cpu")
    assert root.get("type") == hypervisor and processor is not None and processor.get("mode") == mode


def test_the_machine_of_another_architecture_and_network() -> None:
    root = machine(architecture="arm64", network="default")
    kind, network = root.find("os/type"), root.find("devices/interface/source")
    assert kind is not None and kind.attrib == {"arch": "aarch64", "machine": "virt"}
    assert network is not None and network.get("network") == "default" and root.find("features/smm") is None


def test_a_name_cannot_break_out_of_the_description() -> None:
    assert machine(network="a'/><x>&").find("devices/interface/source").get("network") == "a'/><x>&"  # type: ignore[union-attr]


def test_volumes_are_for_their_owner_only() -> None:
    plain = ET.fromstring(domain.volume_xml(domain.Volume("v", 1 << 20, owner=(107, 108))))
    assert [plain.findtext(f"target/permissions/{name}") for name in ("mode", "owner", "group")] == ["0600", "107", "108"]
    assert plain.find("target/format").get("type") == "raw"  # type: ignore[union-attr]
    overlay = ET.fromstring(domain.volume_xml(domain.Volume("v", 30 << 30, backing="/pool/base")))
    assert (plain.findtext("capacity"), overlay.findtext("capacity")) == (str(1 << 20), str(30 << 30))
    assert overlay.find("backingStore/format").get("type") == "qcow2"  # type: ignore[union-attr]
    assert overlay.findtext("backingStore/path") == "/pool/base" and overlay.find("target/format").get("type") == "qcow2"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("images", "tag"),
    [
        ([], "current"),
        ([f"{REGISTRY}/coredns:v1.11.1"], "v1.11.1"),
        ([f"{REGISTRY}/coredns:v1.11.1", f"{REGISTRY}/coredns:current"], "current"),
        (["elsewhere/coredns:v2", f"{REGISTRY}/coredns-more:v3"], "current"),
    ],
)
def test_the_nodes_own_images_are_taken(images: list[str], tag: str) -> None:
    assert manifests.choose_tag(f"{REGISTRY}/coredns", images) == tag


def test_manifests_come_in_the_order_of_what_they_need() -> None:
    found = manifests.manifests(REGISTRY, [f"{REGISTRY}/flannel:v0.22.3-2"], "10.0.0.5", "enp0s2")
    names = [f"{each['kind']}/{each['metadata']['name']}" for each in found]
    assert names[0] == "Namespace/kube-flannel" and len(names) == len(set(names))
    assert {"DaemonSet/kube-flannel-ds", "DaemonSet/kube-proxy", "Deployment/coredns", "Service/kube-dns"} <= set(names)
    (flannel,) = [each for each in found if each["metadata"]["name"] == "kube-flannel-ds"]
    (container,) = flannel["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{REGISTRY}/flannel:v0.22.3-2" and "--iface=enp0s2" in container["args"]
    # Flannel reaches the API server before kube-proxy does its work.
    variables = {each["name"]: each.get("value") or each["valueFrom"]["fieldRef"]["fieldPath"] for each in container["env"]}
    assert (variables["KUBERNETES_SERVICE_HOST"], variables["KUBERNETES_SERVICE_PORT"]) == ("status.hostIP", "6443")
    (proxy,) = [each for each in found if each["kind"] == "ConfigMap" and each["metadata"]["name"] == "kube-proxy"]
    assert json.loads(proxy["data"]["kubeconfig.conf"])["clusters"][0]["cluster"]["server"] == "https://10.0.0.5:6443"


def test_the_kubeconfig_is_of_this_authority(tmp_path: Path) -> None:
    authority = certificates.make_authority()
    content = json.loads(certificates.kubeconfig(authority, "c", "https://127.0.0.1:6444"))
    (cluster,), (user,) = content["clusters"], content["users"]
    assert cluster["cluster"]["server"] == "https://127.0.0.1:6444" and content["current-context"] == "c"
    assert base64.b64decode(cluster["cluster"]["certificate-authority-data"]).decode() == authority.certificate
    files = {"ca": authority.certificate, "client": base64.b64decode(user["user"]["client-certificate-data"]).decode()}
    for name, pem in files.items():
        (tmp_path / name).write_text(pem)
    # Another implementation judges.
    verified = subprocess.run(
        ["openssl", "verify", "-purpose", "sslclient", "-x509_strict", "-CAfile", tmp_path / "ca", tmp_path / "client"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert verified.returncode == 0, verified.stdout + verified.stderr
    subject = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-in", tmp_path / "client"], capture_output=True, text=True, check=True
    )
    assert "system:masters" in subject.stdout and "kubernetes-admin" in subject.stdout


def test_keys_are_not_shown() -> None:
    authority = certificates.make_authority()
    shown = repr(authority) + repr(a_node())
    assert "KEY" not in shown and "ab" * 32 not in shown


def test_what_is_packed_is_what_ignition_unpacks() -> None:
    (file,) = [each for each in config(a_node())["storage"]["files"] if each["path"] == "/etc/hostname"]
    assert file["contents"]["compression"] == "gzip"
    assert gzip.decompress(base64.b64decode(file["contents"]["source"].partition("base64,")[2])) == b"c-control-plane-1\n"
