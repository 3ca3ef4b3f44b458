# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packaging and upload of a boot image over loopback, against what one would run by hand. Prints rows of a table.

    python tests/benchmarks/bench_upload.py [--megabytes 1400] [--folder DIR]

The file is a mix as in a disk image: programs and libraries of this machine, text, data that is already compressed,
and zeros. All three ways send it to the same endpoint, a process of its own, in the same run:

- ours: digest, packaging, compression and multipart upload, as ocne_oci_import does it, from a new process
- (a) `tar czf` to a file, then `oci os object put`
- (b) tar and gzip in memory, then one PutObject
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
BUCKET = "benchmark"

OURS = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tests.conftest
from pathlib import Path
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import silent
from ansible_collections.ocne.images.plugins.module_utils._oci.artefact import Artefact, open_source
from ansible_collections.ocne.images.plugins.module_utils._oci.client import Clients
from ansible_collections.ocne.images.plugins.module_utils._oci.auth import ARGUMENTS
from ansible_collections.ocne.images.plugins.module_utils._oci.journal import Journal
from ansible_collections.ocne.images.plugins.module_utils._oci.metadata import image_metadata
from ansible_collections.ocne.images.plugins.module_utils._oci.objects import Place
from ansible_collections.ocne.images.plugins.module_utils._oci.upload import Upload

endpoint, source, work = json.loads(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4])
params = {**dict.fromkeys(ARGUMENTS), "auth_type": "api_key", "config_file_location": endpoint["config_file"]}
params["endpoints"] = dict.fromkeys(("identity", "object_storage", "compute", "work_requests"), endpoint["url"])
clients = Clients(params)
place = Place(clients, None, sys.argv[5], "ours")
with Artefact(open_source(source), image_metadata("amd64", False)) as artefact:
    upload = Upload(artefact, {}, place, Journal(work / "journal.jsonl"), silent)
    upload.run(lambda: None, lambda stored: None)
"""

IN_MEMORY = """
import io, sys, tarfile
import oci
config, url, source, bucket = sys.argv[1:]
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
    archive.add(source, "output.QCOW2")
client = oci.object_storage.ObjectStorageClient(oci.config.from_file(config), service_endpoint=url, timeout=(600, 600))
client.put_object(client.get_namespace().data, bucket, "memory", buffer.getvalue())
"""


@dataclass(frozen=True)
class Measured:
    """seconds, and the peak resident memory in MiB of the process that needed most."""

    seconds: float
    memory: float


def measure(*commands: Sequence[str], cwd: Path) -> Measured:
    """Run commands one after the other; RuntimeError where one fails."""
    began, peak = time.perf_counter(), 0
    for command in commands:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "True"},
        )
        _process_id, status, usage = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{command[0]} failed: {status}")
        peak = max(peak, usage.ru_maxrss)
    return Measured(time.perf_counter() - began, peak / 1024)


def make_image(path: Path, megabytes: int) -> None:
    """7/10 files of this machine, 1/10 text, 1/10 noise, 1/10 zeros, mixed in stretches of 1 MiB; memory stays small."""
    program = """
import os, random, sys
from pathlib import Path
pick = random.Random(7)
def machine():
    while True:
        for folder in ("/usr/bin", "/usr/lib", "/usr/sbin", sys.prefix):
            for path in sorted(Path(folder).rglob("*")):
                if path.is_file() and not path.is_symlink() and path.stat().st_size > 64 << 10:
                    with path.open("rb") as file:
                        while block := file.read(1 << 20):
                            yield block
files, text, block = machine(), " ".join(str(pick.random()) for _turn in range(60000)).encode()[: 1 << 20], b""
with open(sys.argv[1], "wb") as image:
    for number in range(int(sys.argv[2])):
        kind = number % 10
        if kind == 7: image.write(text.ljust(1 << 20, b" "))
        elif kind == 8: image.write(pick.randbytes(1 << 20))
        elif kind == 9: image.write(bytes(1 << 20))
        else:
            while len(block) < 1 << 20: block += next(files)
            image.write(block[: 1 << 20])
            block = block[1 << 20 :]
"""
    subprocess.run([sys.executable, "-c", program, str(path), str(megabytes)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1400, metavar="N", help="size of the image in MiB")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    options = parser.parse_args()
    oci = shutil.which("oci", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if oci is None:
        parser.error("the command 'oci' is not installed (pip install oci-cli)")
    with tempfile.TemporaryDirectory(prefix="bench-upload-", dir=options.folder) as name:
        folder = Path(name)
        image = folder / "output.QCOW2"
        make_image(image, options.megabytes)
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.support.oci_endpoint", "--state", str(folder / "endpoint")], cwd=ROOT, stdout=subprocess.PIPE
        )
        try:
            assert server.stdout is not None
            run(folder, image, json.loads(server.stdout.readline()), oci)
        finally:
            server.terminate()
            server.wait()


def run(folder: Path, image: Path, endpoint: dict[str, str], oci: str) -> None:
    config, url = endpoint["config_file"], endpoint["url"]
    client = [oci, "--config-file", config, "--endpoint", url, "os"]
    subprocess.run(
        [*client, "bucket", "create", "--name", BUCKET, "--compartment-id", endpoint["tenancy"]], check=True, stdout=subprocess.DEVNULL
    )
    with (folder / "image_metadata.json").open("w") as file:
        json.dump({}, file)
    put = [*client, "object", "put", "--bucket-name", BUCKET, "--no-retry", "--force"]
    ours = measure([sys.executable, "-c", OURS, str(ROOT), json.dumps(endpoint), str(image), str(folder), BUCKET], cwd=folder)
    by_file = measure(
        ["tar", "czf", "artefact.tar.gz", "output.QCOW2", "image_metadata.json"],
        [*put, "--file", "artefact.tar.gz", "--name", "file"],
        cwd=folder,
    )
    (folder / "artefact.tar.gz").unlink()
    in_memory = measure([sys.executable, "-c", IN_MEMORY, config, url, str(image), BUCKET], cwd=folder)
    print(f"| packaging and upload of {image.stat().st_size / 1e9:.2f} GB | seconds | ratio | peak memory, MiB |")
    print("| --- | --- | --- | --- |")
    row("ours", ours, None)
    row("`tar czf` to a file, `oci os object put`", by_file, ours)
    row("tar and gzip in memory, one PutObject", in_memory, ours)


def row(what: str, measured: Measured, base: Optional[Measured]) -> None:
    ratio = f"{measured.seconds / base.seconds:.1f}" if base else "1"
    print(f"| {what} | {measured.seconds:.1f} | {ratio} | {measured.memory:.0f} |")


if __name__ == "__main__":
    main()
