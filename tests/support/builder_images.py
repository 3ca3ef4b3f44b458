# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stand-ins for the stock images of a build on a cluster, for machines that reach package registries only: Debian packages, no more.

    python -m tests.support.builder_images [--engine native|guestfs]

The image is made once for each list of packages and kept in .cache/builder-images, as a tar of its root file system.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import re
from pathlib import Path
from typing import Optional

from tests.support.command import CACHE, as_root, run

#: Debian packages by the engine that the image is for. 'native' has what the two stock images have: skopeo, and Python.
PACKAGES = {
    "native": ("ca-certificates", "python3", "skopeo"),
    "guestfs": ("ca-certificates", "libguestfs-tools", "libguestfs-xfs", "linux-image-cloud-amd64", "python3", "qemu-utils", "skopeo"),
}
SUITE = "bookworm"
#: What nothing in a pod reads.
_LEFT_OUT = ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/info/*")


def root_archive(engine: str = "native") -> Path:
    """A tar of the image's root file system."""
    packages = PACKAGES[engine]
    key = hashlib.sha256(repr((SUITE, packages, _LEFT_OUT)).encode()).hexdigest()[:16]
    path = CACHE / "builder-images" / f"{engine}-{key}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            partial = path.with_name(f".{path.name}")
            _bootstrap(packages, partial)
            partial.replace(path)
    return path


def load(cluster: str, engine: str = "native", env: Optional[dict[str, str]] = None) -> str:
    """Put the image on the nodes of a kind cluster; its name.

    :param env: for docker and kind, where these are not in PATH.
    """
    archive = root_archive(engine)
    name = f"localhost/ocne-images-tests/{engine}:{archive.stem.rpartition('-')[2]}"
    if not run("docker", "images", "--quiet", name, env=env).strip():
        run("docker", "import", "--change", 'CMD ["/bin/sh"]', archive, name, env=env)
    run("kind", "load", "docker-image", name, "--name", cluster, env=env)
    return name


def _bootstrap(packages: tuple[str, ...], output: Path) -> None:
    command = ["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar", f"--include={','.join(packages)}"]
    command += ["--aptopt=APT::Install-Recommends false", *(f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT)]
    # libguestfs starts the kernel as whoever runs it, and Debian lets only root read one.
    command += ["--customize-hook=find $1/boot -name 'vmlinu*' -exec chmod 644 {} +"]
    run(*as_root([*command, SUITE, output, "-"]), stdin=_sources())
    if os.geteuid():
        run(*as_root(["chown", str(os.getuid()), output]))


def _sources() -> str:
    """The mirrors of this machine, in whichever way they are written down."""
    mirrors = run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()
    security = [mirror for mirror in mirrors if re.search("security", mirror)]
    others = [mirror for mirror in mirrors if mirror not in security]
    lines = [f"deb {others[0]} {SUITE} main"] + ([f"deb {security[0]} {SUITE}-security main"] if security else [])
    return "".join(f"{line}\n" for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the root file system of an image for builds on a cluster.")
    parser.add_argument("--engine", choices=PACKAGES, default="native")
    print(root_archive(parser.parse_args().engine))


if __name__ == "__main__":
    main()
