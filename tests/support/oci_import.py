# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs ocne_oci_import against the local endpoint: within the test, or as a process of its own that a test can kill.

python -m tests.support.oci_import < parameters.json
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tests.conftest  # makes the collection importable
from tests.support.command import ROOT, run
from tests.support.oci_endpoint import Endpoint

assert tests.conftest

MIB = 1 << 20
PART = MIB
BUCKET = "ocne-images"
COMPARTMENT = "team/images"


class ModuleFailed(Exception):
    """What the module said in fail_json."""

    def __init__(self, result: dict[str, Any]) -> None:
        super().__init__(result["msg"])
        self.result = result


def call(params: dict[str, Any]) -> dict[str, Any]:
    """The module's result.

    :raises ModuleFailed: it failed.
    """
    from ansible.module_utils import basic
    from ansible_collections.ocne.images.plugins.module_utils._oci import client, upload
    from ansible_collections.ocne.images.plugins.modules import ocne_oci_import

    # Parts of the real size would need images of the real size; pauses of the real length would need patience.
    upload._SMALLEST_PART, upload._CHUNK = PART, PART // 4
    client.Clients.retry = client.Retry(attempts=4, first_pause=0.01, longest_pause=0.05)
    basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": params}).encode()
    basic._ANSIBLE_PROFILE = "legacy"
    output = io.StringIO()
    with _signals_restored(), contextlib.redirect_stdout(output), contextlib.suppress(SystemExit):
        ocne_oci_import.main()
    result: dict[str, Any] = json.loads(output.getvalue())
    if result.get("failed"):
        raise ModuleFailed(result)
    return result


@contextlib.contextmanager
def _signals_restored() -> Iterator[None]:
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = [signal.getsignal(number) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before):
            signal.signal(number, handler)


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

    def _params(self, check: bool, changes: dict[str, Any]) -> dict[str, Any]:
        params = {**self.params, **changes, "_ansible_check_mode": check, "_ansible_diff": True}
        return {name: value for name, value in params.items() if value is not None}

    def __call__(self, check: bool = False, **changes: Any) -> dict[str, Any]:
        """:param changes: options; None leaves one out."""
        return call(self._params(check, changes))

    def message(self, check: bool = False, **changes: Any) -> str:
        """What the module says when it fails."""
        try:
            result = self(check, **changes)
        except ModuleFailed as failed:
            return str(failed)
        raise AssertionError(f"The module did not fail: {result}")

    def start(self, **changes: Any) -> subprocess.Popen[str]:
        """The module in a process of its own."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.oci_import"],
            cwd=ROOT,
            env=dict(os.environ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(self._params(False, changes)))
        process.stdin.close()
        process.stdin = None  # communicate() would flush it
        return process

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
    try:
        print(json.dumps(call(json.load(sys.stdin))))
    except ModuleFailed as failed:
        print(json.dumps(failed.result))
        sys.exit(1)
