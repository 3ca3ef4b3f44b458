# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ocne_oci_import against the local endpoint: within the test, or as a process of its own that a test can kill.

python -m tests.support.oci_import ocne_oci_import < parameters.json
"""

from __future__ import annotations

import random
import subprocess
from pathlib import Path
from typing import Any

from tests.support import module_call
from tests.support.command import run
from tests.support.oci_endpoint import Endpoint

MODULE = "ocne_oci_import"
MIB = 1 << 20
PART = MIB
BUCKET = "ocne-images"
COMPARTMENT = "team/images"


def in_small() -> None:
    """Parts of the real size would need images of the real size; pauses of the real length would need patience."""
    from ansible_collections.ocne.images.plugins.module_utils._oci import client, upload

    upload._SMALLEST_PART, upload._CHUNK = PART, PART // 4
    client.Clients.retry = client.Retry(attempts=4, first_pause=0.01, longest_pause=0.05)


class Importer:
    """The module with the options that every test needs."""

    def __init__(self, endpoint: Endpoint, src: Path) -> None:
        self.endpoint = endpoint
        self.compartment = endpoint.add_compartment(COMPARTMENT)
        services = ("identity", "object_storage", "compute", "work_requests")
        self.params: dict[str, Any] = {
            "src": str(src),
            "compartment": COMPARTMENT,
            "architecture": "amd64",
            "config_file_location": str(endpoint.config_file),
            "endpoints": dict.fromkeys(services, endpoint.url),
            "wait_timeout": 30,
        }

    def __call__(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        """:param changes: options; None leaves one out."""
        in_small()
        return module_call.call(MODULE, {**self.params, **changes}, check)

    def message(self, check: bool = False, **changes: Any) -> str:
        """What the module says when it fails."""
        in_small()
        return module_call.message(MODULE, {**self.params, **changes}, check)

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        """The module in a process of its own."""
        return module_call.start(MODULE, {**self.params, **changes}, program=__name__)

    def images(self) -> list[dict[str, Any]]:
        """The images there are, as the service describes them."""
        documents = [image.document for image in self.endpoint.images.by_id.values()]
        return [document for document in documents if document["lifecycleState"] != "DELETED"]

    def objects(self) -> list[str]:
        bucket = self.endpoint.buckets.by_name.get(BUCKET)
        return sorted(bucket.objects) if bucket else []

    def nothing_is_left(self) -> bool:
        """No image, object, upload, pre-authenticated request or journal."""
        bucket = self.endpoint.buckets.by_name.get(BUCKET)
        in_bucket = bool(bucket and (bucket.objects or bucket.uploads or bucket.access_requests))
        return not (self.images() or in_bucket or self.journals())

    @staticmethod
    def journals() -> list[Path]:
        return sorted(Path("~/.ocne/uploads").expanduser().glob("*"))

    def puts(self) -> list[int]:
        """Numbers of the parts that were sent and stored, in order."""
        entries = [entry for entry in self.endpoint.requests("PUT", "uploadPartNum") if entry.status == 200]
        return sorted(int(entry.target.rpartition("=")[2]) for entry in entries)

    def forget_requests(self) -> int:
        """How many requests there have been: for seen_since()."""
        return len(self.endpoint.requests())

    def seen_since(self, count: int) -> list[str]:
        """Methods of the requests after the first count."""
        return [entry.method for entry in self.endpoint.requests()[count:]]


def make_disk(path: Path, megabytes: int, seed: int = 1) -> Path:
    """A qcow2 image that does not compress, with this much data."""
    raw = path.with_suffix(".raw")
    with raw.open("wb") as file:
        file.write(random.Random(seed).randbytes(megabytes * MIB))
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, path)
    raw.unlink()
    return path


if __name__ == "__main__":
    in_small()
    module_call.main()
