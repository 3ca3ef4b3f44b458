# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes a fresh machine (Debian or Ubuntu, with Python and git) able to run the tests: what each purpose needs, and how it gets there.

Only the standard library, and nothing of the project: this runs before anything is installed. Everything is checked
first, so that a second run does nothing.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
VENVS = ROOT / ".cache/venvs"

# QEMU and its UEFI firmware, for this machine's own architecture.
_QEMU = ("qemu-efi-aarch64", "qemu-system-arm") if os.uname().machine == "aarch64" else ("ovmf", "qemu-system-x86")
# GRUB's modules for UEFI.
_GRUB = () if os.uname().machine == "aarch64" else ("grub-efi-amd64-bin",)
# Debian packages by purpose.
PACKAGES = {
    "sample disks": ("dosfstools", "fdisk", "mtools", "ostree", "qemu-utils", "xfsprogs"),
    "the disk engine": ("fdisk", "grub-common", "qemu-utils", "xfsprogs"),
    "container images": ("skopeo", "zstd"),
    "faults at system calls": ("e2fsprogs", "strace", "xfsprogs"),
    "a registry": ("apache2-utils", "docker-registry", "openssl"),
    "the engine guestfs": ("libguestfs-tools", "libguestfs-xfs"),
    "archive containers": ("containernetworking-plugins", "curl", "gnupg", "iptables", "nftables", "nginx-light", "ostree", "podman"),
    "a host over SSH": ("openssh-client", "openssh-server"),
    "a host with systemd": ("busybox-static", "crun", "mmdebstrap", "podman"),
    "images for builds on a cluster": ("mmdebstrap", "podman"),
    "a cluster": ("iptables", "mmdebstrap", "zstd"),
    "a container engine": ("docker.io",),
    "a Go toolchain": ("golang-go",),
    "the crate ostree-ext": ("cargo", "gcc", "libc6-dev", "libostree-dev", "libssl-dev", "libzstd-dev", "ostree", "pkg-config"),
    "Go programs with C": ("gcc", "libblkid-dev", "libc6-dev"),
    "virtual machines": ("fdisk", "libvirt-clients", "libvirt-daemon", "libvirt-daemon-driver-qemu", "mmdebstrap", "mtools", *_QEMU),
    "a disk that boots": ("dnsmasq-base", "grub-common", *_GRUB),
    "linting of shell scripts": ("shellcheck",),
}
# What a package starts on a machine with systemd when it is installed; the tests start their own.
SERVICES = {"docker-registry": "docker-registry.service", "nginx-light": "nginx.service", "openssh-server": "ssh.service"}

CORES = ("2.17", "2.18", "2.19")
# The Python versions that can run each ansible-core as its controller.
CONTROLLERS = {"2.17": ((3, 10), (3, 12)), "2.18": ((3, 11), (3, 13)), "2.19": ((3, 11), (3, 13))}

Version = tuple[int, int]


class SetupError(Exception):
    """The machine cannot be made ready."""


def say(message: str) -> None:
    """Tell the user what is being done."""
    print(f"==> {message}", flush=True)


def install_packages(purposes: Iterable[str]) -> None:
    """Install the Debian packages for those purposes that are missing."""
    purposes = list(purposes)
    packages = [package for purpose in purposes for package in PACKAGES[purpose]]
    if "the engine guestfs" in purposes and not list(Path("/boot").glob("vmlinuz-*")):
        packages.append(_kernel_package())
    if "a container engine" in purposes and "VERSION_CODENAME=trixie" in Path("/etc/os-release").read_text():
        packages.append("docker-cli")  # a package of its own from there on
    _apt_install(packages)


def _kernel_package() -> str:
    """A small kernel for libguestfs' virtual machine, on a machine that has none of its own (a container)."""
    if "ubuntu" in Path("/etc/os-release").read_text():
        return "linux-image-virtual"
    return "linux-image-cloud-arm64" if os.uname().machine == "aarch64" else "linux-image-cloud-amd64"


def _apt_install(packages: Sequence[str]) -> None:
    missing = sorted(set(packages) - _installed(packages))
    if not missing:
        return
    if not shutil.which("apt-get"):
        raise SetupError(
            f"These packages are needed: {', '.join(missing)}. This is no Debian or Ubuntu: install what has them here, by hand."
        )
    say(f"install packages: {' '.join(missing)}")
    apt = ["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
    _as_root([*apt, "update"], check=False)  # one broken source of the machine's must not stop us; the install tells
    _as_root([*apt, "install", "--no-install-recommends", *missing])
    for package in missing:
        if package in SERVICES and Path("/run/systemd/system").exists():
            _as_root(["systemctl", "disable", "--now", SERVICES[package]], check=False)


def _installed(packages: Sequence[str]) -> set[str]:
    if not shutil.which("dpkg-query"):
        return set()
    command = ["dpkg-query", "--show", "--showformat=${db:Status-Abbrev} ${Package}\n", *packages]
    lines = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    return {line.split()[1] for line in lines if line.startswith("ii")}


def can_be_root() -> bool:
    """Whether commands can be run as root without a password."""
    if os.geteuid() == 0:
        return True
    return bool(shutil.which("sudo")) and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False).returncode == 0


