# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The object as others see it: the command-line client downloads it, gzip tests it, tar unpacks it, qemu-img compares it."""

from __future__ import annotations

import json
import os
import shutil
import sys
import zlib
from pathlib import Path

import pytest

from tests.support.command import run
from tests.support.oci_import import BUCKET, Importer

OCI = shutil.which("oci", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

pytestmark = pytest.mark.skipif(OCI is None, reason="the oci command-line client (PyPI oci-cli) is not installed")


@pytest.mark.parametrize("library", ["best", "zlib"])
def test_object_is_a_sound_artefact(importer: Importer, disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    if library == "zlib":
        from ansible_collections.ocne.images.plugins.module_utils._oci import deflate, upload

        monkeypatch.setattr(upload, "best_codec", deflate.zlib_codec)
    result = importer(keep_object=True)
    file = tmp_path / "artefact.tar.gz"
    client = [str(OCI), "--config-file", importer.endpoint.config_file, "--endpoint", importer.endpoint.url, "os", "object"]

    run(*client, "get", "--bucket-name", BUCKET, "--name", "ocne_boot.qcow2", "--file", file, env=importer.endpoint.client_environment())

    assert file.stat().st_size == result["object"]["size"] == result["uploaded_bytes"]
    run("gzip", "-t", file)
    assert run("tar", "tzf", file).split() == ["output.QCOW2", "image_metadata.json"]
    run("tar", "xzf", file, "-C", tmp_path)
    assert (tmp_path / "output.QCOW2").read_bytes() == disk.read_bytes()
    run("qemu-img", "compare", disk, tmp_path / "output.QCOW2")
    assert json.loads((tmp_path / "image_metadata.json").read_text())["version"] == 2
    stream = zlib.decompressobj(wbits=31)
    stream.decompress(file.read_bytes())
    assert stream.eof and not stream.unused_data, "one gzip member"


def test_image_is_found_by_the_command_line_client(importer: Importer) -> None:
    identifier = importer()["image"]["id"]
    client = [str(OCI), "--config-file", importer.endpoint.config_file, "--endpoint", importer.endpoint.url, "compute"]
    listed = json.loads(
        run(*client, "image", "list", "--compartment-id", importer.compartment, "--all", env=importer.endpoint.client_environment())
    )
    assert [image["id"] for image in listed["data"]] == [identifier]
