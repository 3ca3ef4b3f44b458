# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Images for builds on a cluster, for machines that reach package registries only: made of Debian packages.

    python -m tests.support.builder_images [--engine native|guestfs]

'native' stands in for the two stock images. 'guestfs' is the one of docs/Containerfile.guestfs, on a base that stands in for
Debian's. Each is made once and kept in .cache/builder-images.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, Optional

from tests.support import debian
from tests.support.command import CACHE, ROOT, as_root, run
from tests.support.podman import Podman

CONTAINERFILE = ROOT / "docs/Containerfile.guestfs"
#: What the two stock images have: skopeo, and Python.
_NATIVE = ("ca-certificates", "python3", "skopeo")


def root_archive() -> Path:
    """A tar of the root file system of the image for the engine native."""
    return _kept("native", repr((debian.SUITE, _NATIVE, debian.LEFT_OUT)), lambda output: _bootstrap(_NATIVE, output))


def guestfs_archive() -> Path:
    """The image for the engine guestfs, as docker-archive(5)."""
    return _kept("guestfs", CONTAINERFILE.read_text(), _build)


def load(cluster: str, engine: str = "native", env: Optional[dict[str, str]] = None) -> str:
    """Put the image on the nodes of a kind cluster; its name.

    :param env: for docker and kind, where these are not in PATH.
    """
    archive = root_archive() if engine == "native" else guestfs_archive()
    name = f"localhost/ocne-images-tests/{engine}:{archive.stem.rpartition('-')[2]}"
    if not run("docker", "images", "--quiet", name, env=env).strip():
        if engine == "native":
            run("docker", "import", "--change", 'CMD ["/bin/sh"]', archive, name, env=env)
        else:
            loaded = run("docker", "load", "--quiet", "--input", archive, env=env).strip().partition(": ")[2]
            run("docker", "tag", loaded, name, env=env)
    run("kind", "load", "docker-image", name, "--name", cluster, env=env)
    return name


def _kept(engine: str, made_of: str, make: Callable[[Path], None]) -> Path:
    """The archive that was made of this, now or earlier."""
    path = CACHE / "builder-images" / f"{engine}-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}.tar"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            partial = path.with_name(f".{path.name}")
            partial.unlink(missing_ok=True)
            make(partial)
            partial.replace(path)
    return path


def _bootstrap(packages: Sequence[str], output: Path) -> None:
    debian.bootstrap(packages, output)
    if os.geteuid():
        run(*as_root(["chown", str(os.getuid()), output]))


def _build(output: Path) -> None:
    podman = Podman()
    try:
        base = output.with_suffix(".base.tar")
        _bootstrap(("ca-certificates",), base)
        podman("import", base, "localhost/base")
        base.unlink()
        options = ("--isolation=chroot", "--network=host", "--build-arg=FROM=localhost/base", f"--file={CONTAINERFILE}")
        podman("build", *options, "--tag=localhost/guestfs", CONTAINERFILE.parent)
        podman("save", f"--output={output}", "localhost/guestfs")
    finally:
        podman.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Make an image for builds on a cluster.")
    parser.add_argument("--engine", choices=("native", "guestfs"), default="native")
    print(root_archive() if parser.parse_args().engine == "native" else guestfs_archive())


if __name__ == "__main__":
    main()
