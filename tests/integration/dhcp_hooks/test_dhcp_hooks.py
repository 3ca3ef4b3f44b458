# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The scripts that a node in OCI gets, run for real: in a mount and UTS namespace with files of its own in /etc."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.dhcp_hooks import DHCLIENT_PLUGIN, DISPATCHER, HOST_NAME

from tests.support.command import run

LEASE = {
    "DHCP4_IP_ADDRESS": "10.0.0.7",
    "DHCP4_HOST_NAME": "node7",
    "DHCP4_DOMAIN_NAME": "nodes.vcn1.oraclevcn.com",
}
HOSTS = "127.0.0.1 localhost\n"
RESOLV = "nameserver 169.254.169.254\nsearch example.com vcn1.oraclevcn.com\n"


class Node:
    """A root filesystem as the scripts see it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.etc = folder / "etc"
        (self.etc / "dhcp/dhclient.d").mkdir(parents=True)
        (folder / "bin").mkdir()
        self._script("etc/oci-dhclient.sh", HOST_NAME)
        self._script("etc/dhcp/dhclient.d/oci.sh", DHCLIENT_PLUGIN)
        self._script("etc/11-dhclient", DISPATCHER)
        # What only a booted node has; each notes how it was called.
        for name, script in {"nmcli": "exit 0", "getent": "exit 0", "logger": "exit 0", "sleep": "exit 0"}.items():
            self._script(f"bin/{name}", f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{script}\n')
        (self.etc / "hosts").write_text(HOSTS)
        (self.etc / "resolv.conf").write_text(RESOLV)

    def _script(self, name: str, text: str) -> None:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o755)

    def dispatch(self, action: str = "up", **lease: str) -> str:
        """Call the dispatcher as NetworkManager does; what the stand-ins for the node's programs were called with."""
        (self.folder / "calls").unlink(missing_ok=True)
        tools = "/usr/bin:/bin:/usr/sbin:/sbin"
        script = f"mount --bind {self.etc} /etc && exec /etc/11-dhclient eth0 {action}"
        subprocess.run(
            ["unshare", "--mount", "--uts", "sh", "-c", script],
            env={"PATH": f"{self.folder}/bin:{tools}", **(lease or LEASE)},
            check=True,
            timeout=300,
        )
        calls = self.folder / "calls"
        return calls.read_text() if calls.exists() else ""

    def preserve(self, value: int) -> None:
        (self.etc / "oci-hostname.conf").write_text(f"# comment\nPRESERVE_HOSTINFO={value}\n")

    @property
    def hosts(self) -> str:
        return (self.etc / "hosts").read_text()

    @property
    def search(self) -> list[str]:
        lines = (self.etc / "resolv.conf").read_text().splitlines()
        return next(line for line in lines if line.startswith("search")).split()[1:]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_lease_gives_name_hosts_and_search_domains(node: Node) -> None:
    calls = node.dispatch()
    assert "nmcli general hostname node7\n" in calls
    assert "getent -s dns ahosts node7.nodes.vcn1.oraclevcn.com\n" in calls
    assert node.hosts == HOSTS + "10.0.0.7 node7.nodes.vcn1.oraclevcn.com node7\n"
    assert node.search == ["nodes.vcn1.oraclevcn.com", "vcn1.oraclevcn.com", "example.com"]
    assert "nameserver 169.254.169.254\n" in (node.etc / "resolv.conf").read_text()


def test_a_second_lease_replaces_the_line_of_the_first(node: Node) -> None:
    node.dispatch()
    before = (node.etc / "hosts").stat().st_ino
    node.dispatch("dhcp4-change")
    assert node.hosts.count("node7") == 2 and (node.etc / "hosts").stat().st_ino == before
    node.dispatch("dhcp4-change", **{**LEASE, "DHCP4_IP_ADDRESS": "10.0.0.8"})
    assert node.hosts == HOSTS + "10.0.0.8 node7.nodes.vcn1.oraclevcn.com node7\n"


@pytest.mark.parametrize(("preserve", "named", "listed", "searched"), [(0, 1, 1, 1), (1, 0, 1, 1), (2, 0, 0, 1), (3, 0, 0, 0)])
def test_preserve_hostinfo_says_what_stays(node: Node, preserve: int, named: bool, listed: bool, searched: bool) -> None:
    node.preserve(preserve)
    calls = node.dispatch()
    assert ("nmcli" in calls, "node7" in node.hosts, "nodes.vcn1.oraclevcn.com" in node.search) == (named, listed, searched)


def test_a_down_and_other_actions_change_nothing(node: Node) -> None:
    for action in ("down", "pre-up", "hostname"):
        assert "nmcli" not in node.dispatch(action)
    assert node.hosts == HOSTS


def test_the_boot_does_not_fail_and_does_not_wait_for_ever(node: Node) -> None:
    for name in ("nmcli", "getent"):
        (node.folder / "bin" / name).write_text(f"#!/bin/sh\necho {name} >> {node.folder}/calls\nexit 2\n")
    assert node.dispatch().count("getent") == 61
    assert "node7" in node.hosts


@pytest.mark.parametrize(
    "lease",
    [
        {"DHCP4_IP_ADDRESS": "10.0.0.7; reboot", "DHCP4_HOST_NAME": "node7"},
        {"DHCP4_IP_ADDRESS": "10.0.0.7", "DHCP4_HOST_NAME": "$(touch /etc/owned)", "DHCP4_DOMAIN_NAME": "a b\nnameserver 6.6.6.6"},
        {"DHCP4_HOST_NAME": "node7"},
    ],
)
def test_a_lease_is_not_trusted(node: Node, lease: dict[str, str]) -> None:
    node.dispatch(**lease)
    assert node.hosts == HOSTS and "6.6.6.6" not in (node.etc / "resolv.conf").read_text()
    assert not (node.etc / "owned").exists()


def test_a_resolv_conf_that_is_a_symlink_stays_one(node: Node) -> None:
    (node.etc / "resolv.conf").rename(node.etc / "real.conf")
    (node.etc / "resolv.conf").symlink_to("real.conf")
    node.dispatch()
    assert (node.etc / "resolv.conf").is_symlink() and node.search[0] == "nodes.vcn1.oraclevcn.com"


@pytest.mark.parametrize("script", [DISPATCHER, DHCLIENT_PLUGIN, HOST_NAME])
def test_shellcheck_finds_nothing(script: str, tmp_path: Path) -> None:
    path = tmp_path / "script.sh"
    path.write_text(script)
    run("shellcheck", path)
