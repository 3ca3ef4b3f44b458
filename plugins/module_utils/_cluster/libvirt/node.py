# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node is to be: declared once, and the same for its Ignition config, its kubeadm config and its virtual machine."""

from __future__ import annotations

from dataclasses import dataclass

from ... import _platform

#: User networking, as QEMU gives it out: the gateway, its DNS server, and the first address that its DHCP server leases.
USER_NETWORK = "192.18.255.0/24"
#: Where the network cards are on the PCI bus, and so what Linux calls them (predictable names: enp<bus>s<slot>).
USER_INTERFACE, NETWORK_INTERFACE = "enp0s2", "enp1s0"

POD_SUBNET, SERVICE_SUBNET, DNS_ADDRESS = "10.244.0.0/16", "10.96.0.0/12", "10.96.0.10"
API_PORT = 6443


@dataclass(frozen=True)
class Proxy:
    """Proxies on the node's way out, as URLs; no_proxy: comma-separated hosts that are reached without."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    def __bool__(self) -> bool:
        return bool(self.http or self.https)


@dataclass(frozen=True)
class Node:
    """The only node of a cluster.

    :param name: its host's name.
    :param kubernetes_version: as '1.33' or '1.33.5'; what runs is what the image has of it.
    :param addresses: further ones under which its API server is reached.
    :param interface: network card whose address is the node's.
    :param ca_certificate, ca_key: PEM of the cluster's certificate authority.
    :param certificate_key: hex, 32 bytes: under which kubeadm keeps certificates for further control planes.
    :param startup_timeout: seconds that kubeadm waits for the control plane to come up.
    :param ca_certificates: PEM, further certificate authorities that the node trusts.
    """

    name: str
    kubernetes_version: str
    ca_certificate: str
    ca_key: str
    certificate_key: str
    addresses: tuple[str, ...] = ("127.0.0.1", "localhost")
    interface: str = USER_INTERFACE
    startup_timeout: int = 1200
    registry: str = _platform.REGISTRY
    proxy: Proxy = Proxy()
    ca_certificates: str = ""
    ssh_public_key: str = ""

    def __repr__(self) -> str:
        return f"Node(name={self.name}, kubernetes_version={self.kubernetes_version})"
