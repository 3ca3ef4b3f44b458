# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Packaging and upload of a boot image over loopback, beside what one would run by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Cost, Table, gigabytes, mebibytes, run
from tests.support.command import ROOT

_BUCKET = "benchmark"

#: A program: uploads as ocne_oci_import does it. Arguments: checkout, endpoint, source, folder of the journal, bucket.
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

_IN_MEMORY = """
import io, sys, tarfile
import oci
config, url, source, bucket = sys.argv[1:]
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=6) as archive:
    archive.add(source, "output.QCOW2")
client = oci.object_storage.ObjectStorageClient(oci.config.from_file(config), service_endpoint=url, timeout=(600, 600))
client.put_object(client.get_namespace().data, bucket, "memory", buffer.getvalue())
"""

#: 7/10 files of this machine, 1/10 text, 1/10 noise, 1/10 zeros, mixed in stretches of 1 MiB; memory stays small.
_IMAGE = """
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


@contextmanager
def _endpoint(folder: Path) -> Iterator[dict[str, str]]:
    """A stand-in of Oracle Cloud, as a process of its own; how to reach it."""
    command = [sys.executable, "-m", "tests.support.oci_endpoint", "--state", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield json.loads(server.stdout.readline())
        finally:
            server.terminate()


def _measure(folder: Path, small: bool) -> Table:
    image = folder / "output.QCOW2"
    run(sys.executable, "-c", _IMAGE, image, str(50 if small else 1400))
    (folder / "image_metadata.json").write_text("{}")
    with _endpoint(folder / "endpoint") as endpoint:
        client = ("oci", "--config-file", endpoint["config_file"], "--endpoint", endpoint["url"], "os")
        environment = {"OCI_CLI_SUPPRESS_FILE_PERMISSIONS_WARNING": "True"}
        run(*client, "bucket", "create", "--name", _BUCKET, "--compartment-id", endpoint["tenancy"], env=environment)
        ours = run(sys.executable, "-c", OURS, ROOT, json.dumps(endpoint), image, folder, _BUCKET)
        packed = run("tar", "czf", "artefact.tar.gz", image.name, "image_metadata.json", cwd=folder)
        put = (*client, "object", "put", "--bucket-name", _BUCKET, "--no-retry", "--force")
        by_file = packed + run(*put, "--file", "artefact.tar.gz", "--name", "file", cwd=folder, env=environment)
        in_memory = run(sys.executable, "-c", _IN_MEMORY, endpoint["config_file"], endpoint["url"], image, _BUCKET)
    costs = {"ours": ours, "`tar czf` to a file, `oci os object put`": by_file, "tar and gzip in memory, one PutObject": in_memory}
    return Table(f"an image of {gigabytes(image.stat().st_size)}", [_row(name, cost, ours) for name, cost in costs.items()])


def _row(name: str, cost: Cost, base: Cost) -> tuple[str, ...]:
    return (name, f"{cost.wall:.1f}", f"{cost.wall / base.wall:.1f}", mebibytes(cost.memory))


BENCHMARK = Benchmark(
    """\
All three ways send the image over loopback to the endpoint of `tests/support/oci_endpoint`, a process on the same machine. The image is a
mix as in a disk image: programs and libraries, text, data that is already compressed, zeros. Ours includes the digest of the image, which
`ocne_boot_image` otherwise leaves in its record.""",
    ("packaging and upload", "seconds", "ratio", "peak memory, MiB"),
    _measure,
    (),
)
