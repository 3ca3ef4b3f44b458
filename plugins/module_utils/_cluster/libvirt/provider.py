# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters of one virtual machine that boots an OCK image, by libvirt (https://libvirt.org)."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Protocol

from ... import _kubernetes_client as kube
from ... import _platform
from ..._errors import OcneError
from ..._files import locked
from ..._imagebuild.progress import Progress
from .. import receipts
from ..receipts import Receipt
from . import certificates, host, ignition
from .domain import Domain, Volume, domain_xml
from .node import NETWORK_INTERFACE, USER_INTERFACE, Node, Proxy
from .setup import Setup
from .storage import Pool, Storage, find_pool
from .virsh import Virsh, VirshError

DEFAULT_URI = "qemu:///session"
DEFAULT_POOL = "images"
#: Longest wait for another run that uploads the same image.
_UPLOAD_TIMEOUT = 3600
#: Seconds without a word after which a processor is taken for one that does not run.
_SILENCE = 30
#: Seconds within which firmware has said that it finds nothing to boot, on a slow and busy host, too.
_FIRMWARE = 300
_GIB = 1 << 30

_PORT_TAKEN = re.compile(r"host forwarding rule|Address already in use", re.IGNORECASE)
_NO_KVM = re.compile(r"kvm", re.IGNORECASE)
#: A bootstrap token, a key in hex, and one in PEM.
_TOKEN = re.compile(r"\b[a-z0-9]{6}\.[a-z0-9]{16}\b|\b[0-9a-f]{64}\b|-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END|\Z)", re.DOTALL)
#: What UEFI firmware says when it has nothing to boot from.
_NOTHING_BOOTS = re.compile(rb"No bootable option or device was found|Shell> |failed to load Boot0001 .* Not Found\W+$")


class BootDisk(Protocol):
    """The disk image that nodes boot from."""

    def digest(self, architecture: str) -> str:
        """What identifies it for machines of this architecture, 'sha256:…'; moves a few kilobytes.

        :raises OcneError: it is not there.
        """

    def file(self) -> AbstractContextManager[Path]:
        """The verified qcow2 image of that digest, while the block lasts; fetched where it has to be.

        :raises OcneError: it cannot be fetched, or no machine can boot from it.
        """


@dataclass(frozen=True)
class Machine:
    """A virtual machine, as libvirt tells."""

    uuid: str
    name: str
    running: bool


