# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ostree container to an archive-mode repository, against ostree's own tools. Prints rows of a table.

    python tests/benchmarks/bench_ostree_archive.py [--gigabytes 1.4] [--folder DIR] [--levels 4 2 6] [--ostree-ext PROGRAM]

The image is a sample of this machine's /usr (every file whose path's digest falls below a bound, so that all kinds of
files are in it as often as in the whole), committed by ostree and encapsulated in 50 layers by the crate ostree-ext, which is
built with cargo where it is not given (Debian: libostree-dev, libzstd-dev, libssl-dev, pkg-config). In one run:

- theirs: `container unencapsulate` into a bare-user repository, `ostree pull-local` into an archive-mode one
- ours: the build program of ocne_ostree_archive in a new process, verifying, compressing, and writing an OCI archive

Sizes are of the objects for theirs (a container would put tar headers around them), and of the whole layer for ours.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.command import CACHE, Argument, run  # noqa: E402
from tests.support.nginx_image import write_nginx_image  # noqa: E402

CRATE = "0.15.3"
LAYERS = 48
SAMPLED = Path("/usr")

CARGO = f"""[package]
name = "ostree-ext-program"
version = "0.1.0"
edition = "2021"

[dependencies]
anyhow = "1"
ostree-ext = "={CRATE}"
tokio = {{ version = "1", features = ["full"] }}
"""
MAIN = """#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ostree_ext::cli::run_from_iter(std::env::args_os()).await
}
"""
OURS = """
import json, re, sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from pathlib import Path
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree_archive import Options, build
source, base, output = (Path(name) for name in sys.argv[2:5])
built = build(read_image(source, source / "blobs"), read_image(base, base / "blobs"), Options(compression_level=int(sys.argv[5])), output)
peak = re.search(r"VmHWM:\\s*(\\d+) kB", Path("/proc/self/status").read_text())[1]
print(json.dumps({"commit": built.commit, "size": built.size, "peak": int(peak) << 10}))
"""


@dataclass(frozen=True)
class Cost:
    """Seconds of a command and all its children."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)


def measured(*command: Argument) -> tuple[Cost, str]:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    output = run(*command)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime), output


def ostree_ext(given: Optional[Path]) -> Path:
    """The program of the crate ostree-ext; built once."""
    folder = CACHE / f"ostree-ext-{CRATE}"
    program = given or folder / "target/release/ostree-ext-program"
    if not program.exists():
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "Cargo.toml").write_text(CARGO)
        (folder / "src/main.rs").write_text(MAIN)
        subprocess.run(["cargo", "build", "--release"], cwd=folder, check=True)
    return program


def sample(size: int, tree: Path) -> tuple[int, int]:
    """Fill tree with hard links to about so many bytes of this machine's files; how many files and bytes."""
    files = []
    for folder, _folders, names in os.walk(SAMPLED):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if path.is_file() and not path.is_symlink() and status.st_dev == SAMPLED.stat().st_dev:
                files.append((hashlib.sha256(os.fsencode(path)).digest(), path, status.st_size))
    total, count = 0, 0
    for _order, path, length in sorted(files):
        if total > size:
            break
        place = tree / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.hardlink_to(path)
        total, count = total + length, count + 1
    return count, total


def make_image(program: Path, size: int, folder: Path) -> None:
    """An OCI layout 'image' in the folder; kept for the next run."""
    if (folder / "image/index.json").exists():
        return
    tree, repository = folder / "tree", folder / "source"
    count, total = sample(size, tree)
    print(f"{count} files of {SAMPLED}, {total / 1e9:.2f} GB", file=sys.stderr)
    run("ostree", "init", f"--repo={repository}", "--mode=bare-user")
    run("ostree", "commit", f"--repo={repository}", "--branch=ock", f"--tree=dir={tree}", "--add-metadata-string=version=1.33")
    shutil.rmtree(tree)
    objects = sorted(path.parent.name + path.stem for path in (repository / "objects").glob("*/*.file"))
    layers = {f"layer{number}": f"package {number}" for number in range(LAYERS)}
    mapping = {checksum: f"layer{int(checksum[:4], 16) % LAYERS}" for checksum in objects}
    (folder / "layers.json").write_text(json.dumps({"version": 1, "layers": layers, "mapping": mapping}))
    options = (f"--repo={repository}", f"--contentmeta={folder / 'layers.json'}")
    run(program, "container", "encapsulate", *options, "ock", f"oci:{folder / 'image'}:latest")
    shutil.rmtree(repository)


def measure_theirs(program: Path, folder: Path) -> tuple[Cost, int, str]:
    """Cost, bytes of the archive-mode repository, and the commit."""
    bare, archive = folder / "bare", folder / "archive"
    for path, mode in ((bare, "bare-user"), (archive, "archive")):
        shutil.rmtree(path, ignore_errors=True)
        run("ostree", "init", f"--repo={path}", f"--mode={mode}")
    source = f"ostree-unverified-image:oci:{folder / 'image'}:latest"
    first, _output = measured(program, "container", "unencapsulate", f"--repo={bare}", "--write-ref=ock", source)
    second, _output = measured("ostree", f"--repo={archive}", "pull-local", bare, "ock")
    size = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
    commit = (archive / "refs/heads/ock").read_text().strip()
    shutil.rmtree(bare)
    shutil.rmtree(archive)
    return first + second, size, commit


def row(name: str, cost: Cost, size: int, theirs: Optional[tuple[Cost, int]], peak: int = 0) -> None:
    relative = (
        f"{theirs[0].wall / cost.wall:.1f}x | {theirs[0].cpu / cost.cpu:.1f}x | {100 * (size / theirs[1] - 1):+.1f} %" if theirs else "| |"
    )
    memory = f"{peak / 1e6:.0f} MB" if peak else ""
    print(f"| {name} | {cost.wall:.1f} s | {cost.cpu:.1f} s | {size / 1e6:.0f} MB | {memory} | {relative} |", flush=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description="Measure the archive conversion beside ostree's own tools.")
    parser.add_argument("--gigabytes", type=float, default=1.4)
    parser.add_argument("--folder", type=Path, default=CACHE / "bench-ostree-archive")
    parser.add_argument("--levels", type=int, nargs="+", default=[4, 2, 6])
    parser.add_argument("--ostree-ext", type=Path)
    options = parser.parse_args(arguments)
    folder: Path = options.folder.absolute()
    program = ostree_ext(options.ostree_ext)
    folder.mkdir(parents=True, exist_ok=True)
    make_image(program, int(options.gigabytes * 1e9), folder)
    base, output = folder / "nginx", folder / "archive.tar"
    shutil.rmtree(base, ignore_errors=True)
    write_nginx_image(base)
    base_size = sum(path.stat().st_size for path in base.rglob("*") if path.is_file())
    print("| | wall | CPU | size | memory | wall, times theirs | CPU, times theirs | size, to theirs |\n|---|---|---|---|---|---|---|---|")
    cost, size, commit = measure_theirs(program, folder)
    row(f"ostree-ext {CRATE}, ostree pull-local", cost, size, None)
    for level in options.levels:
        ours, result = measured(sys.executable, "-c", OURS, ROOT, folder / "image", base, output, str(level))
        built = json.loads(result)
        if built["commit"] != commit:
            raise SystemExit(f"the archive holds commit {built['commit']}, not {commit}")
        row(f"ocne_ostree_archive, level {level}", ours, built["size"] - base_size, (cost, size), built["peak"])
        output.unlink()


if __name__ == "__main__":
    main(sys.argv[1:])
