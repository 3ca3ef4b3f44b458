# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kind needs: its command, a docker daemon, and a node image, pulled or built; and a cluster made of them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import debian, machine
from tests.support.command import CACHE, run
from tests.support.kind import component_images, docker, image_archive, node_image, programs
from tests.support.kind.programs import SOURCE, Go, build_kind
from tests.support.machine import say

FOLDER = CACHE / "kind"
KUBECONFIG = FOLDER / "kubeconfig"
NAME = f"ocne-images-tests-{docker.CHECKOUT}"


@dataclass(frozen=True)
class Tools:
    """All that a cluster is made with.

    :param node_image: its name; the docker daemon has it.
    :param environment: variables with which kind and docker work (PATH, and DOCKER_HOST for a daemon of our own).
    """

    node_image: str
    environment: dict[str, str]


def tools() -> Tools:
    """Make the machine ready for kind. Seconds where that was done before, minutes where the node image has to be built."""
    with _locked():
        machine.install_packages(("a cluster",))
        daemon = docker.environment()
        key = _key()
        program = FOLDER / f"bin-{key}/kind"
        if not program.exists():
            program.parent.mkdir(parents=True, exist_ok=True)
            build_kind(Go(), program)
        path = os.pathsep.join([str(program.parent), os.environ["PATH"]])
        return Tools(_node_image(key, daemon), {"PATH": path, **daemon})


def up(name: str = NAME, kubeconfig: Path = KUBECONFIG) -> Tools:
    """tools(), and a cluster that is ready: the one that runs, else a new one in place of what an earlier run has left."""
    found = tools()
    where = ["--name", name, "--kubeconfig", str(kubeconfig)]
    if _is_ready(name, found):
        run("kind", "export", "kubeconfig", *where, env=found.environment)
        return found
    say(f"make the cluster {name}")
    run("kind", "delete", "cluster", *where, env=found.environment)
    run("kind", "create", "cluster", *where, "--image", found.node_image, "--wait", "180s", env=found.environment)
    return found


def _is_ready(name: str, found: Tools) -> bool:
    node, variables = f"{name}-control-plane", {**os.environ, **found.environment}
    made_of = subprocess.run(
        ["docker", "inspect", "--format", "{{.Config.Image}}", node], capture_output=True, text=True, env=variables, check=False
    )
    kubectl = ["kubectl", "--kubeconfig=/etc/kubernetes/admin.conf", "--request-timeout=10s", "get", "--raw=/readyz"]
    return made_of.stdout.strip() == found.node_image and _docker(found.environment, "exec", node, *kubectl)


def down(name: str = NAME, kubeconfig: Path = KUBECONFIG) -> None:
    """Remove the cluster, and end the docker daemon if it is ours. Nothing is installed or started for that."""
    daemon, kind = docker.found(), FOLDER / f"bin-{_key()}/kind"
    if daemon is not None and kind.exists():
        run(kind, "delete", "cluster", "--name", name, "--kubeconfig", kubeconfig, env=daemon)
    docker.stop()


def _key() -> str:
    """What the node image and kind are made of."""
    modules = (component_images, debian, image_archive, node_image, programs)
    sources = [*(Path(str(module.__file__)) for module in modules), *SOURCE.rglob("*")]
    digest = hashlib.sha256()
    for path in sorted(path for path in sources if path.is_file()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def archive() -> Path:
    """The node image as it is built here, an archive of 'docker save' in zstd; built where it is missing, which takes minutes."""
    with _locked():
        machine.install_packages(("a cluster",))
        return _archive(_key())


def _archive(key: str) -> Path:
    path = FOLDER / f"node-{key}.tar.zst"
    if not path.exists():
        for old in FOLDER.glob("node-*.tar.zst"):
            old.unlink()
        _clear(FOLDER / "work")
        node_image.build(path, _name(key), FOLDER / "work")
    return path


def _name(key: str) -> str:
    return f"ocne-images-tests/node:{key}"


def _node_image(key: str, daemon: dict[str, str]) -> str:
    ours = _name(key)
    if _has(ours, daemon):
        return ours
    if not (FOLDER / f"node-{key}.tar.zst").exists():
        released = _released()
        if _has(released, daemon) or _pull(released, daemon):
            return released
        say(f"{released} cannot be pulled here: build a node image")
    say("load the node image")
    with subprocess.Popen(["zstd", "--quiet", "-dc", "--long=27", _archive(key)], stdout=subprocess.PIPE) as unpacking:
        subprocess.run(["docker", "load", "--quiet"], stdin=unpacking.stdout, env={**os.environ, **daemon}, stdout=-3, check=True)
    return ours


def _clear(work: Path) -> None:
    """End and unmount what a build that was killed left in its folder."""
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if (process / "root").readlink().is_relative_to(work.resolve()):
                os.kill(int(process.name), signal.SIGKILL)
    places = [Path(line.split()[1]) for line in Path("/proc/self/mounts").read_text().splitlines()]
    for place in reversed([place for place in places if place.is_relative_to(work.resolve())]):
        run("umount", "--lazy", place)


def _released() -> str:
    """The node image that this version of kind was released with."""
    source = Go().module_folder("kind", "sigs.k8s.io/kind") / "pkg/apis/config/defaults/image.go"
    found = re.search(r'const Image = "(\S+)"', source.read_text())
    assert found, source
    return found.group(1)


def _has(image: str, daemon: dict[str, str]) -> bool:
    return _docker(daemon, "image", "inspect", image)


def _pull(image: str, daemon: dict[str, str]) -> bool:
    say(f"pull {image}")
    return _docker(daemon, "pull", "--quiet", image)


def _docker(daemon: dict[str, str], *arguments: str) -> bool:
    return subprocess.run(["docker", *arguments], capture_output=True, env={**os.environ, **daemon}, check=False).returncode == 0


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
