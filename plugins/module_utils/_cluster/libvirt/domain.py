# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The descriptions from which libvirt makes a node: storage pool, volumes, virtual machine.

Source: https://libvirt.org/format.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional
from xml.etree import ElementTree as ET

from .node import API_PORT, USER_NETWORK

IGNITION_KEY = "opt/com.coreos/config"
_QEMU = "http://libvirt.org/schemas/domain/qemu/1.0"

#: What a machine is called where libvirt makes it, by how container images call its architecture.
ARCHITECTURES = {"amd64": ("x86_64", "q35"), "arm64": ("aarch64", "virt")}


@dataclass(frozen=True)
class Domain:
    """A virtual machine that is wanted.

    :param architecture: as container images name it.
    :param hypervisor: 'kvm', or 'qemu' where the processor is emulated.
    :param memory: MiB.
    :param pool, disk: the storage pool and the volume in it to boot from.
    :param ignition, console: paths, on libvirt's host: the Ignition config, and where the console's output goes.
    :param api_address, api_port: where libvirt's host listens for the API server.
    :param network: of libvirt, in which the machine gets a second network card; '' for none.
    """

    name: str
    uuid: str
    architecture: str
    hypervisor: str
    cpus: int
    memory: int
    pool: str
    disk: str
    ignition: str
    console: str
    api_address: str
    api_port: int
    network: str = ""


def domain_xml(domain: Domain) -> str:
    """A machine that boots by UEFI from the disk, with the Ignition config in its firmware's configuration (fw_cfg)."""
    ET.register_namespace("qemu", _QEMU)
    architecture, machine = ARCHITECTURES[domain.architecture]
    root = ET.Element("domain", type=domain.hypervisor)
    _text(root, "name", domain.name)
    _text(root, "uuid", domain.uuid)
    _text(root, "memory", str(domain.memory), unit="MiB")
    _text(root, "vcpu", str(domain.cpus))
    sysinfo = ET.SubElement(root, "sysinfo", type="fwcfg")
    ET.SubElement(sysinfo, "entry", name=IGNITION_KEY, file=domain.ignition)
    system = ET.SubElement(root, "os", firmware="efi")
    _text(system, "type", "hvm", arch=architecture, machine=machine)
    firmware = ET.SubElement(system, "firmware")
    for feature in ("enrolled-keys", "secure-boot"):
        ET.SubElement(firmware, "feature", enabled="no", name=feature)
    ET.SubElement(system, "boot", dev="hd")
    features = ET.SubElement(root, "features")
    ET.SubElement(features, "acpi")
    if architecture == "x86_64":
        ET.SubElement(features, "apic")
        ET.SubElement(features, "smm", state="off")
    # Emulated, a processor has all that QEMU can do; there is no host's to pass through.
    ET.SubElement(root, "cpu", mode="host-passthrough" if domain.hypervisor == "kvm" else "maximum")
    _text(root, "on_poweroff", "destroy")
    _text(root, "on_reboot", "restart")
    _text(root, "on_crash", "destroy")
    _add_devices(ET.SubElement(root, "devices"), domain)
    # Not by <interface>, which forwards ports with passt only, and so not everywhere.
    command = ET.SubElement(root, f"{{{_QEMU}}}commandline")
    forwarding = f"hostfwd=tcp:{domain.api_address}:{domain.api_port}-:{API_PORT}"
    for argument in ("-netdev", f"user,id=user0,net={USER_NETWORK},{forwarding}", "-device", "virtio-net-pci,netdev=user0,addr=02.0"):
        ET.SubElement(command, f"{{{_QEMU}}}arg", value=argument)
    return ET.tostring(root, encoding="unicode")


def _add_devices(devices: ET.Element, domain: Domain) -> None:
    disk = ET.SubElement(devices, "disk", type="volume", device="disk")
    ET.SubElement(disk, "driver", name="qemu", type="qcow2", discard="unmap")
    ET.SubElement(disk, "source", pool=domain.pool, volume=domain.disk)
    ET.SubElement(disk, "target", dev="sda", bus="scsi")
    controller = ET.SubElement(devices, "controller", type="scsi", index="0", model="virtio-scsi")
    _pci(controller, 3)
    if domain.network:
        interface = ET.SubElement(devices, "interface", type="network")
        ET.SubElement(interface, "source", network=domain.network)
        ET.SubElement(interface, "model", type="virtio")
        _pci(interface, 1)
    for kind, target in (("serial", {}), ("console", {"type": "serial"})):
        port = ET.SubElement(devices, kind, {"type": "file"})
        ET.SubElement(port, "source", {"path": domain.console})
        ET.SubElement(port, "target", {"port": "0", **target})
    ET.SubElement(devices, "audio", id="1", type="none")
    _pci(ET.SubElement(devices, "memballoon", model="virtio"), 5)
    rng = ET.SubElement(devices, "rng", model="virtio")
    _text(rng, "backend", "/dev/urandom", model="random")


def _pci(device: ET.Element, bus: int) -> None:
    ET.SubElement(device, "address", type="pci", domain="0x0000", bus=f"0x{bus:02x}", slot="0x00", function="0x0")


def _text(parent: ET.Element, name: str, text: str, **attributes: str) -> None:
    ET.SubElement(parent, name, attributes).text = text


@dataclass(frozen=True)
class Volume:
    """A volume that is wanted.

    :param capacity: bytes.
    :param backing: path of the volume that it is an overlay of; '' for none.
    :param owner: user and group on libvirt's host; None: libvirt's own choice.
    """

    name: str
    capacity: int
    backing: str = ""
    owner: Optional[tuple[int, int]] = None


def volume_xml(volume: Volume) -> str:
    """A volume that only its owner can read: raw, to be uploaded to; or a qcow2 overlay."""
    root = ET.Element("volume")
    _text(root, "name", volume.name)
    _text(root, "capacity", str(volume.capacity), unit="bytes")
    if not volume.backing:
        _text(root, "allocation", "0", unit="bytes")
    target = ET.SubElement(root, "target")
    ET.SubElement(target, "format", type="qcow2" if volume.backing else "raw")
    permissions = ET.SubElement(target, "permissions")
    _text(permissions, "mode", "0600")
    if volume.owner:
        _text(permissions, "owner", str(volume.owner[0]))
        _text(permissions, "group", str(volume.owner[1]))
    if volume.backing:
        backing = ET.SubElement(root, "backingStore")
        _text(backing, "path", volume.backing)
        ET.SubElement(backing, "format", type="qcow2")
    return ET.tostring(root, encoding="unicode")


def pool_xml(name: str, uuid: str, path: str) -> str:
    """A storage pool that is a folder."""
    root = ET.Element("pool", type="dir")
    _text(root, "name", name)
    _text(root, "uuid", uuid)
    _text(ET.SubElement(root, "target"), "path", path)
    return ET.tostring(root, encoding="unicode")
