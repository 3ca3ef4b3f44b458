# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is to be changed on a boot disk for a provider: read the disk, decide, and say it as edits."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from . import boot_entry
from .disk.interface import Disk, Edit, Filesystem, RemoveFile, SetUuid, WriteFile
from .disk.text import read_text
from .errors import BuildError
from .providers import PROVIDERS

BOOT, ROOT = "boot", "root"
ENTRIES = "/loader/entries"
#: Raised when the same input and options are to give another result, so that older results are made anew.
CONVERSION_VERSION = 1
#: The time that changed files get: the one that ostree gives to everything it checks out.
TIMESTAMP = 0

#: Files of that name below a folder of deployments; each deployment has one or two.
_MOST_MACHINE_IDS = 1000
#: Arguments whose values the conversion, or the deployment, determines.
_OWNED = (boot_entry.PLATFORM, "root", "ostree")

#: Where the UUIDs of converted filesystems come from: a UUID made for this purpose alone.
_NAMESPACE = uuid.UUID("c0a4a2f6-5a3e-4b0e-9e5b-6d6f7b1f7a51")


@dataclass(frozen=True)
class Options:
    """What is asked for.

    :param ignition_provider: Ignition's platform id; '' for the provider's own.
    :param kernel_arguments: to be appended to each boot entry.
    """

    provider: str
    ignition_provider: str = ""
    kernel_arguments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conversion:
    """The edits, and the same for people: what each thing was, and what it becomes.

    :param changes: {'uuids': {label: {'before', 'after'}}, 'boot_entries': {path: {'before', 'after'}} (kernel arguments),
        'fstab': {path: {'before', 'after'}}, 'added': [path], 'removed': [path]}; paths of fstab, added and removed are on root.
    """

    edits: tuple[Edit, ...]
    changes: dict[str, Any]


def plan_conversion(disk: Disk, options: Options, source_digest: str) -> Conversion:
    """Decide what to change. Nothing is written.

    :param source_digest: digest of what the disk comes from; with the options it determines the new UUIDs.
    :raises BuildError: the disk is not that of an OCK node, or an option is wrong.
    """
    check_options(options)
    provider = PROVIDERS[options.provider]
    boot, root = disk.filesystem(BOOT), disk.filesystem(ROOT)
    before = {BOOT: boot.partition.uuid, ROOT: root.partition.uuid}
    if before[BOOT] == before[ROOT]:
        raise BuildError(f"The filesystems of partitions {BOOT} and {ROOT} have the same UUID, {before[BOOT]}.", "Take an OCK boot image.")
    after = {label: _derived_uuid(source_digest, options, label) for label in (BOOT, ROOT)}
    uuids = {before[label]: after[label] for label in (BOOT, ROOT)}
    platform = options.ignition_provider or provider.ignition_platform

    edits: list[Edit] = []
    changes: dict[str, Any] = {
        "uuids": {label: {"before": before[label], "after": after[label]} for label in (BOOT, ROOT)},
        "boot_entries": {},
        "fstab": {},
        "added": [],
        "removed": [],
    }
    deployments = []
    for path, text in _ostree_entries(boot):
        deployments.append(_deployment(root, path, text, before[ROOT]))
        new = boot_entry.change(text, platform, provider.consoles, uuids, options.kernel_arguments)
        if new != text:
            edits.append(WriteFile(BOOT, path, new.encode("utf-8", "surrogateescape")))
        changes["boot_entries"][path] = {"before": " ".join(boot_entry.arguments(text)), "after": " ".join(boot_entry.arguments(new))}
    for deployment in dict.fromkeys(deployments):
        fstab = f"{deployment}/etc/fstab"
        text = read_text(root, fstab)
        new = boot_entry.replace_uuids(text, uuids)
        if new != text:
            edits.append(WriteFile(ROOT, fstab, new.encode("utf-8", "surrogateescape")))
            changes["fstab"][fstab] = {"before": text, "after": new}
        for file in provider.files:
            path = f"{deployment}/{file.path}"
            edits.append(WriteFile(ROOT, path, file.content.encode(), file.mode))
            changes["added"].append(path)
    for folder in dict.fromkeys(deployment.rpartition("/")[0] for deployment in deployments):
        found = root.find(folder, "machine-id")
        if len(found) > _MOST_MACHINE_IDS:
            raise BuildError(f"{folder} on partition {ROOT} has {len(found)} files machine-id: no image has.", "Take an OCK boot image.")
        edits += [RemoveFile(ROOT, path) for path in found]
        changes["removed"] += found
    edits += [SetUuid(label, after[label]) for label in (BOOT, ROOT)]
    return Conversion(tuple(edits), changes)


def check_options(options: Options) -> None:
    """:raises BuildError: an option is not what it has to be, or speaks of what the conversion itself sets."""
    if options.ignition_provider and not re.fullmatch(r"[a-z0-9][a-z0-9-]*", options.ignition_provider):
        raise BuildError(f"{options.ignition_provider!r} is not a platform id of Ignition.", "Give one as oraclecloud or metal.")
    for argument in options.kernel_arguments:
        boot_entry.check_argument(argument)
        if argument.partition("=")[0] in _OWNED:
            raise BuildError(f"The kernel argument {argument} is set by the conversion.", "For the platform there is ignition_provider.")


def _derived_uuid(source_digest: str, options: Options, label: str) -> str:
    asked = [source_digest, options.provider, options.ignition_provider, list(options.kernel_arguments), label]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(asked)))


def _ostree_entries(boot: Filesystem) -> Sequence[tuple[str, str]]:
    """Path and text of each boot entry that starts an ostree deployment. Others (a memory test, say) are none of ours."""
    where = f"{ENTRIES} on partition {boot.partition.label}"
    try:
        names = boot_entry.names(boot, ENTRIES)
    except (FileNotFoundError, NotADirectoryError):
        names = []
    if not names:
        raise BuildError(f"The disk has no boot entry: no *.conf in {where}.", "Take an OCK boot image.")
    entries = [(f"{ENTRIES}/{name}", read_text(boot, f"{ENTRIES}/{name}")) for name in names]
    found = [(path, text) for path, text in entries if boot_entry.value(text, "ostree") is not None]
    if not found:
        raise BuildError(
            f"No boot entry in {where} starts an ostree deployment: none of {', '.join(names)} has the argument ostree=.",
            "Take an OCK boot image.",
        )
    return found


def _deployment(root: Filesystem, entry: str, text: str, root_uuid: str) -> str:
    """The path of the deployment that the entry starts, when the entry has the arguments that it must have."""
    names = boot_entry.value(text, "root")
    if names is None or names.lower() != f"uuid={root_uuid}":
        said = "has no argument root=" if names is None else f"says root={names}"
        raise BuildError(f"Boot entry {entry} {said}, the root filesystem's is UUID={root_uuid}.", "Take an OCK boot image.")
    if boot_entry.value(text, boot_entry.PLATFORM) is None:
        raise BuildError(f"Boot entry {entry} has no argument {boot_entry.PLATFORM}=.", "Take an OCK boot image.")
    link = boot_entry.value(text, "ostree")
    try:
        deployment = root.resolve(str(link))
        root.list(f"{deployment}/etc")
    except (FileNotFoundError, NotADirectoryError):
        raise BuildError(
            f"Boot entry {entry} starts {link}, and on partition {root.partition.label} that leads to no deployment.",
            "The image is damaged: fetch it again.",
        ) from None
    return deployment
