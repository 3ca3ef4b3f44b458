# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""xfsprogs of a newer Debian suite, beside the machine's own: a second opinion on filesystems, and newer defaults of mkfs.

The packages and their libraries are unpacked to a folder, and run from there with the newer loader. Nothing is installed.
OCNE_XFSPROGS_NEWER names a folder that was unpacked already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.command import CACHE

_SUITE = "trixie"
_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_PACKAGES = (
    *("xfsprogs", "libinih1", "liburcu8t64", "libblkid1", "libuuid1", "libicu76", "libc6", "libstdc++6", "libgcc-s1"),
    *("libedit2", "libbsd0", "libmd0", "libtinfo6", "libdevmapper1.02.1", "libudev1", "libcap2", "libselinux1", "libpcre2-8-0"),
)


def folder() -> Path:
    """Where the newer xfsprogs are, if they are anywhere."""
    return Path(os.environ.get("OCNE_XFSPROGS_NEWER", CACHE / f"xfsprogs-{_SUITE}"))


def exists() -> bool:
    return (folder() / "usr/sbin/xfs_repair").exists()


def prepare() -> bool:
    """Fetch and unpack them, where they are not there yet. Where that fails, it is said loudly, and False."""
    if exists():
        return True
    temporary = folder().with_name(f"{folder().name}.{os.getpid()}")
    try:
        _fetch(temporary)
        temporary.rename(folder())
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"\nNO NEWER xfs_repair: xfsprogs of Debian {_SUITE} cannot be had here ({error}).", file=sys.stderr)
        print("The filesystems are judged by this machine's own xfs_repair alone.\n", file=sys.stderr, flush=True)
        return False
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return True


def _fetch(target: Path) -> None:
    state = target / "apt"
    for place in ("lists/partial", "cache/archives/partial", "parts", "packages"):
        (state / place).mkdir(parents=True)
    (state / "sources.list").write_text(f"deb [signed-by={_KEYS}] {_mirror()} {_SUITE} main\n")
    options = {
        "Dir::Etc::sourcelist": state / "sources.list",
        "Dir::Etc::sourceparts": state / "parts",
        "Dir::State::lists": state / "lists",
        "Dir::Cache": state / "cache",
        "APT::Sandbox::User": "root",
    }
    apt = ["apt-get", "-q", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    _quietly([*apt, "update"], state)
    _quietly([*apt, "download", *_PACKAGES], state / "packages")
    for package in sorted((state / "packages").glob("*.deb")):
        _quietly(["dpkg-deb", "--extract", str(package), str(target)], state)
    shutil.rmtree(state)


def _mirror() -> str:
    """The mirror of Debian that this machine uses."""
    question = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Origin: Debian", "Label: Debian"]
    answer = subprocess.run(question, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=True).stdout.split()
    if not answer:
        raise OSError("this machine has no mirror of Debian")
    return answer[0]


def _quietly(command: list[str], place: Path) -> None:
    subprocess.run(command, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=True)


def command(tool: str) -> list[str | Path]:
    """How one of the programs is run."""
    libraries = next(folder().glob("usr/lib/*-linux-gnu"))
    loader = next(libraries.glob("ld-linux-*.so.*"))
    return [loader, "--library-path", libraries, folder() / "usr/sbin" / tool]
