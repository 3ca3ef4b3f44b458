# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""mkfs, loop devices, mounts, and the judges of XFS filesystems. Needs root."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import newer_xfsprogs

_SHUTDOWN_IOCTL = 0x8004587D  # XFS_IOC_GOINGDOWN
_SHUTDOWN_LOGFLUSH = 1


class ToolError(RuntimeError):
    """A tool did not do what the test needs."""


def run(*command: str | Path, check: bool = True, given: str = "") -> tuple[int, str]:
    """(exit status, output and errors)"""
    done = subprocess.run(
        [str(part) for part in command], input=given.encode(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False
    )
    output = done.stdout.decode(errors="replace")
    if check and done.returncode:
        raise ToolError(f"{' '.join(map(str, command))}: {output[-2000:]}")
    return done.returncode, output


def make_filesystem(device: str, options: Sequence[str], newer: bool = False) -> tuple[int, str]:
    tool: list[str | Path] = newer_xfsprogs.command("mkfs.xfs") if newer else ["mkfs.xfs"]
    return run(*tool, "--unsupported", "-q", "-f", "-K", *options, device, check=False)


@contextmanager
def loop_device(file: Path, start: int, size: int) -> Iterator[str]:
    for _turn in range(50):
        status, output = run("losetup", "--find", "--show", "--offset", str(start), "--sizelimit", str(size), file, check=False)
        if not status:
            break
        time.sleep(0.2)  # another process took the device that was found
    else:
        raise ToolError(output)
    device = output.strip()
    try:
        yield device
    finally:
        run("losetup", "--detach", device)


@contextmanager
def mounted(device: str, place: Path, options: str = "noatime") -> Iterator[Path]:
    place.mkdir(exist_ok=True)
    run("mount", "-t", "xfs", "-o", options, device, place)
    try:
        yield place
    finally:
        run("umount", place)


def pull_the_plug(place: Path) -> None:
    """Shut the mounted filesystem down with a dirty log."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        fcntl.ioctl(descriptor, _SHUTDOWN_IOCTL, struct.pack("I", _SHUTDOWN_LOGFLUSH))
    finally:
        os.close(descriptor)


def repair(device: str, newer: bool = False) -> tuple[int, str]:
    """xfs_repair -n: (0, …) where it finds nothing wrong."""
    tool: list[str | Path] = newer_xfsprogs.command("xfs_repair") if newer else ["xfs_repair"]
    with open(device, "rb") as file:  # noqa: PTH123
        groups = int.from_bytes(file.read(512)[88:92], "big")
    status, output = run(*tool, "-n", *(["-o", "force_geometry"] if groups == 1 else []), device, check=False)
    told = [line for line in output.splitlines() if not line.strip().startswith(("- ", "Phase", "No modify"))]
    return status, "\n".join(told)


def block_usage(device: str) -> tuple[int, str]:
    """xfs_db's own accounting of every block: (0, '') where each is used once, free once, or counted as shared."""
    return run("xfs_db", "-r", "-c", "blockget", device, check=False)


def superblock_uuids(device: str, groups: int) -> set[str]:
    """The UUIDs in all copies of the superblock."""
    commands = [part for group in range(groups) for part in ("-c", f"sb {group}", "-c", "print uuid")]
    _status, output = run("xfs_db", "-r", *commands, device)
    return {line.partition(" = ")[2] for line in output.splitlines()}


def read_by_grub(disk: Path, path: str) -> bytes | None:
    """A file of the first partition as GRUB's own filesystem code reads it; None where GRUB cannot read this filesystem."""
    done = subprocess.run(["grub-fstest", str(disk), "cat", f"(loop0,gpt1){path}"], capture_output=True, check=False)
    return None if done.returncode else done.stdout
