# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One playbook many times at once, with one registry, one cloud, one folder of artefacts: it is done once, and all succeed.

OCNE_IMAGES_PLAYS says how many; twenty want some minutes.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support import registry, watching
from tests.support.demonstration import COMPARTMENT, main_job
from tests.support.oci_endpoint import Endpoint, Settings
from tests.support.oci_import import BUCKET
from tests.support.playbook_run import PlaybookRun
from tests.support.sample_disk import SMALL
from tests.support.sample_image import write_layout

COUNT = int(os.environ.get("OCNE_IMAGES_PLAYS", "6"))


def test_plays_at_once_do_it_once(tmp_path: Path) -> None:
    write_layout(tmp_path / "layout")
    hosts = {"localhost": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}}
    plays = [{"import_playbook": "ocne.images.create_and_upload_oci_image"}]
    images = tmp_path / "images"
    with registry.serve() as running, Endpoint(tmp_path / "cloud", settings=Settings(import_seconds=1.0)) as cloud, ExitStack() as stack:
        cloud.add_compartment(COMPARTMENT)
        source = running.push(f"oci:{tmp_path}/layout:{SMALL.version}", "olcne/ock:1.33")
        variables = main_job(tmp_path, source, images / "boot.oci", cloud)
        runs = [
            stack.enter_context(
                PlaybookRun(tmp_path / f"play-{number}", plays, hosts, "--extra-vars", f"@{variables}", HOME=str(tmp_path / "home"))
            )
            for number in range(COUNT)
        ]
        for run in runs:
            assert run.finish() == 0, run.out + run.err
        # One has converted, one has imported; whether that was the same play is no matter.
        assert sum(int(changed) for run in runs for changed in re.findall(r"\bchanged=(\d+)", run.out)) == 2
        layers = [layer["digest"] for layer in _manifest(tmp_path / "layout")["layers"]]
        assert [running.request_count(f"GET /v2/olcne/ock/blobs/{layer}") for layer in layers] == [1] * len(layers)
        assert [len(cloud.requests("POST", target)) for target in ("/u$", "/images$")] == [1, 1]
        (image,) = cloud.images.by_id.values()
        assert image.document["lifecycleState"] == "AVAILABLE"
        assert image.disk.read_bytes() == (images / "boot.oci").read_bytes()
        bucket = cloud.buckets.by_name[BUCKET]
        assert not (bucket.objects or bucket.uploads or bucket.access_requests)
    assert sorted(path.name for path in images.iterdir()) == ["boot.oci", "boot.oci.build.json"]
    left = [path for path in watching.below(tmp_path / "home/.ocne") if path.is_file() and path.parent.name in ("uploads", "builds")]
    assert not left


def _manifest(layout: Path) -> dict[str, list[dict[str, str]]]:
    """Of the image of the one architecture that it has."""

    def blob(digest: str) -> dict[str, list[dict[str, str]]]:
        found: dict[str, list[dict[str, str]]] = json.loads((layout / "blobs" / digest.replace(":", "/")).read_text())
        return found

    index = blob(json.loads((layout / "index.json").read_text())["manifests"][0]["digest"])
    return blob(index["manifests"][0]["digest"])
