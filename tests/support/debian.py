# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Debian root file systems for containers and virtual machines, from the mirrors that this machine uses."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.command import as_root, run

# A systemd newer than bookworm's refuses hosts with version 1 of control groups, unless it is told.
SUITE = "bookworm"
#: What nothing in a container reads.
LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")
#: What costs time at each boot of a virtual machine and serves nobody there.
_MASKED = (
    "systemd-random-seed",
    "e2scrub_reap",
    "systemd-hwdb-update",
    "systemd-pcrphase",
    "systemd-pcrphase-sysinit",
    "systemd-timesyncd",
)


def bootstrap(packages: Sequence[str], output: Path, *options: str, suite: str = SUITE) -> None:
    """Install these packages and what they need into a folder, or into a tar where the name ends so.

    :param options: further options of mmdebstrap.
    :param suite: of which release of Debian.
    """
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", f"--include={','.join(packages)}"]
    command += ["--aptopt=APT::Install-Recommends false", *(f"--dpkgopt=path-exclude={path}" for path in LEFT_OUT), *options]
    run(*as_root([*command, suite, output, "-"]), stdin=_sources(suite))


def quieten(root: Path, units: Sequence[str]) -> None:
    """Let a virtual machine start these units when it boots, and nothing else that only packages asked for."""
    for wants in root.glob("etc/systemd/system/*.wants"):
        shutil.rmtree(wants)
    for name in _MASKED:
        (root / f"etc/systemd/system/{name}.service").symlink_to("/dev/null")
    preset = "".join(f"enable {unit}\n" for unit in units) + "disable *\n"
    (root / "usr/lib/systemd/system-preset/50-standin.preset").write_text(preset)


def make_initrd(
    root: Path, settings: Mapping[str, str], modules: Sequence[str], scripts: Mapping[str, Path], programs: Mapping[str, Path]
) -> tuple[Path, Path]:
    """A virtual machine's kernel, and an initial file system for it, by initramfs-tools.

    :param settings: variables of initramfs.conf.
    :param scripts: hooks and scripts, by their place in /etc/initramfs-tools.
    :param programs: for the hooks, by their names; there they are /usr/lib/<name>/<name>, and gone afterwards.
    """
    tools = root / "etc/initramfs-tools"
    for name, program in programs.items():
        (root / f"usr/lib/{name}").mkdir()
        shutil.copy(program, root / f"usr/lib/{name}/{name}")
    settings = {"MODULES": "list", "COMPRESS": "zstd", "BUSYBOX": "y", **settings}
    (tools / "conf.d/standin").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    (tools / "modules").write_text("".join(f"{module}\n" for module in modules))
    for place, script in scripts.items():
        shutil.copy(script, tools / place)
        (tools / place).chmod(0o755)
    version = next((root / "lib/modules").iterdir()).name
    run("chroot", root, "update-initramfs", "-u", "-k", version)
    for name in programs:
        shutil.rmtree(root / f"usr/lib/{name}")
    return root / f"boot/vmlinuz-{version}", root / f"boot/initrd.img-{version}"


def _sources(suite: str) -> str:
    """The mirrors of this machine, in whichever way they are written down."""
    mirrors = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    security = [mirror for mirror in mirrors if re.search("security", mirror)]
    others = [mirror for mirror in mirrors if mirror not in security]
    if not others:
        raise RuntimeError("apt knows no mirror: run apt-get update")
    lines = [f"deb {others[0]} {suite} main"] + ([f"deb {security[0]} {suite}-security main"] if security else [])
    return "".join(f"{line}\n" for line in lines)
