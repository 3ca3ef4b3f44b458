# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk image: a virtual disk that is read at any byte, and whose changes are planned as writes to the host file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from .device import Device
from .qcow2 import Qcow2Image
from .qcow2_header import is_qcow2


class Image(Device, Protocol):
    """A virtual disk in a host file."""

    def plan(self, writes: Mapping[int, bytes]) -> dict[int, bytes]:
        """The writes to the host file (offset: bytes) which make these writes to the virtual disk. Nothing is written."""


class RawImage:
    """The host file is the virtual disk."""

    def __init__(self, file: Device) -> None:
        self.name, self.size = file.name, file.size
        self.read = file.read

    def plan(self, writes: Mapping[int, bytes]) -> dict[int, bytes]:
        return dict(writes)


def open_image(file: Device, whole: bool = False) -> Image:
    """The disk image in a host file: qcow2 by its magic, else raw. whole: as of Qcow2Image."""
    return Qcow2Image(file, whole) if is_qcow2(file) else RawImage(file)
