# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Go programs from the module proxy, and a toolchain that can build them."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from tests.support import machine
from tests.support.command import run
from tests.support.machine import say

SOURCE = Path(__file__).parent / "go"
#: What the modules ask for, and the release that is fetched where the machine has none that is new enough.
_NEEDED = (1, 24)
_RELEASE = "1.24.11"

# Without DWARF from the start: the linker would drop it, and it costs an eighth of the time.
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-gcflags=all=-dwarf=false")
_LEAN = "-s -w"


def version_of(module: str, package: str) -> str:
    """The version of a package that a module's go.mod requires, as 'v1.34.4'."""
    found = re.search(rf"\b{re.escape(package)} (v\S+)", (SOURCE / module / "go.mod").read_text())
    assert found, package
    return found.group(1)


class Go:
    """A Go toolchain that is new enough."""

    def __init__(self) -> None:
        self._go = _new_enough() or _fetch()

    def _run(self, *arguments: str | Path, cwd: Path) -> str:
        # Collecting garbage less often halves the time of a build, and takes no more memory than a linker.
        environment = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": " ".join(_FLAGS), "GOGC": "400"}
        return run(self._go, *arguments, cwd=cwd, env=environment)

    def build(self, module: str, package: str, output: Path, variables: dict[str, str] | None = None) -> None:
        """Build a program.

        :param module: folder of SOURCE.
        :param variables: string variables of packages that the linker sets.
        """
        say(f"build {output.name} with Go")
        flags = " ".join([_LEAN, *(f"-X {name}={value}" for name, value in (variables or {}).items())])
        self._run("build", "-ldflags", flags, "-o", output, package, cwd=SOURCE / module)

    def module_folder(self, module: str, package: str) -> Path:
        """Where the source of a required module lies."""
        return Path(json.loads(self._run("mod", "download", "-json", package, cwd=SOURCE / module))["Dir"])


def build_kind(go: Go, output: Path) -> None:
    """kind's command."""
    go.build("kind", "sigs.k8s.io/kind", output)


def build_node_programs(go: Go, folder: Path) -> None:
    """Kubernetes and etcd in one program ('everything'), CoreDNS, and pause."""
    version = version_of("node", "k8s.io/kubernetes")
    major, minor = version.lstrip("v").split(".")[:2]
    # The date has to be one; kubeadm and the version's endpoint tell the rest.
    facts = {"gitVersion": version, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z"}
    packages = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    variables = {f"{package}.{name}": value for package in packages for name, value in facts.items()}
    go.build("node", "./everything", folder / "everything", variables)
    go.build("coredns", ".", folder / "coredns")
    go.build("node", "./pause", folder / "pause")


def _installed() -> list[Path]:
    folders = [*os.environ["PATH"].split(os.pathsep), "/usr/local/go/bin", *(str(path) for path in Path("/usr/lib").glob("go-*/bin"))]
    return [Path(found) for found in (shutil.which("go", path=folder) for folder in folders) if found]


def _new_enough() -> Path | None:
    return next((go for go in _installed() if _version(go) >= _NEEDED), None)


def _version(go: Path) -> tuple[int, ...]:
    found = re.search(r"\bgo(\d+)\.(\d+)", run(go, "version", env={"GOTOOLCHAIN": "local"}))
    return tuple(int(number) for number in found.groups()) if found else (0, 0)


def _fetch() -> Path:
    """A toolchain from the module proxy, where Go keeps its releases as a module; any Go can fetch and verify one."""
    if not _installed():
        machine.install_packages(("a Go toolchain",))
    system = {"x86_64": "linux-amd64", "aarch64": "linux-arm64"}[os.uname().machine]
    say(f"fetch Go {_RELEASE}")
    module = f"golang.org/toolchain@v0.0.1-go{_RELEASE}.{system}"
    answer = json.loads(
        run(_installed()[0], "mod", "download", "-json", module, cwd=Path("/"), env={"GOTOOLCHAIN": "local", "GOFLAGS": ""})
    )
    folder = Path(answer["Dir"])
    # A module's zip keeps no modes.
    for program in [*folder.glob("bin/*"), *folder.glob("pkg/tool/*/*")]:
        program.chmod(0o755)
    return folder / "bin/go"
