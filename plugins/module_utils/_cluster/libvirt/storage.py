# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Storage of libvirt: a pool, and the volumes in it that are ours by their exact names."""

from __future__ import annotations

import contextlib
import os
import tempfile
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional
from xml.etree import ElementTree as ET

from ..._errors import OcneError
from ..._imagebuild.progress import Progress
from .domain import Volume, pool_xml, volume_xml
from .virsh import Virsh, VirshError

SYSTEM_POOL = "/var/lib/libvirt/images"
#: What makes a file a qcow2 image is sent last, so that a volume that was cut short is none.
_HEADER = 1 << 16
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Pool:
    """A storage pool, there or to be made.

    :param path: its folder on libvirt's host.
    :param made: it is ours to make, and to remove with its last volume.
    :param folder_made: so is its folder.
    """

    name: str
    uuid: str
    path: str
    made: bool = False
    folder_made: bool = False

    @classmethod
    def of(cls, receipt: dict[str, Any]) -> Pool:
        return cls(**receipt)

    def receipt(self) -> dict[str, Any]:
        return asdict(self)


def find_pool(virsh: Virsh, name: str, default: str) -> Pool:
    """The pool of that name; the default one is made where it is missing, if no other has its folder.

    :raises OcneError: there is none.
    """
    text = virsh.find("pool-dumpxml", name)
    if text is not None:
        return _parse(text)
    if name != default:
        names = ", ".join(virsh.call("pool-list", "--all", "--name").split()) or "none"
        raise OcneError(f"libvirt at {virsh.uri} has no storage pool {name}; it has: {names}.", "Choose one of them, or make it.")
    path = _default_path(virsh)
    for other in virsh.call("pool-list", "--all", "--name").split():
        found = _parse(virsh.call("pool-dumpxml", other))
        if found.path.rstrip("/") == path:
            return found
    return Pool(name, str(uuid.uuid4()), path, made=True, folder_made=not virsh.host and not Path(path).exists())


def _default_path(virsh: Virsh) -> str:
    if not virsh.is_session:
        return SYSTEM_POOL
    if virsh.host:
        raise OcneError(
            f"libvirt at {virsh.uri} has no storage pool, and where its user keeps such files is not known here.",
            "Make the pool there (virsh pool-define-as).",
        )
    if os.geteuid() == 0:
        return SYSTEM_POOL  # root's session is the system's
    data = os.environ.get("XDG_DATA_HOME") or str(Path("~/.local/share").expanduser())
    return f"{data}/libvirt/images"


def _parse(text: str) -> Pool:
    root = ET.fromstring(text)
    return Pool(str(root.findtext("name")), str(root.findtext("uuid")), str(root.findtext("target/path") or ""))


