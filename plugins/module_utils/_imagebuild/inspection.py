# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is on a boot disk: partitions, filesystems, boot entries, ostree deployments, files. Nothing is written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import boot_entry
from .deployments import deployments
from .disk.engines import with_disk
from .disk.interface import Disk, Filesystem, Partition
from .disk.qcow2_extents import inspect_header
from .disk.text import read_text
from .listing import Question, chosen, list_files

#: Where boot entries are, on a filesystem for them alone or on the root filesystem.
_ENTRIES = ("/loader/entries", "/boot/loader/entries")


def inspect(path: Path, engine: str, question: Question) -> dict[str, Any]:
    """Look into a qcow2 file.

    :param engine: 'native', 'guestfs', or 'auto': native, and guestfs for what that refuses.
    :returns: what describe() returns, 'size' of the file and 'virtual_size' of the disk in bytes, 'engine', 'engine_reason',
        and 'files' where a path is asked for.
    :raises BuildError: it is no such file, it is damaged, or what is asked for is not there.
    """
    inspect_header(path)

    def look(disk: Disk) -> dict[str, Any]:
        found = describe(disk, question.partition if not question.path else "")
        return {**found, "files": list_files(disk, question)} if question.path else found

    found, used, reason = with_disk(path, engine, False, look)
    return {"format": "qcow2", "size": path.stat().st_size, **found, "engine": used, "engine_reason": reason}


def describe(disk: Disk, partition: str = "") -> dict[str, Any]:
    """The disk as plain values.

    :param partition: label or number of the only partition to tell of; '' for all.
    :returns: 'virtual_size', 'partition_table', 'partitions', 'filesystems', 'boot_entries' (the one that boots first), 'deployments',
        and of the deployment that boots: 'commit', 'version', 'kernel', 'architecture', 'kubernetes_version', 'os_release', 'provider'.
    """
    told = chosen(disk, partition)
    filesystems = [disk.open(each) for each in disk.partitions if each.filesystem in ("xfs", "vfat")]
    deployed = [
        {"partition": each.partition.label, **deployment}
        for each in filesystems
        if each.partition.filesystem == "xfs"
        for deployment in deployments(each)
    ]
    entries = [entry for each in filesystems for entry in _boot_entries(each)]
    for entry in entries:
        entry["deployment"] = _deployment(filesystems, deployed, entry["kernel_arguments"])
    booted = next((entry for entry in entries if entry["deployment"]), entries[0] if entries else {})
    system = next((each for each in deployed if each["path"] == booted.get("deployment")), deployed[0] if len(deployed) == 1 else {})
    arguments = booted.get("kernel_arguments", [])
    names = ("commit", "version", "kernel", "architecture", "kubernetes_version")
    return {
        "virtual_size": disk.table.disk_size,
        "partition_table": {"type": "gpt", "uuid": disk.table.uuid, "sector_size": disk.table.sector_size},
        "partitions": [_partition(each) for each in told],
        "filesystems": [_filesystem(each) for each in told if each.filesystem],
        "boot_entries": entries,
        "deployments": deployed,
        **{name: system.get(name, "") for name in names},
        "os_release": system.get("os_release", {}),
        "provider": _last(arguments, boot_entry.PLATFORM),
    }


def _partition(partition: Partition) -> dict[str, Any]:
    return {
        "number": partition.number,
        "label": partition.label,
        "type": partition.partition_type,
        "uuid": partition.partition_uuid,
        "start": partition.start,
        "size": partition.size,
    }


def _filesystem(partition: Partition) -> dict[str, Any]:
    return {
        "partition": partition.label,
        "number": partition.number,
        "type": partition.filesystem,
        "uuid": partition.uuid,
        "label": partition.filesystem_label,
    }


def _boot_entries(filesystem: Filesystem) -> list[dict[str, Any]]:
    """In the order in which a boot loader shows them: the highest version first."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for folder in _ENTRIES:
        try:
            place = filesystem.resolve(folder)
            names = boot_entry.names(filesystem, folder) if place not in seen else []
        except (FileNotFoundError, NotADirectoryError):
            continue
        seen.add(place)  # a boot filesystem has a symlink /boot that leads to itself
        for name in names:
            path = f"{folder}/{name}"
            text = read_text(filesystem, path)
            fields = boot_entry.fields(text)
            found.append(
                {
                    "partition": filesystem.partition.label,
                    "path": path,
                    **{key: fields.get(key, "") for key in ("title", "version", "linux", "initrd")},
                    "kernel_arguments": boot_entry.arguments(text),
                }
            )
    return sorted(found, key=_boot_order, reverse=True)


def _boot_order(entry: dict[str, Any]) -> tuple[Any, ...]:
    """Numbers compare as numbers: version 10 comes after 9."""
    pieces = re.findall(r"[0-9]+|[^0-9]+", f"{entry['version']} {entry['path']}")
    # What is a digit to str.isdigit() need not be one to int(), as a superscript.
    return tuple((0, int(piece[:20]), "") if "0" <= piece[0] <= "9" else (1, 0, piece) for piece in pieces)


def _deployment(filesystems: Sequence[Filesystem], deployed: Sequence[dict[str, Any]], arguments: Sequence[str]) -> str:
    """The path of the deployment that the argument ostree= leads to; '' where it leads to none."""
    link = _last(arguments, "ostree")
    paths = {each["path"] for each in deployed}
    for filesystem in filesystems if link and paths else ():
        try:
            path = filesystem.resolve(link)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if path in paths:
            return path
    return ""


def _last(arguments: Sequence[str], name: str) -> str:
    values = [argument.partition("=")[2] for argument in arguments if argument.startswith(f"{name}=")]
    return values[-1] if values else ""
