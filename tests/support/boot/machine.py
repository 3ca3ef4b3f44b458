# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Boots a disk in QEMU by UEFI, on a network of its own with DHCP, DNS and the metadata service. As root.

Everything runs in namespaces for network, processes and mounts, which end with the process that made them: whatever
happens, nothing is left, and machines that boot side by side do not meet.

    python -m tests.support.boot.machine < a Job as JSON    prints a Boot as JSON
"""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.boot import metadata
from tests.support.boot.console import failures
from tests.support.command import ROOT, run

#: What the lease says: as in a virtual cloud network of OCI.
HOST_NAME, DOMAIN = "node7", "nodes.vcn1.oraclevcn.com"
HOST_ADDRESS, ROUTER = "10.0.0.7", "10.0.0.1"

_HARDWARE_ADDRESS = "52:54:00:12:34:07"
_FIRMWARE, _VARIABLES = (Path(f"/usr/share/OVMF/OVMF_{name}_4M.fd") for name in ("CODE", "VARS"))


@dataclass(frozen=True)
class Boot:
    """What came of a boot.

    :param ended: 'powered off', 'failed' (the console told a failure, and the machine was stopped), or 'overdue'.
    :param console: all that stood on it.
    :param failures: what is wrong by the console: kind and line.
    :param facts: what the system told of itself when it was up.
    :param requests: to the metadata service.
    """

    ended: str
    console: str
    failures: dict[str, str]
    facts: dict[str, str]
    requests: list[metadata.Request]
    seconds: float


@dataclass(frozen=True)
class Job:
    """:param user_data: for an instance of Oracle Cloud, and for one of OpenStack."""

    disk: str
    for_oracle: str
    for_openstack: str
    limit: float


def boot(disk: Path, *, for_oracle: str, for_openstack: str, limit: float = 900) -> Boot:
    """Boot a disk, which stays as it is, until it powers itself off, fails, or the limit in seconds is over."""
    command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    job = json.dumps(dataclasses.asdict(Job(str(disk), for_oracle, for_openstack, limit)))
    found = json.loads(run(*command, sys.executable, "-B", "-m", "tests.support.boot.machine", stdin=job, cwd=ROOT))
    return Boot(**{**found, "requests": [metadata.Request(**request) for request in found["requests"]]})


def main() -> None:
    job = Job(**json.load(sys.stdin))
    with tempfile.TemporaryDirectory(prefix="boot-") as name:
        print(json.dumps(dataclasses.asdict(_run(job, Path(name)))))


def _run(job: Job, folder: Path) -> Boot:
    started = time.monotonic()
    with _network(folder), metadata.serve(job.for_oracle.encode(), job.for_openstack.encode()) as requests:
        with _virtual_machine(Path(job.disk), folder) as machine:
            ended = _watch(machine, folder / "console", started + job.limit)
        console = _text(folder / "console")
        facts = dict(re.findall(r"^(\w+)=(.*)$", _text(folder / "report"), re.MULTILINE))
        return Boot(ended, console, failures(console), facts, list(requests), time.monotonic() - started)


def _watch(machine: subprocess.Popen[bytes], console: Path, deadline: float) -> str:
    while machine.poll() is None:
        if failures(_text(console)):
            time.sleep(5)  # so that it can say more; what is seen is seen
            return "failed"
        if time.monotonic() > deadline:
            return "overdue"
        time.sleep(1)
    return "powered off"


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace") if path.exists() else ""


@contextmanager
def _network(folder: Path) -> Iterator[None]:
    """An interface for the machine, and who answers there: the router, which is the name server, too, at the metadata service's address."""
    run("ip", "link", "set", "lo", "up")
    run("ip", "tuntap", "add", "tap0", "mode", "tap")
    for address in (f"{ROUTER}/24", f"{metadata.ADDRESS}/32"):
        run("ip", "address", "add", address, "dev", "tap0")
    run("ip", "link", "set", "tap0", "up")
    options = {
        "interface": "tap0",
        "dhcp-range": f"{HOST_ADDRESS},{HOST_ADDRESS},255.255.255.0,1h",
        "dhcp-host": f"{_HARDWARE_ADDRESS},{HOST_ADDRESS},{HOST_NAME}",
        "domain": DOMAIN,
        "host-record": f"{HOST_NAME}.{DOMAIN},{HOST_ADDRESS}",
        "dhcp-option": f"option:dns-server,{metadata.ADDRESS}",
        "dhcp-leasefile": str(folder / "leases"),
        "log-facility": str(folder / "dnsmasq.log"),
        "user": "root",
        "conf-file": "/dev/null",
    }
    words = [f"--{name}={value}" for name, value in options.items()]
    with _running("dnsmasq", "--keep-in-foreground", "--bind-dynamic", "--no-resolv", "--no-hosts", "--dhcp-authoritative", *words):
        yield


@contextmanager
def _virtual_machine(disk: Path, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    variables = folder / "variables"
    shutil.copy(_VARIABLES, variables)
    devices: Mapping[str, str] = {
        "virtio-scsi-pci": "",
        "scsi-hd": "drive=disk,bootindex=0",
        "virtio-net-pci": f"netdev=net,mac={_HARDWARE_ADDRESS},romfile=",
        "virtio-rng-pci": "",
        "virtio-serial-pci": "",
        "virtserialport": "chardev=report,name=report",
    }
    command = ["qemu-system-x86_64", "-nodefaults", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,-svm", "-smp", "1"]
    command += ["-m", "1024", "-display", "none", "-vga", "std", "-no-reboot"]
    command += ["-drive", f"if=pflash,format=raw,unit=0,readonly=on,file={_FIRMWARE}"]
    command += ["-drive", f"if=pflash,format=raw,unit=1,file={variables}"]
    command += ["-drive", f"if=none,id=disk,format=qcow2,snapshot=on,cache=unsafe,file={disk}"]
    command += ["-netdev", "tap,id=net,ifname=tap0,script=no,downscript=no"]
    command += ["-chardev", f"file,id=report,path={folder / 'report'}", "-serial", f"file:{folder / 'console'}"]
    for name, options in devices.items():
        command += ["-device", f"{name},{options}".rstrip(",")]
    with _running(*command) as process:
        yield process


@contextmanager
def _running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    # What it says on its standard error is in the error of run().
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait()


if __name__ == "__main__":
    main()
