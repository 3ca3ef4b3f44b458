# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""libvirt by its command: what it says is understood, what it needs is checked, what it is told to do is decided."""

from __future__ import annotations

import socket
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Optional

import pytest
from ansible_collections.ocne.images.plugins.module_utils._cluster import receipts, step
from ansible_collections.ocne.images.plugins.module_utils._cluster.libvirt import host, provider, virsh
from ansible_collections.ocne.images.plugins.module_utils._cluster.receipts import Receipt
from ansible_collections.ocne.images.plugins.module_utils._errors import OcneError
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import silent

CAPABILITIES = """\
<capabilities><host><cpu><arch>{arch}</arch></cpu>
<secmodel><model>{model}</model><baselabel type='kvm'>{label}</baselabel></secmodel></host>
<guest><os_type>hvm</os_type><arch name='i686'><domain type='kvm'/></arch></guest>
<guest><os_type>hvm</os_type><arch name='x86_64'>{domains}</arch></guest></capabilities>
"""


def capabilities(arch: str = "x86_64", model: str = "dac", label: str = "+107:+108", domains: str = "<domain type='qemu'/>") -> str:
    return CAPABILITIES.format(arch=arch, model=model, label=label, domains=domains)


def test_the_host_that_libvirt_tells_of() -> None:
    found = host.parse_capabilities(capabilities(domains="<domain type='qemu'/><domain type='kvm'/>"))
    assert found == host.Host("amd64", ("kvm", "qemu"), (107, 108)), "the quicker one first"
    assert host.parse_capabilities(capabilities(model="none")).owner is None
    assert host.parse_capabilities(capabilities(label="")).owner is None
    assert host.parse_capabilities(capabilities()).hypervisors == ("qemu",)


@pytest.mark.parametrize(
    ("text", "reason"), [(capabilities(arch="s390x"), "host is s390x"), (capabilities(domains=""), "libvirt has no QEMU for x86_64")]
)
def test_hosts_that_make_no_node(text: str, reason: str) -> None:
    with pytest.raises(OcneError, match=reason):
        host.parse_capabilities(text)


class Saying:
    """A virsh that gives these answers."""

    uri = "qemu:///session"
    host = ""

    def __init__(self, **answers: str) -> None:
        self.answers = {name.replace("_", "-"): answer for name, answer in answers.items()}

    def call(self, *words: str, stdin: str = "") -> str:
        return self.answers[words[0]]


def test_memory_that_is_not_there() -> None:
    saying: Any = Saying(nodememstats="total  : 8000000 KiB\nfree   : 1000000 KiB\nbuffers: 24000 KiB\ncached : 1024000 KiB\n")
    host.check_memory(saying, 2000)
    with pytest.raises(OcneError, match="4096 MiB of memory, and libvirt's host has 2000 MiB left"):
        host.check_memory(saying, 4096)


def test_firmware_and_network_that_are_not_there() -> None:
    with_firmware = "<domainCapabilities><os><enum name='firmware'>{}</enum></os></domainCapabilities>"
    known = host.parse_capabilities(capabilities())
    host.check_firmware(Saying(domcapabilities=with_firmware.format("<value>efi</value>")), known)  # type: ignore[arg-type]
    with pytest.raises(OcneError, match="no UEFI firmware for x86_64"):
        host.check_firmware(Saying(domcapabilities=with_firmware.format("")), known)  # type: ignore[arg-type]
    with pytest.raises(OcneError, match="no active network lab; it has: default"):
        host.check_network(Saying(net_list="default\n"), "lab")  # type: ignore[arg-type]


def test_a_port_that_is_taken_is_left_out() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        assert not host._is_free(listener.getsockname()[1])
    assert next(iter(host._API_PORTS)) == 6443


@pytest.mark.parametrize(
    ("uri", "reason", "advice"),
    [
        ("qemu:///system", "authentication unavailable: no polkit agent available", "join the group libvirt"),
        ("qemu:///system", "Failed to connect socket to '/run/libvirt/libvirt-sock': Permission denied", "join the group libvirt"),
        ("qemu:///system", "Failed to connect socket to '/run/libvirt/libvirt-sock': No such file or directory", "Start its daemon"),
        ("qemu+ssh://h/system", "ssh: Could not resolve hostname h", "Check the host in connection_uri"),
        ("qemu:///session", "something else", "Set connection_uri"),
    ],
)
def test_why_libvirt_is_not_there(uri: str, reason: str, advice: str) -> None:
    assert advice in virsh._advice(uri, reason)


def test_there_is_no_virsh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OcneError, match="virsh is not in PATH"):
        virsh.Virsh("qemu:///session")


