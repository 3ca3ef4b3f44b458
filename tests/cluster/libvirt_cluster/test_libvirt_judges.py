# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The real Ignition and the real kubeadm judge what a node gets."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._cluster.libvirt import certificates, ignition, kubeadm
from ansible_collections.ocne.images.plugins.module_utils._cluster.libvirt.node import NETWORK_INTERFACE, Node, Proxy

from tests.support.kind import cluster
from tests.support.ock_node import programs


def a_node(version: str) -> Node:
    authority = certificates.make_authority()
    return Node(
        "c-control-plane-1",
        version,
        authority.certificate,
        authority.key,
        "ab" * 32,
        interface=NETWORK_INTERFACE,
        proxy=Proxy("http://user:pass@proxy:3128", "http://proxy:3128", ".example.com"),
        ca_certificates=authority.certificate,
        ssh_public_key="ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHh6x3NsZ0NsTtTl2h0m5p3d5p7mJXoI7p0oQW1rV9nF me",
    )


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of Kubernetes in one program, from the archive of kind's node image."""
    folder = tmp_path_factory.mktemp("programs")
    with (
        subprocess.Popen(["zstd", "--quiet", "-dc", "--long=27", cluster.archive()], stdout=subprocess.PIPE) as unpacking,
        subprocess.Popen(["tar", "-xO", "layer.tar"], stdin=unpacking.stdout, stdout=subprocess.PIPE) as layer,
    ):
        subprocess.run(["tar", "-x", "-C", folder, "./usr/bin/everything"], stdin=layer.stdout, check=True)
    return folder / "usr/bin/everything"


@pytest.mark.parametrize("version", ["1.30", "1.33"])
def test_ignition_takes_the_config_without_a_word(tmp_path: Path, version: str) -> None:
    path = tmp_path / "config.ign"
    path.write_bytes(ignition.ignition_config(a_node(version)))
    result = subprocess.run([programs.program("ignition-validate"), path], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


@pytest.mark.parametrize("version", ["1.30", "1.33"])
def test_kubeadm_takes_its_configuration(tmp_path: Path, everything: Path, version: str) -> None:
    path = tmp_path / "kubeadm.conf"
    config = kubeadm.kubeadm_config(a_node(version))
    path.write_text(config.replace("NODE_IP", "192.18.255.15").replace("KUBERNETES_VERSION", "v1.34.4"))
    command = ["kubeadm", "config", "validate", "--config", str(path)]
    result = subprocess.run(command, executable=everything, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    damaged = path.with_name("damaged.conf")
    damaged.write_text(path.read_text().replace('"certificateKey"', '"certificate"'))
    assert subprocess.run([*command[:-1], str(damaged)], executable=everything, capture_output=True, check=False).returncode
