# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The memory of an upload has a limit, and the image is larger than it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.upload import OURS
from tests.support.command import ROOT
from tests.support.oci_endpoint import Endpoint
from tests.support.oci_http import Client
from tests.support.oci_import import MIB

LIMIT = 300 * MIB
# Not ru_maxrss, which a process takes over from the one that started it.
_PEAK = """
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


def test_memory_does_not_grow_with_the_image(tmp_path: Path) -> None:
    source = tmp_path / "disk"
    with source.open("wb") as file:
        for _each in range(480):
            file.write(os.urandom(MIB))
    with Endpoint() as endpoint:
        Client(endpoint).make_bucket("benchmark", endpoint.add_compartment("team/images"))
        command = [sys.executable, "-c", OURS + _PEAK, str(ROOT), json.dumps(endpoint.describe()), str(source), str(tmp_path), "benchmark"]
        peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout) * 1024
        stored = endpoint.buckets.by_name["benchmark"].objects["ours"]
    assert stored.is_multipart
    assert peak < LIMIT < source.stat().st_size