class Libvirt:
    """libvirt, and the boot image that its machines get.

    :raises OcneError: it cannot be reached, or can make no machines.
    """

    name = "libvirt"

    def __init__(self, params: Mapping[str, Any], progress: Progress, boot_disk: BootDisk) -> None:
        self._params = params
        self._progress = progress
        self._boot_disk = boot_disk
        known = receipts.read(params["name"])
        owned = known.owned if known and known.provider == self.name else {}
        self._virsh = Virsh(params["connection_uri"] or owned.get("connection_uri") or DEFAULT_URI)
        self._host = host.parse_capabilities(self._virsh.call("capabilities"))

    def machines(self, name: str) -> list[Machine]:
        """The machine of the cluster of that name, whoever made it."""
        machine = _machine_name(name)
        found = self._virsh.find("domuuid", machine)
        state = self._virsh.find("domstate", machine) if found else None
        return [Machine(found.strip(), machine, state.strip() == "running")] if found and state else []

    def reserve(self) -> dict[str, Any]:
        """The names and UUIDs of all that will be made."""
        name, params = _machine_name(self._params["name"]), self._params
        host.check_firmware(self._virsh, self._host)
        host.check_memory(self._virsh, params["memory"])
        if params["network"]:
            host.check_network(self._virsh, params["network"])
        version = params["kubernetes_version"] or _platform.DEFAULT_KUBERNETES_VERSION
        digest = self._boot_disk.digest(self._host.architecture)
        pool = self._pool()
        volumes = {"disk": f"{name}.qcow2", "ignition": f"{name}-init.ign", "console": f"{name}-console.log"}
        base = f"boot.qcow2-{version}-{digest.partition(':')[2][:16]}"
        self._check_names(pool, volumes.values(), base)
        return {
            "connection_uri": self._virsh.uri,
            "uuid": str(uuid.uuid4()),
            "pool": pool.receipt(),
            "volumes": volumes,
            "base": base,
            "kubernetes_version": version,
            "source": digest,
        }

    def is_ours(self, machine: Machine, receipt: Receipt) -> bool:
        """Whether the receipt names this very machine."""
        return bool(machine.uuid == receipt.owned["uuid"])

    def differences(self, receipt: Receipt) -> list[str]:
        """In what the cluster that is there is not the one that is asked for, for people."""
        asked, there = self._params["kubernetes_version"], receipt.owned["kubernetes_version"]
        return [f"it has Kubernetes {there}, and {asked} is asked for"] if asked and asked != there else []

    def create(self, receipt: Receipt) -> dict[str, Any]:
        """Make the machine and start it. With how it runs and where its API server will be."""
        owned, volumes = receipt.owned, receipt.owned["volumes"]
        storage = Storage.open(self._virsh, Pool.of(owned["pool"]))
        owner = None if self._virsh.is_session and os.geteuid() else self._host.owner
        address = host.api_address(self._virsh)
        with self._base(storage, owned["base"], owner):
            config = ignition.ignition_config(self._node(receipt, address))
            storage.create(Volume(volumes["ignition"], len(config), owner=owner))
            storage.write(volumes["ignition"], config)
            size = self._params["disk_size"] * _GIB
            storage.create(Volume(volumes["disk"], size, backing=storage.path(owned["base"]), owner=owner))
        hypervisor, port = self._start_new(receipt, storage, address)
        return {**owned, "hypervisor": hypervisor, "server": f"https://{self._virsh.host or address}:{port}"}

    def kubeconfig(self, name: str) -> bytes:
        """A kubeconfig of the cluster's administrator, with a certificate made for it."""
        receipt = receipts.read(name)
        storage = Storage.find(self._virsh, Pool.of(receipt.owned["pool"])) if receipt else None
        if not receipt or not storage:
            raise OcneError(f"The storage of the cluster {name} is gone.", "Set force to make it anew.")
        config = storage.read(receipt.owned["volumes"]["ignition"])
        certificate, key = (ignition.file_content(config, path).decode() for path in (ignition.CA_CERTIFICATE, ignition.CA_KEY))
        return certificates.kubeconfig(certificates.Authority(certificate, key), name, receipt.owned["server"])

    def complete(self, receipt: Receipt, access: kube.Access, deadline: float) -> None:
        """Wait until the API server answers, and give the cluster its network, kube-proxy and DNS."""
        setup = Setup(access, self._interface)
        firmware_works_until = time.monotonic() + _FIRMWARE
        while True:
            try:
                return setup.advance()
            except kube.ClusterError as error:
                if time.monotonic() >= deadline:
                    raise OcneError(f"{_machine_name(receipt.name)} did not become a cluster in time. {error.message}", "") from error
                self._progress(f"wait for {_machine_name(receipt.name)}", 0, None)
            self._check_alive(receipt)
            if time.monotonic() < firmware_works_until:
                self._check_boots(receipt)
            time.sleep(5)

    def last_words(self, receipt: Receipt) -> str:
        """The end of what the machine has said on its console, for people; '' where it has said nothing."""
        storage = Storage.find(self._virsh, Pool.of(receipt.owned["pool"]))
        name = receipt.owned["volumes"]["console"]
        if not storage or name not in storage.names():
            return ""
        return readable(storage.read(name, last=1 << 14))

    def start(self, machines: Sequence[Machine]) -> None:
        """Start machines that were stopped, as by a restart of the host."""
        for machine in machines:
            try:
                self._virsh.call("start", machine.uuid)
            except VirshError as error:
                hint = "Another program has its port: end that, or set force to make the cluster anew."
                raise OcneError(
                    f"{machine.name} could not be started: {error.reason}.",
                    hint if _PORT_TAKEN.search(error.reason) else "Set force to make it anew.",
                ) from error

    def remove(self, receipt: Receipt, machines: Sequence[Machine]) -> None:
        """Remove the machine, its volumes, and what no other cluster of ours needs: boot image and pool."""
        for machine in machines:
            if self._virsh.call("domstate", machine.uuid).strip() != "shut off":
                self._virsh.call("destroy", machine.uuid)
            self._virsh.call("undefine", machine.uuid, "--nvram", "--managed-save", "--snapshots-metadata")
        storage = Storage.find(self._virsh, Pool.of(receipt.owned["pool"]))
        if storage:
            for name in receipt.owned["volumes"].values():
                storage.delete(name)
            others = [other.owned for other in receipts.all_of(self.name) if other.name != receipt.name]
            if receipt.owned["base"] not in [other["base"] for other in others] and not storage.has_overlays(receipt.owned["base"]):
                storage.delete(receipt.owned["base"])
            if receipt.owned["pool"]["uuid"] not in [other["pool"]["uuid"] for other in others]:
                storage.close()
        if self._virsh.is_session and not self._virsh.host:
            cache = os.environ.get("XDG_CACHE_HOME") or str(Path("~/.cache").expanduser())
            Path(cache, "libvirt/qemu/log", f"{_machine_name(receipt.name)}.log").unlink(missing_ok=True)

    def _pool(self) -> Pool:
        """The storage pool; ours to remove where another cluster of ours has made it."""
        pool = find_pool(self._virsh, self._params["storage_pool"] or DEFAULT_POOL, DEFAULT_POOL)
        known = [Pool.of(other.owned["pool"]) for other in receipts.all_of(self.name)]
        return next((other for other in known if other.uuid == pool.uuid), pool)

    def _check_names(self, pool: Pool, names: Iterable[str], base: str) -> None:
        """See that no volume that we shall make is somebody else's.

        :raises OcneError: one is.
        """
        storage = Storage.find(self._virsh, pool)
        there = storage.names() if storage else []
        taken = sorted(set(names) & set(there))
        if storage and base in there and base not in [other.owned["base"] for other in receipts.all_of(self.name)]:
            taken += [] if storage.is_image(base) else [base]
        if taken:
            raise OcneError(
                f"The storage pool {pool.name} has {', '.join(taken)} already, and no receipt says that it was made here.",
                "Choose another name, or remove it (virsh vol-delete).",
            )

    @property
    def _interface(self) -> str:
        return NETWORK_INTERFACE if self._params["network"] else USER_INTERFACE

    def _node(self, receipt: Receipt, address: str) -> Node:
        authority = certificates.make_authority()
        proxy, ca_file = self._params["proxy"] or {}, self._params["ca_certificates"]
        return Node(
            _machine_name(receipt.name),
            receipt.owned["kubernetes_version"],
            authority.certificate,
            authority.key,
            secrets.token_hex(32),
            addresses=tuple(dict.fromkeys(filter(None, ("127.0.0.1", "localhost", address, self._virsh.host)))),
            interface=self._interface,
            startup_timeout=max(self._params["wait_timeout"], 240),
            proxy=Proxy(proxy.get("http") or "", proxy.get("https") or "", proxy.get("no_proxy") or ""),
            ca_certificates=Path(ca_file).read_text("utf-8") if ca_file else "",
            ssh_public_key=self._params["ssh_public_key"] or "",
        )

    @contextlib.contextmanager
    def _base(self, storage: Storage, name: str, owner: Optional[tuple[int, int]]) -> Iterator[None]:
        """The boot image in the pool, uploaded where it is missing, and not removed by another run while the block lasts."""
        with locked(receipts.path(name), _UPLOAD_TIMEOUT):
            if name in storage.names() and not storage.is_image(name):
                storage.delete(name)  # what a killed run of ours has left: reserve() has seen to that
            if name not in storage.names():
                with self._boot_disk.file() as path:
                    size = path.stat().st_size
                    room, needed = storage.available(), size + self._params["disk_size"] * _GIB
                    if room < needed:
                        raise OcneError(
                            f"The storage pool {storage.pool.name} has {room / _GIB:.1f} GiB left; the boot image and the node's disk "
                            f"may take {needed / _GIB:.1f} GiB.",
                            "Free some, or set disk_size.",
                        )
                    storage.create(Volume(name, size, owner=owner))
                    storage.upload_image(name, path, self._progress)
                if name not in storage.names() or not storage.is_image(name):
                    raise OcneError(f"The volume {name} is no qcow2 image after its upload.", "Run again.")
            yield

    def _start_new(self, receipt: Receipt, storage: Storage, address: str) -> tuple[str, int]:
        """Define the machine and start it, with the first port that is free, and with KVM where that works."""
        volumes = receipt.owned["volumes"]
        hypervisors, ports = list(self._host.hypervisors), host.free_ports(address)
        while hypervisors and ports:
            domain = Domain(
                _machine_name(receipt.name),
                receipt.owned["uuid"],
                self._host.architecture,
                hypervisors[0],
                self._params["cpus"],
                self._params["memory"],
                storage.pool.name,
                volumes["disk"],
                storage.path(volumes["ignition"]),
                storage.path(volumes["console"]),
                address,
                ports[0],
                self._params["network"] or "",
            )
            try:
                self._virsh.call("define", "/dev/stdin", stdin=domain_xml(domain))
                self._virsh.call("start", domain.uuid)
                if domain.hypervisor == "qemu" or self._speaks(storage, volumes["console"]):
                    return domain.hypervisor, domain.api_port
                # A device /dev/kvm that exists need not work, and nothing but a machine tells.
                self._virsh.call("destroy", domain.uuid)
                hypervisors.pop(0)
            except VirshError as error:
                if _PORT_TAKEN.search(error.reason):
                    ports.pop(0)
                elif hypervisors[0] == "kvm" and len(hypervisors) > 1 and _NO_KVM.search(error.reason):
                    hypervisors.pop(0)
                else:
                    raise OcneError(
                        f"libvirt could not start {domain.name}: {error.reason}.", "See the log of QEMU, and of libvirt."
                    ) from error
        if not hypervisors:
            raise OcneError("The machine says nothing under KVM, and libvirt has no emulation.", "Install qemu-system.")
        raise OcneError(f"No port from 6443 up is free on {address} for the API server.", "End a program that listens there.")

    def _speaks(self, storage: Storage, console: str) -> bool:
        """Whether the machine says something on its console, as firmware does within seconds."""
        deadline = time.monotonic() + _SILENCE
        while time.monotonic() < deadline:
            time.sleep(1)
            if console in storage.names() and storage.read(console, last=1):
                return True
        return False

    def _check_alive(self, receipt: Receipt) -> None:
        """See that the machine still runs.

        :raises OcneError: it does not.
        """
        state = (self._virsh.find("domstate", receipt.owned["uuid"]) or "gone").strip()
        if state != "running":
            raise OcneError(f"{_machine_name(receipt.name)} is {state} before its cluster was ready.", "")

    def _check_boots(self, receipt: Receipt) -> None:
        """See that the machine has found something to boot, by what its firmware says.

        :raises OcneError: it has not.
        """
        storage = Storage.find(self._virsh, Pool.of(receipt.owned["pool"]))
        name = receipt.owned["volumes"]["console"]
        if storage and name in storage.names() and _NOTHING_BOOTS.search(storage.read(name, last=1 << 12)):
            raise OcneError("The image does not boot by UEFI.", "Choose an OCK boot image.")


def _machine_name(cluster: str) -> str:
    return f"{cluster}-control-plane-1"


def readable(console: bytes, lines: int = 25) -> str:
    """The last lines of what a machine has said on its console, without what moves a terminal's cursor, and without tokens."""
    text = re.sub(r"\x1b(\[[0-9;?=]*[A-Za-z]|[()].|[=>c])", "", console.decode(errors="replace")).replace("\r", "\n")
    text = _TOKEN.sub("…", text)
    kept = ["".join(each for each in line if each.isprintable()).rstrip() for line in text.split("\n")]
    return "\n".join([line for line in kept if line][-lines:])
