# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main job from end to end on this machine: a sample boot image in a local registry becomes a custom image in a local
stand-in of Oracle Cloud, by the playbook that users run; then once more, to show that nothing is left to do.

All files are in .cache/quickstart, all traffic is on loopback, and everything that is started ends with this program.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.support import registry, sample_image
from tests.support.collection import collections_path
from tests.support.command import CACHE, run
from tests.support.machine import say
from tests.support.oci_endpoint import Endpoint
from tests.support.sample_disk import SMALL

FOLDER = CACHE / "quickstart"
PLAYBOOK = "ocne.images.create_and_upload_oci_image"
COMPARTMENT = "team/images"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit("ended by SIGTERM"))
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    say("build a small boot image like OCK's: GPT, EFI, XFS boot and root, a boot entry, an ostree sysroot")
    layout = FOLDER / "layout"
    sample_image.write_layout(layout)
    with registry.serve() as images, Endpoint(FOLDER / "cloud") as cloud:
        source = images.push(f"oci:{layout}:{SMALL.version}", f"olcne/ock:{SMALL.version}")
        say(f"it is in a local registry: {source}")
        compartment = cloud.add_compartment(COMPARTMENT)
        say(f"a local endpoint stands in for Oracle Cloud: {cloud.url}")
        artefact = FOLDER / f"boot.qcow2-{SMALL.version}-amd64.oci"
        variables = main_job(FOLDER, source, artefact, cloud)
        play(variables)
        if play(variables):
            sys.exit("The second run changed something.")
        image = _image(cloud, compartment)
        digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    say("done: an image was imported, and the second run changed nothing")
    print(f"image     {image['id']} ({image['display-name']}, {image['lifecycle-state']})\nartefact  {artefact}\ndigest    sha256:{digest}")


def main_job(folder: Path, source: str, artefact: Path, cloud: Endpoint) -> Path:
    """A file in the folder with the playbook's variables."""
    services = ("compute", "identity", "object_storage", "work_requests")
    variables = {
        "ocne_images_boot_image_source": source,
        "ocne_images_tls_verify": False,
        "ocne_images_architecture": "amd64",
        "ocne_images_boot_image_dest": str(artefact),
        "ocne_images_cache_dir": str(folder / "cache"),
        "ocne_images_compartment": COMPARTMENT,
        "ocne_images_oci_config_file_location": str(cloud.config_file),
        "ocne_images_oci_endpoints": dict.fromkeys(services, cloud.url),
    }
    path = folder / "variables.json"
    path.write_text(json.dumps(variables, indent=2) + "\n")
    return path


def play(variables: Path) -> int:
    """Run the playbook; how many tasks changed something."""
    command = ["ansible-playbook", PLAYBOOK, "--extra-vars", f"@{variables}"]
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
        "ANSIBLE_HOME": str(variables.parent / "ansible"),
        "ANSIBLE_LOCALHOST_WARNING": "false",
    }
    say(" ".join(command))
    started = time.monotonic()
    changed = 0
    with subprocess.Popen(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            recap = re.search(r"\bchanged=(\d+)", line)
            changed += int(recap.group(1)) if recap else 0
    if process.returncode:
        sys.exit(f"The playbook failed with {process.returncode}.")
    say(f"changed={changed} in {time.monotonic() - started:.1f} s")
    return changed


def _image(cloud: Endpoint, compartment: str) -> dict[str, Any]:
    """The custom image, as Oracle's command-line client sees it."""
    answer = run("oci", "compute", "image", "list", "--compartment-id", compartment, env=cloud.client_environment())
    (image,) = json.loads(answer)["data"]
    return dict(image)


if __name__ == "__main__":
    main()
