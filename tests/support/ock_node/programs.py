# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs of the node from the Go module proxy: Ignition and its validator, flannel and its CNI plugin."""

from __future__ import annotations

from pathlib import Path

from tests.support import machine
from tests.support.command import CACHE, run
from tests.support.kind.programs import Go
from tests.support.machine import say

#: The plugin was part of the CNI project up to this release; its own module is not on every proxy.
IGNITION, FLANNEL, CNI_PLUGIN = "v2.24.0", "v0.27.4", "v0.9.1"

#: Puts Ignition, which lies in /usr/lib/ignition then, into an initial file system of initramfs-tools.
INITRD_HOOK = Path(__file__).parent / "files/ignition.hook"

_IGNITION = "github.com/coreos/ignition/v2"
_FACTS = {f"{_IGNITION}/internal/version.Raw": IGNITION.lstrip("v"), f"{_IGNITION}/internal/distro.selinuxRelabel": "false"}
_FLAGS = "-trimpath -buildvcs=false -gcflags=all=-dwarf=false"
#: Each program's package, and how it is built: with C or without, static where it has to run in a container.
_PROGRAMS = {
    "ignition": (f"{_IGNITION}/internal@{IGNITION}", "1", " ".join(f"-X {name}={value}" for name, value in _FACTS.items())),
    "ignition-validate": (f"{_IGNITION}/validate@{IGNITION}", "0", ""),
    "flanneld": (f"github.com/flannel-io/flannel@{FLANNEL}", "1", "-extldflags=-static"),
    "flannel": (f"github.com/containernetworking/plugins/plugins/meta/flannel@{CNI_PLUGIN}", "0", ""),
}


def program(name: str) -> Path:
    """One of them, built where that was not done before (minutes for Ignition and flannel)."""
    package, with_c, flags = _PROGRAMS[name]
    path = CACHE / "ock-node/bin" / f"{name}-{package.rpartition('@')[2]}"
    if path.exists():
        return path
    machine.install_packages(("Go programs with C",))
    say(f"build {name} with Go")
    folder = path.parent / f"building-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    environment = {"GOBIN": str(folder), "GOTOOLCHAIN": "local", "GOFLAGS": _FLAGS, "GOGC": "400", "CGO_ENABLED": with_c}
    run(Go()._go, "install", "-tags=netgo,osusergo", f"-ldflags=-s -w {flags}", package, cwd=Path("/"), env=environment)
    (built,) = folder.iterdir()
    built.replace(path)
    folder.rmdir()
    return path