class Storage:
    """The volumes of a pool that is there."""

    def __init__(self, virsh: Virsh, pool: Pool) -> None:
        self._virsh = virsh
        self.pool = pool

    @classmethod
    def open(cls, virsh: Virsh, pool: Pool) -> Storage:
        """Make the pool if it is ours to make, and start it if it does not run."""
        if virsh.find("pool-info", pool.uuid) is None:
            if not pool.made:
                raise OcneError(f"The storage pool {pool.name} of libvirt at {virsh.uri} is gone.", "Run again.")
            virsh.call("pool-define", "/dev/stdin", stdin=pool_xml(pool.name, pool.uuid, pool.path))
        if pool.made and not virsh.host:
            Path(pool.path).mkdir(parents=True, exist_ok=True)
        if not _fact(virsh.call("pool-info", pool.uuid), "State").startswith("running"):
            if pool.made and virsh.host:
                virsh.call("pool-build", pool.uuid)
            virsh.call("pool-start", pool.uuid)
        return cls(virsh, pool)

    @classmethod
    def find(cls, virsh: Virsh, pool: Pool) -> Optional[Storage]:
        """The pool's volumes; None where it is not there, and so are they not."""
        if virsh.find("pool-info", pool.uuid) is None:
            return None
        return cls.open(virsh, pool)

    def names(self) -> list[str]:
        """The volumes that are there now, by whoever made them."""
        self._virsh.call("pool-refresh", self.pool.uuid)
        lines = self._virsh.call("vol-list", self.pool.uuid).splitlines()
        return [line.split(None, 1)[0] for line in lines if line.strip()]

    def available(self) -> int:
        """Bytes that are free."""
        return int(_fact(self._virsh.call("pool-info", "--bytes", self.pool.uuid), "Available"))

    def path(self, name: str) -> str:
        """Where a volume is, or will be, on libvirt's host."""
        return f"{self.pool.path.rstrip('/')}/{name}"

    def create(self, volume: Volume) -> None:
        """Make a volume."""
        self._virsh.call("vol-create", self.pool.uuid, "/dev/stdin", stdin=volume_xml(volume))

    def write(self, name: str, content: bytes) -> None:
        """Fill a volume."""
        with self._virsh.sending("vol-upload", "--pool", self.pool.uuid, name, "/dev/stdin") as pipe:
            pipe.write(content)

    def upload_image(self, name: str, source: Path, progress: Progress) -> None:
        """Fill a volume with a qcow2 image; before the end, nothing takes it for one."""
        size = source.stat().st_size
        with source.open("rb") as file:
            header = file.read(_HEADER)
            with self._virsh.sending("vol-upload", "--pool", self.pool.uuid, name, "/dev/stdin", "--offset", str(len(header))) as pipe:
                while chunk := file.read(_CHUNK):
                    pipe.write(chunk)
                    progress("upload the boot image", file.tell(), size)
        self.write(name, header)

    def is_image(self, name: str) -> bool:
        """Whether the volume, just refreshed, is a whole qcow2 image."""
        return self._format(name) == "qcow2"

    def _format(self, name: str) -> str:
        found = ET.fromstring(self._virsh.call("vol-dumpxml", "--pool", self.pool.uuid, name)).find("target/format")
        return str(found.get("type")) if found is not None else ""

    def read(self, name: str, last: int = 0) -> bytes:
        """What a volume holds.

        :param last: bytes of its end; 0 for all of it.
        """
        size = int(_fact(self._virsh.call("vol-info", "--bytes", "--pool", self.pool.uuid, name), "Capacity"))
        offset = max(size - last, 0) if last else 0
        with tempfile.TemporaryDirectory(prefix="ocne-libvirt-") as folder:
            path = Path(folder, "volume")
            range_of = ["--offset", str(offset), "--length", str(size - offset)]
            if size > offset:
                self._virsh.call("vol-download", "--pool", self.pool.uuid, name, str(path), *range_of)
            return path.read_bytes() if path.exists() else b""

    def has_overlays(self, name: str) -> bool:
        """Whether another volume of the pool is an overlay of this one."""
        path = self.path(name)
        for other in self.names():
            text = self._virsh.find("vol-dumpxml", "--pool", self.pool.uuid, other)
            if text and ET.fromstring(text).findtext("backingStore/path") == path:
                return True
        return False

    def delete(self, name: str) -> None:
        """Remove a volume, if it is there."""
        if name in self.names():
            self._virsh.call("vol-delete", "--pool", self.pool.uuid, name)

    def close(self) -> None:
        """Remove a pool that we made, when it is empty."""
        if not self.pool.made or self.names():
            return
        self._virsh.call("pool-destroy", self.pool.uuid)
        if self.pool.folder_made:
            with contextlib.suppress(VirshError):  # it holds what is none of ours
                self._virsh.call("pool-delete", self.pool.uuid)
        self._virsh.call("pool-undefine", self.pool.uuid)


def _fact(text: str, name: str) -> str:
    """A line of a table that virsh prints, as 'State:          running'."""
    for line in text.splitlines():
        key, _colon, value = line.partition(":")
        if key.strip() == name:
            return value.replace("bytes", "").strip()
    raise OcneError(f"virsh does not tell {name}: {text[:200]!r}.")
