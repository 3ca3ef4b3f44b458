# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes out of a pod and into it, by our streams and by `kubectl cp`, through the same API server. Prints rows of a table.

    python tests/benchmarks/bench_transfer.py [--megabytes 1000] [--runs 3] [--folder DIR]

It uses the kind cluster of the tests, which is made where it is missing, and the kubectl of its node, copied to this host.
The file is random bytes. Ours includes the digest at both ends; kubectl verifies nothing, and only those of its runs count that succeed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import tests.conftest  # noqa: E402  (makes the collection importable)

assert tests.conftest

# isort: split
from ansible_collections.ocne.images.plugins.module_utils._builder.program import TRANSFER_MODULE, program_zip  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._files import file_sha256  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.cluster import open_cluster  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.manifest import BUILDER, FILES, WORK, Build, Placement, Step  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.run import Run  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.transfer import Transfers  # noqa: E402

from tests.support import build_cluster  # noqa: E402
from tests.support.command import run  # noqa: E402

MIB = 1 << 20
#: How often kubectl may fail.
TRIES = 5


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def write_random(path: Path, size: int) -> str:
    """A file of that many bytes; their digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _number in range(size // MIB):
            chunk = os.urandom(MIB)
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, metavar="N", help="size of the file in MiB")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often each is measured; the median counts")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    options = parser.parse_args()
    size = options.megabytes * MIB
    cluster = build_cluster.ready()
    wait = "import signal; signal.pause()"
    builder = Step(BUILDER, cluster.image, ["python3", "-c", wait], {"PYTHONPATH": f"{FILES}/program.zip"})
    build = Build("bench-transfer", "bench", [], builder, {"program.zip": program_zip()}, {})
    measured: dict[str, list[float]] = {name: [] for name in ("out, ours", "out, kubectl", "in, ours", "in, kubectl")}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="bench-transfer-", dir=options.folder) as name, cluster.namespace() as namespace:
        folder = Path(name)
        kubectl = [str(folder / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace]
        run("docker", "cp", "--follow-link", f"{cluster.node}:/usr/bin/kubectl", kubectl[0], env=dict(cluster.env))
        sha256 = write_random(folder / "file", size)
        client = open_cluster({"kubeconfig": str(cluster.kubeconfig)})
        with Run(client, build, Placement(namespace, "8Gi"), lambda *_told: None) as job:
            pod = job.wait_until_running()
            transfers = Transfers(lambda command: job.process(pod, command), lambda *_told: None)
            module = ["python3", "-m", TRANSFER_MODULE]

            def send() -> None:
                with (folder / "file").open("rb") as file:
                    transfers.send([*module, "receive", f"{WORK}/file", str(size), sha256], file, size, "it")

            def fetch() -> None:
                transfers.fetch(lambda at: [*module, "send", f"{WORK}/file", str(size), str(at)], folder / "back", size, sha256, "it")

            def copy(source: str, dest: str) -> float:
                nonlocal failed
                for _try in range(TRIES):
                    began = time.perf_counter()
                    command = [*kubectl, "cp", "--container", BUILDER, source, dest]
                    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0:
                        return time.perf_counter() - began
                    failed += 1
                sys.exit(f"kubectl failed {TRIES} times to copy {source}")

            def remove(path: str) -> None:
                subprocess.run([*kubectl, "exec", pod, "--container", BUILDER, "--", "rm", path], check=True)

            for number in range(options.runs):
                if number:
                    remove(f"{WORK}/file")
                measured["in, ours"].append(seconds(send))
                measured["in, kubectl"].append(copy(str(folder / "file"), f"{pod}:{WORK}/copied"))
                remove(f"{WORK}/copied")
                measured["out, ours"].append(seconds(fetch))
                measured["out, kubectl"].append(copy(f"{pod}:{WORK}/file", str(folder / "copied")))
                assert file_sha256(folder / "copied") == sha256, "what kubectl has copied is not the file"
    print(f"| {size / 1e9:.2f} GB, seconds | ours | `kubectl cp` | ratio |")
    print("| --- | --- | --- | --- |")
    for way, what in (("out", "out of a pod"), ("in", "into a pod")):
        ours, theirs = measured[f"{way}, ours"], measured[f"{way}, kubectl"]
        ratio = statistics.median(other / our for our, other in zip(ours, theirs))
        print(f"| {what} | {statistics.median(ours):.1f} | {statistics.median(theirs):.1f} | {ratio:.2f} |")
    print(f"kubectl failed {failed} times.")


if __name__ == "__main__":
    main()