def test_a_virsh_that_cannot_connect(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "virsh"
    program.write_text("#!/bin/sh\necho 'error: failed to connect to the hypervisor\nerror: access denied: not you' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    with pytest.raises(
        OcneError, match="libvirt cannot be reached at qemu:///system: failed to connect to the hypervisor access denied: not you"
    ):
        virsh.Virsh("qemu:///system")


@pytest.mark.parametrize(("often", "connects"), [(1, True), (100, False)])
def test_a_daemon_that_is_about_to_end_is_asked_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, often: int, connects: bool) -> None:
    program, asked = tmp_path / "virsh", tmp_path / "asked"
    program.write_text(
        f"#!/bin/sh\necho >> {asked}\n[ $(wc -l < {asked}) -gt {often} ] && exec echo yes\n"
        "echo 'error: failed to connect to the hypervisor\nerror: Cannot recv data: Connection reset by peer' >&2\nexit 1\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    monkeypatch.setattr(virsh, "_PAUSE", 0)
    if connects:
        assert virsh.Virsh("qemu:///session").call("list") == "yes\n"
    else:
        with pytest.raises(OcneError, match="Cannot recv data"):
            virsh.Virsh("qemu:///session")
    assert len(asked.read_text()) == (3 if connects else 4)


def test_the_reason_of_an_error() -> None:
    said = (
        "error: Failed to start domain 'x'\nerror: internal error: qemu: Could not set up host forwarding rule 'tcp:127.0.0.1:6443-:6443'\n"
    )
    assert virsh.reason_of(said).startswith("Failed to start domain 'x' internal error") and provider._PORT_TAKEN.search(
        virsh.reason_of(said)
    )
    assert virsh.reason_of("") == "no reason given"


def test_a_console_is_made_readable() -> None:
    raw = b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: loading\r\n\x1b[0;1;31mfailed\x1b[0m\r\n\0\n" + b"x\n" * 30
    assert provider.readable(raw, 32).splitlines()[:2] == ["BdsDxe: loading", "failed"]
    assert provider.readable(raw).splitlines() == ["x"] * 25


def test_a_console_tells_no_secret() -> None:
    secrets = ("xty1r8.h715u3d7mayc5ze0", "259a4463f6105f844ee73035bae0608442a2bf3cc4d1fac21f9f4f809ac8a63d", "MIIEow")
    said = f"kubeadm join h:6443 --token {secrets[0]}\n--certificate-key {secrets[1]}\n-----BEGIN RSA PRIVATE KEY-----\n{secrets[2]}\n"
    shown = provider.readable(said.encode())
    assert "kubeadm join h:6443" in shown and not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("said", [b"BdsDxe: No bootable option or device was found.\r\n", b"Press ESC in 5 seconds\r\nShell> "])
def test_firmware_that_finds_nothing_to_boot_is_understood(said: bytes) -> None:
    assert provider._NOTHING_BOOTS.search(said)
    assert not provider._NOTHING_BOOTS.search(b'BdsDxe: loading Boot0001 "UEFI QEMU"')


class Making:
    """A provider that is there, or lacks something."""

    def __init__(self, name: str, lacks: str = "") -> None:
        self.name, self.lacks = name, lacks

    def __call__(self, *_arguments: object) -> Making:
        if self.lacks:
            raise OcneError(self.lacks)
        return self

    def machines(self, name: str) -> list[Any]:
        return []

    def differences(self, receipt: Receipt) -> list[str]:
        return ["it has Kubernetes 1.32, and 1.33 is asked for"]


class Disk:
    """A boot image that nobody asks for."""

    def digest(self, architecture: str) -> str:
        raise AssertionError(architecture)

    def file(self) -> nullcontext[Path]:
        raise AssertionError


def a_step(provider: str = "auto", force: bool = False, **more: Optional[str]) -> step.Cluster:
    params = {"provider": provider, "name": "c", "state": "present", "namespace": "n", "force": force, "wait_timeout": 1}
    return step.Cluster({**params, "kubeconfig": None, "context": None, **more}, silent, Disk())


def offer(monkeypatch: pytest.MonkeyPatch, libvirt: str = "", kind: str = "") -> None:
    monkeypatch.setattr(step, "PROVIDERS", {"libvirt": Making("libvirt", libvirt), "kind": Making("kind", kind)})


@pytest.mark.parametrize(("libvirt", "taken"), [("", "libvirt"), ("no virsh.", "kind")])
def test_libvirt_comes_first_where_it_is_there(monkeypatch: pytest.MonkeyPatch, libvirt: str, taken: str) -> None:
    offer(monkeypatch, libvirt)
    assert a_step().plan().result["provider"] == taken


def test_what_each_provider_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch, "The program virsh is not in PATH.", "The program kind is not in PATH.")
    with pytest.raises(OcneError, match=r"There is no cluster: .*libvirt: The program virsh .* kind: The program kind .* Install libvirt"):
        a_step().plan()


def test_a_cluster_stays_with_what_has_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    receipts.write(Receipt("c", "kind", "", {"containers": []}))
    assert a_step().plan().result["provider"] == "kind"
    with pytest.raises(OcneError, match="has been made with kind"):
        a_step("libvirt").plan()


def test_a_cluster_of_another_version_is_told_and_made_anew_with_force(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    monkeypatch.setattr(Making, "machines", lambda _self, _name: [provider.Machine("u", "c-control-plane-1", True)])
    monkeypatch.setattr(Making, "is_ours", lambda *_arguments: True, raising=False)
    receipts.write(Receipt("c", "libvirt", "", {"uuid": "u"}, True))
    with pytest.raises(OcneError, match=r"Kubernetes 1\.32, and 1\.33 is asked for\. Set force"):
        a_step().plan()
    plan = a_step(force=True).plan()
    assert plan.actions[0].startswith("remove the libvirt cluster c: it has Kubernetes 1.32")
    assert plan.actions[1] == "make the libvirt cluster c" and plan.result["created"]


def test_receipts_that_cannot_be_read_hide_no_other(home: Path) -> None:
    for name in ("a", "b"):
        receipts.write(Receipt(name, "libvirt", "", {"base": "boot"}))
    receipts.write(Receipt("k", "kind", "", {}))
    receipts.path("a").write_text("{")
    assert [each.name for each in receipts.all_of("libvirt")] == ["b"]
