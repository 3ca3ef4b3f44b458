# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes out of a pod and into it, by our streams and by `kubectl cp`, through the same API server.

It uses the kind cluster of the tests, which is made where it is missing and stays, and the kubectl of its node.
"""

from __future__ import annotations

import hashlib
import os
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import tests.conftest  # makes the collection importable
from tests.benchmarks.benchmark import Benchmark, Table, gigabytes
from tests.support import build_cluster
from tests.support.command import run

assert tests.conftest
from ansible_collections.ocne.images.plugins.module_utils._builder.program import TRANSFER_MODULE, program_zip  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._files import file_sha256  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.cluster import open_cluster  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.manifest import BUILDER, FILES, WORK, Build, Placement, Step  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.run import Run  # noqa: E402
from ansible_collections.ocne.images.plugins.module_utils._kubernetes.transfer import Transfers  # noqa: E402

_MIB = 1 << 20
_RUNS = 3
#: How often kubectl may fail.
_TRIES = 5


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _write_random(path: Path, size: int) -> str:
    """A file of that many bytes; their digest."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _number in range(size // _MIB):
            chunk = os.urandom(_MIB)
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _measure(folder: Path, small: bool) -> Table:
    size = (50 if small else 1000) * _MIB
    cluster = build_cluster.ready()
    wait = "import signal; signal.pause()"
    builder = Step(BUILDER, cluster.image, ["python3", "-c", wait], {"PYTHONPATH": f"{FILES}/program.zip"})
    build = Build("bench-transfer", "bench", [], builder, {"program.zip": program_zip()}, {})
    measured: dict[str, list[float]] = {name: [] for name in ("out, ours", "out, kubectl", "in, ours", "in, kubectl")}
    failed = 0
    with cluster.namespace() as namespace:
        kubectl = [str(folder / "kubectl"), "--kubeconfig", str(cluster.kubeconfig), "--namespace", namespace]
        run("docker", "cp", "--follow-link", f"{cluster.node}:/usr/bin/kubectl", kubectl[0], env=dict(cluster.env))
        sha256 = _write_random(folder / "file", size)
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
                for _try in range(_TRIES):
                    began = time.perf_counter()
                    command = [*kubectl, "cp", "--container", BUILDER, source, dest]
                    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0:
                        return time.perf_counter() - began
                    failed += 1
                raise RuntimeError(f"kubectl failed {_TRIES} times to copy {source}")

            def remove(path: str) -> None:
                subprocess.run([*kubectl, "exec", pod, "--container", BUILDER, "--", "rm", path], check=True)

            for number in range(1 if small else _RUNS):
                if number:
                    remove(f"{WORK}/file")
                measured["in, ours"].append(_seconds(send))
                measured["in, kubectl"].append(copy(str(folder / "file"), f"{pod}:{WORK}/copied"))
                remove(f"{WORK}/copied")
                measured["out, ours"].append(_seconds(fetch))
                measured["out, kubectl"].append(copy(f"{pod}:{WORK}/file", str(folder / "copied")))
                assert file_sha256(folder / "copied") == sha256, "what kubectl has copied is not the file"
    rows = []
    for way, what in (("out", "out of a pod"), ("in", "into a pod")):
        ours, theirs = measured[f"{way}, ours"], measured[f"{way}, kubectl"]
        ratio = statistics.median(other / our for our, other in zip(ours, theirs))
        rows.append((what, f"{statistics.median(ours):.1f}", f"{statistics.median(theirs):.1f}", f"{ratio:.2f}"))
    return Table(f"a file of {gigabytes(size)} of random bytes; kubectl failed {failed} times", rows)


BENCHMARK = Benchmark(
    """\
Both go through the API server of a kind cluster of one node on the same machine. Ours includes the SHA-256 at both ends; `kubectl cp`
verifies nothing, and only those of its runs count that succeed. Medians of three; each ratio is the median of those of the runs, in each
of which both copy the same file.""",
    ("seconds", "ours", "`kubectl cp`", "ratio"),
    _measure,
    ("a cluster",),
)
