# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ostree container to an archive-mode repository, beside ostree's own tools."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Cost, Table, gigabytes, mebibytes
from tests.benchmarks.benchmark import run as measured
from tests.support.command import CACHE, ROOT, run
from tests.support.nginx_image import write_nginx_image

_CRATE = "0.15.3"
#: The default, and the one before: both goals, time and size, are not reached by one of them.
_LEVELS = (4, 2)
_LAYERS = 48
_SAMPLED = Path("/usr")

_CARGO = f"""[package]
name = "ostree-ext-program"
version = "0.1.0"
edition = "2021"

[dependencies]
anyhow = "1"
ostree-ext = "={_CRATE}"
tokio = {{ version = "1", features = ["full"] }}
"""
_MAIN = """#[tokio::main]
async fn main() -> anyhow::Result<()> {
    ostree_ext::cli::run_from_iter(std::env::args_os()).await
}
"""
_OURS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from pathlib import Path
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.layout import read_image
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree_archive import Options, build
source, base, output = (Path(name) for name in sys.argv[2:5])
built = build(read_image(source, source / "blobs"), read_image(base, base / "blobs"), Options(compression_level=int(sys.argv[5])), output)
print(json.dumps({"commit": built.commit, "size": built.size}))
"""


def _ostree_ext() -> Path:
    """The program of the crate ostree-ext; built once."""
    folder = CACHE / f"ostree-ext-{_CRATE}"
    program = folder / "target/release/ostree-ext-program"
    if not program.exists():
        (folder / "src").mkdir(parents=True, exist_ok=True)
        (folder / "Cargo.toml").write_text(_CARGO)
        (folder / "src/main.rs").write_text(_MAIN)
        subprocess.run(["cargo", "build", "--release"], cwd=folder, check=True)
    return program


def _sample(size: int, tree: Path) -> None:
    """Fill tree with hard links to about so many bytes of this machine's files."""
    files = []
    for folder, _folders, names in os.walk(_SAMPLED):
        for name in names:
            path = Path(folder, name)
            status = path.lstat()
            if path.is_file() and not path.is_symlink() and status.st_dev == _SAMPLED.stat().st_dev:
                files.append((hashlib.sha256(os.fsencode(path)).digest(), path, status.st_size))
    total = 0
    for _order, path, length in sorted(files):
        if total > size:
            break
        place = tree / path.relative_to("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            place.hardlink_to(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.copy2(path, place)
        total += length


def _make_image(program: Path, size: int, folder: Path) -> None:
    """An OCI layout 'image' in the folder; kept for the next run."""
    made = folder / "made"
    if made.exists():
        return
    tree, repository = folder / "tree", folder / "source"
    for left in (tree, repository, folder / "image"):
        shutil.rmtree(left, ignore_errors=True)
    _sample(size, tree)
    run("ostree", "init", f"--repo={repository}", "--mode=bare-user")
    run("ostree", "commit", f"--repo={repository}", "--branch=ock", f"--tree=dir={tree}", "--add-metadata-string=version=1.33")
    shutil.rmtree(tree)
    objects = sorted(path.parent.name + path.stem for path in (repository / "objects").glob("*/*.file"))
    layers = {f"layer{number}": f"package {number}" for number in range(_LAYERS)}
    mapping = {checksum: f"layer{int(checksum[:4], 16) % _LAYERS}" for checksum in objects}
    (folder / "layers.json").write_text(json.dumps({"version": 1, "layers": layers, "mapping": mapping}))
    options = (f"--repo={repository}", f"--contentmeta={folder / 'layers.json'}")
    run(program, "container", "encapsulate", *options, "ock", f"oci:{folder / 'image'}:latest")
    shutil.rmtree(repository)
    made.touch()


def _theirs(program: Path, image: Path, folder: Path) -> tuple[Cost, int, str]:
    """Cost, bytes of the archive-mode repository, and the commit."""
    bare, archive = folder / "bare", folder / "archive"
    for path, mode in ((bare, "bare-user"), (archive, "archive")):
        run("ostree", "init", f"--repo={path}", f"--mode={mode}")
    source = f"ostree-unverified-image:oci:{image}:latest"
    first = measured(program, "container", "unencapsulate", f"--repo={bare}", "--write-ref=ock", source)
    second = measured("ostree", f"--repo={archive}", "pull-local", bare, "ock")
    size = sum(path.stat().st_size for path in archive.rglob("*") if path.is_file())
    commit = (archive / "refs/heads/ock").read_text().strip()
    shutil.rmtree(bare)
    shutil.rmtree(archive)
    return first + second, size, commit


def _measure(folder: Path, small: bool) -> Table:
    program, size = _ostree_ext(), int(2e7 if small else 1.4e9)
    kept = CACHE / f"bench-archive-{size}"
    kept.mkdir(parents=True, exist_ok=True)
    _make_image(program, size, kept)
    image, base, output = kept / "image", folder / "nginx", folder / "archive.tar"
    write_nginx_image(base)
    base_size = sum(path.stat().st_size for path in base.rglob("*") if path.is_file())
    theirs, their_size, commit = _theirs(program, image, folder)
    rows = [(f"`ostree-ext` {_CRATE}, `ostree pull-local`", *_cells(theirs, theirs, their_size, their_size))]
    for level in _LEVELS:
        ours = measured(sys.executable, "-c", _OURS, ROOT, image, base, output, str(level), output=folder / "built.json")
        built = json.loads((folder / "built.json").read_text())
        if built["commit"] != commit:
            raise RuntimeError(f"the archive holds commit {built['commit']}, not {commit}")
        rows.append((f"`ocne_ostree_archive`, level {level}", *_cells(ours, theirs, built["size"] - base_size, their_size)))
        output.unlink()
    layers = sum(path.stat().st_size for path in (image / "blobs").rglob("*") if path.is_file())
    return Table(f"an image of {gigabytes(layers)} in {_LAYERS + 2} layers, of {gigabytes(size)} of this machine's files", rows)


def _cells(cost: Cost, theirs: Cost, size: int, their_size: int) -> tuple[str, ...]:
    less = (f"{theirs.wall / cost.wall:.1f}", f"{theirs.cpu / cost.cpu:.1f}", f"{100 * (size / their_size - 1):+.1f} %")
    return (f"{cost.wall:.1f}", f"{cost.cpu:.1f}", *less, mebibytes(cost.memory))


BENCHMARK = Benchmark(
    """\
The image is a sample of this machine's `/usr`: every file whose path's digest falls below a bound, so that all kinds of files are in it
as often as in the whole, committed by ostree and encapsulated by the crate ostree-ext. The peer is that crate's `unencapsulate`, then
`ostree pull-local` into an archive-mode repository; ours is the build program of `ocne_ostree_archive`, which verifies, compresses, and
writes an OCI archive with the same commit. Sizes are of the objects for the peer, and of the whole layer for ours.""",
    ("archive", "seconds", "CPU seconds", "wall time, times less", "CPU, times less", "size, to the peer's", "peak memory, MiB"),
    _measure,
    ("archive containers", "container images", "the crate ostree-ext"),
)
