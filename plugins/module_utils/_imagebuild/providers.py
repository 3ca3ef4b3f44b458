# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each provider wants of a boot image, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from . import dhcp_hooks


@dataclass(frozen=True)
class NewFile:
    """A file that the deployment gets. path is relative to the deployment's root; mode in permission bits."""

    path: str
    content: str
    mode: int


@dataclass(frozen=True)
class Provider:
    """Differences from the image as published, which is made for QEMU.

    :param ignition_platform: what Ignition calls the platform, in the argument ignition.platform.id.
    :param consoles: names of consoles, as published → as the provider has them.
    :param files: files that the deployment gets.
    """

    ignition_platform: str
    consoles: Mapping[str, str] = field(default_factory=dict)
    files: tuple[NewFile, ...] = ()


PROVIDERS: Mapping[str, Provider] = {
    "oci": Provider(
        ignition_platform="oci",
        files=(
            NewFile("etc/oci-dhclient.sh", dhcp_hooks.HOST_NAME, 0o755),
            NewFile("etc/dhcp/dhclient.d/oci.sh", dhcp_hooks.DHCLIENT_PLUGIN, 0o755),
            NewFile("etc/NetworkManager/dispatcher.d/11-dhclient", dhcp_hooks.DISPATCHER, 0o755),
        ),
    ),
    "olvm": Provider(ignition_platform="openstack", consoles={"ttyS0": "tty0"}),
}
