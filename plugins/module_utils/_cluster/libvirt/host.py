# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The host that libvirt makes machines on: what it can do, and what it has left."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Optional
from xml.etree import ElementTree as ET

from ... import _platform
from ..._errors import OcneError
from .domain import ARCHITECTURES
from .virsh import HINT_WITHOUT, Virsh, VirshError

_API_PORTS = range(6443, 6543)


@dataclass(frozen=True)
class Host:
    """What libvirt's host can do.

    :param architecture: as container images name it.
    :param hypervisors: what libvirt offers for it: 'qemu' (emulation), and 'kvm' where it has that.
    :param owner: user and group that its virtual machines run as; None where that is not said, as in a session.
    """

    architecture: str
    hypervisors: tuple[str, ...]
    owner: Optional[tuple[int, int]]


def parse_capabilities(text: str) -> Host:
    """The host in what 'virsh capabilities' prints.

    :raises OcneError: it can make no machine of its own architecture.
    """
    root = ET.fromstring(text)
    name = str(root.findtext("host/cpu/arch"))
    if name not in _platform.ARCHITECTURES:
        raise OcneError(f"OCK images exist for amd64 and arm64, and libvirt's host is {name}.", "Choose another host with connection_uri.")
    guests = [guest.find(f"arch[@name='{name}']") for guest in root.iter("guest") if guest.findtext("os_type") == "hvm"]
    kinds = {str(domain.get("type")) for guest in guests if guest is not None for domain in guest.iter("domain")}
    if not kinds & {"kvm", "qemu"}:
        raise OcneError(f"libvirt has no QEMU for {name}.", f"Install it (qemu-system-{name.partition('_')[0]}, qemu-kvm). {HINT_WITHOUT}")
    return Host(_platform.ARCHITECTURES[name], tuple(kind for kind in ("kvm", "qemu") if kind in kinds), _owner(root))


def _owner(root: ET.Element) -> Optional[tuple[int, int]]:
    """User and group of machines, as '+107:+107', by the security model of file ownership."""
    for model in root.iter("secmodel"):
        label = model.findtext("baselabel") or ""
        numbers = label.replace("+", "").split(":")
        if model.findtext("model") == "dac" and len(numbers) == 2 and all(number.isdigit() for number in numbers):
            return int(numbers[0]), int(numbers[1])
    return None


def check_firmware(virsh: Virsh, host: Host) -> None:
    """See that machines can boot by UEFI there.

    :raises OcneError: they cannot.
    """
    architecture, machine = ARCHITECTURES[host.architecture]
    try:
        text = virsh.call("domcapabilities", "--arch", architecture, "--machine", machine, "--virttype", host.hypervisors[-1])
    except VirshError as error:
        raise OcneError(f"libvirt cannot make a machine of the kind {machine}: {error.reason}.", HINT_WITHOUT) from error
    firmwares = [value.text for enum in ET.fromstring(text).iterfind("os/enum[@name='firmware']") for value in enum]
    if "efi" not in firmwares:
        raise OcneError(
            f"libvirt at {virsh.uri} has no UEFI firmware for {architecture}, by which OCK images boot.",
            "Install it (edk2-ovmf, ovmf; for arm64 edk2-aarch64, qemu-efi-aarch64).",
        )


def check_memory(virsh: Virsh, wanted: int) -> None:
    """See that so many MiB are free.

    :raises OcneError: they are not.
    """
    facts = {}
    for line in virsh.call("nodememstats").splitlines():
        name, _colon, value = line.partition(":")
        facts[name.strip()] = int(value.split()[0]) if value.split() else 0
    free = sum(facts.get(name, 0) for name in ("free", "buffers", "cached")) >> 10
    if free < wanted:
        raise OcneError(f"The node is to have {wanted} MiB of memory, and libvirt's host has {free} MiB left.", "Free some, or set memory.")


def check_network(virsh: Virsh, name: str) -> None:
    """See that libvirt has an active network of that name.

    :raises OcneError: it has not.
    """
    active = virsh.call("net-list", "--name").split()
    if name not in active:
        raise OcneError(f"libvirt at {virsh.uri} has no active network {name}; it has: {', '.join(active) or 'none'}.", "Set network.")


def api_address(virsh: Virsh) -> str:
    """Where libvirt's host is to listen for the API server: its loopback, or its address where it is another host."""
    if not virsh.host:
        return "127.0.0.1"
    try:
        return str(socket.getaddrinfo(virsh.host, None, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])
    except OSError as error:
        raise OcneError(f"The host {virsh.host} of connection_uri has no IPv4 address: {error.strerror}.", "Check its name.") from error


def free_ports(address: str) -> list[int]:
    """Ports for the API server, from 6443 up, that nothing listens on now, as far as can be seen from here."""
    return [port for port in _API_PORTS if address != "127.0.0.1" or _is_free(port)]


def _is_free(port: int) -> bool:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
