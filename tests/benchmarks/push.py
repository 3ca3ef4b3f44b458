# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A push to a registry over loopback, beside plain skopeo."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from tests.benchmarks.benchmark import Benchmark, Table, gigabytes, run
from tests.support.image_push import Image
from tests.support.registry import serve

_MIB = 1 << 20
_RUNS = 7


def _measure(folder: Path, small: bool) -> Table:
    archive = Image(folder / "image", compression="none", size=(50 if small else 1000) * _MIB).archive(folder / "image.tar")
    copy = ("skopeo", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci-archive:{archive}")
    module = (sys.executable, "-m", "tests.support.module_call", "ocne_image_push")
    seconds: dict[str, list[float]] = {"`skopeo copy`": [], "ours": [], "ours, unchanged": []}
    for _turn in range(1 if small else _RUNS):
        with serve() as registry:
            seconds["`skopeo copy`"].append(run(*copy, registry.reference("image:1")).wall)
        with serve() as registry:
            params = json.dumps({"src": str(archive), "dest": registry.reference("image:1"), "tls_verify": False})
            for name in ("ours", "ours, unchanged"):
                seconds[name].append(run(*module, stdin=params).wall)
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    base = medians["`skopeo copy`"]
    rows = [(name, f"{median:.2f}", f"{median / base:.2f}") for name, median in medians.items()]
    return Table(f"an OCI archive of {gigabytes(archive.stat().st_size)}", rows)


BENCHMARK = Benchmark(
    """\
An OCI archive with one layer of random bytes, to Debian's docker-registry on loopback. Each push starts as a new process and has a
registry of its own, so that nothing is there to be reused; then ours runs once more over what it has pushed. Medians of seven.""",
    ("push", "seconds", "ratio"),
    _measure,
    ("container images", "a registry"),
)