def _as_root(command: Sequence[str], check: bool = True) -> None:
    if not can_be_root():
        raise SetupError(f"This needs root, and sudo does not work without a password here: {' '.join(command)}")
    words = list(command) if os.geteuid() == 0 else ["sudo", "-n", "--", *command]
    result = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if check and result.returncode:
        raise SetupError(f"{' '.join(words)} failed with {result.returncode}:\n{result.stdout}")


def pythons() -> dict[Version, Path]:
    """The Python interpreters of this machine that work, by version; where there are several of one, the first in PATH."""
    folders = [Path(sys.executable).parent, *(Path(name) for name in os.environ["PATH"].split(os.pathsep) if name)]
    folders += sorted(Path.home().glob(".pyenv/versions/3.*/bin"))
    found: dict[Version, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob("python3*")):
            if re.fullmatch(r"python3(\.\d+)?", path.name) and os.access(path, os.X_OK):
                version = _version(path)
                if version:
                    found.setdefault(version, path)
    return found


def _version(python: Path) -> Optional[Version]:
    command = [str(python), "-c", "import sys; print(*sys.version_info[:2])"]
    words = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    return (int(words[0]), int(words[1])) if len(words) == 2 else None


def controller(core: str) -> Path:
    """The Python that runs that version of ansible-core here: that of this process where it can, else the newest that can."""
    lowest, highest = CONTROLLERS[core]
    if lowest <= sys.version_info[:2] <= highest:
        return Path(sys.executable)
    fitting = {version: path for version, path in pythons().items() if lowest <= version <= highest}
    if not fitting:
        raise SetupError(f"ansible-core {core} runs on Python {_dotted(lowest)} to {_dotted(highest)}, and this machine has none of them.")
    return fitting[max(fitting)]


def _dotted(version: Version) -> str:
    return ".".join(str(number) for number in version)


def make_venv(name: str, python: Path, requirements: Sequence[str]) -> Path:
    """A virtual environment in .cache/venvs with these packages (as pip's arguments); made anew when they, the Python,
    or the place of the checkout change. Its folder.
    """
    VENVS.mkdir(parents=True, exist_ok=True)
    with (VENVS / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _make_venv(VENVS / name, python.resolve(), requirements)


def _make_venv(folder: Path, python: Path, requirements: Sequence[str]) -> Path:
    stamp = folder / "made-of"
    wanted = _fingerprint(folder, python, requirements)
    if stamp.exists() and stamp.read_text() == wanted:
        return folder
    if subprocess.run([python, "-c", "import ensurepip, venv"], capture_output=True, check=False).returncode:
        _apt_install(["python3-venv"])
    say(f"make the virtual environment {folder.relative_to(ROOT)} with Python {python}")
    _run([str(python), "-m", "venv", "--clear", str(folder)])
    _run([str(folder / "bin/python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "--no-input", "install", *requirements])
    stamp.write_text(wanted)
    return folder


def _fingerprint(folder: Path, python: Path, requirements: Sequence[str]) -> str:
    content = [str(folder.resolve()), str(python), str(_version(python))]
    content += [Path(word).read_text() if Path(word).is_file() else word for word in requirements]
    return hashlib.sha256("\0".join(content).encode()).hexdigest()


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        raise SetupError(f"{' '.join(command)} failed with {result.returncode}:\n{result.stdout}")


def tests_venv() -> Path:
    """The virtual environment of the tests, with the newest ansible-core."""
    return make_venv(
        f"core-{CORES[-1]}",
        controller(CORES[-1]),
        ["-r", str(ROOT / "requirements.txt"), "-r", str(ROOT / "tests/requirements.txt")],
    )


def go_on_in(venv: Path, module: str, arguments: Sequence[str]) -> None:
    """Go on in that virtual environment, with its commands in PATH: begin anew as this module, unless this process runs there."""
    os.environ["PATH"] = os.pathsep.join([str(venv / "bin"), os.environ["PATH"], "/usr/sbin", "/sbin"])
    if Path(sys.prefix).resolve() != venv.resolve():
        python = str(venv / "bin/python")
        os.execv(python, [python, "-B", "-m", module, *arguments])


def core_venv(core: str) -> Path:
    """A virtual environment with that version of ansible-core; for the newest, that of the tests."""
    if core == CORES[-1]:
        return tests_venv()
    return make_venv(f"core-{core}", controller(core), [f"ansible-core~={core}.0"])


def oldest_venv(version: Version) -> Path:
    """A virtual environment for the unit tests with that Python, older than the tests' own, as hosts may have it."""
    requirements = ["-r", str(ROOT / "requirements.txt"), "ansible-core", "pytest", "pytest-timeout", "pytest-xdist", "zstandard"]
    return make_venv(f"python-{_dotted(version)}", pythons()[version], requirements)
