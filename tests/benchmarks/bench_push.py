# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A push to a registry over loopback, against plain skopeo. Prints rows of a table.

    python tests/benchmarks/bench_push.py [--megabytes 1000] [--runs 3] [--folder DIR]

The image is an OCI archive with one layer of random bytes. Each push starts as a new process and has a registry of its own, so
that nothing is there to be reused; then ours runs once more over what it has pushed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.support.image_push import Image  # noqa: E402
from tests.support.registry import serve  # noqa: E402

MIB = 1 << 20


def seconds(command: Sequence[str], stdin: str = "") -> float:
    """Wall time of a command; CalledProcessError where it fails."""
    began = time.perf_counter()
    subprocess.run(command, cwd=ROOT, input=stdin, text=True, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, metavar="N", help="size of the layer in MiB")
    parser.add_argument("--runs", type=int, default=3, metavar="N", help="how often each is measured; the median counts")
    parser.add_argument("--folder", type=Path, help="where to put temporary files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-push-", dir=options.folder) as name:
        folder = Path(name)
        image = Image(folder / "image", compression="none", size=options.megabytes * MIB)
        archive = image.archive(folder / "image.tar")
        ours, plain, unchanged = [], [], []
        copy = ["skopeo", "copy", "-q", "--preserve-digests", "--dest-tls-verify=false", f"oci-archive:{archive}"]
        module = [sys.executable, "-m", "tests.support.module_call", "ocne_image_push"]
        for _number in range(options.runs):
            with serve() as registry:
                plain.append(seconds([*copy, registry.reference("image:1")]))
            with serve() as registry:
                params = json.dumps({"src": str(archive), "dest": registry.reference("image:1"), "tls_verify": False})
                ours.append(seconds(module, params))
                unchanged.append(seconds(module, params))
        base = statistics.median(plain)
        print(f"| push of {archive.stat().st_size / 1e9:.2f} GB | seconds | ratio |")
        print("| --- | --- | --- |")
        for what, measured in (
            ("`skopeo copy`", base),
            ("ours", statistics.median(ours)),
            ("ours, unchanged", statistics.median(unchanged)),
        ):
            print(f"| {what} | {measured:.2f} | {measured / base:.2f} |")


if __name__ == "__main__":
    main()
