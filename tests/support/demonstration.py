# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The main jobs from end to end on this machine, by the playbooks that users run, each of them twice, to show that nothing is
left to do: a sample boot image in a local registry becomes a custom image in a local stand-in of Oracle Cloud; a sample
ostree container becomes an archive, which is pushed and served.

All files are in .cache/quickstart, all traffic is on this machine, and everything that is started ends with this program.
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
from tests.support.encapsulate import encapsulate_tree
from tests.support.machine import say
from tests.support.nginx_image import write_nginx_image
from tests.support.oci_endpoint import Endpoint
from tests.support.podman import Podman
from tests.support.registry import Registry
from tests.support.sample_disk import SMALL

FOLDER = CACHE / "quickstart"
COMPARTMENT = "team/images"


def main() -> None:
    signal.signal(signal.SIGTERM, lambda *_arguments: sys.exit("ended by SIGTERM"))
    if FOLDER.exists():
        shutil.rmtree(FOLDER)
    FOLDER.mkdir(parents=True)
    with registry.serve() as images:
        results = {**boot_image(images), **ostree_archive(images)}
    say("done: an image was imported, an archive was served, and the second runs changed nothing")
    print("\n".join(f"{name:10}{value}" for name, value in results.items()))


def boot_image(images: Registry) -> dict[str, str]:
    """From a boot image to a custom image; what came of it, by name."""
    say("build a small boot image like OCK's: GPT, EFI, XFS boot and root, a boot entry, an ostree sysroot")
    layout = FOLDER / "layout"
    sample_image.write_layout(layout)
    with Endpoint(FOLDER / "cloud") as cloud:
        source = images.push(f"oci:{layout}:{SMALL.version}", f"olcne/ock:{SMALL.version}")
        say(f"it is in a local registry: {source}")
        compartment = cloud.add_compartment(COMPARTMENT)
        say(f"a local endpoint stands in for Oracle Cloud: {cloud.url}")
        artefact = FOLDER / f"boot.qcow2-{SMALL.version}-amd64.oci"
        play_twice("ocne.images.create_and_upload_oci_image", main_job(FOLDER, source, artefact, cloud))
        image = _image(cloud, compartment)
    digest = hashlib.sha256(artefact.read_bytes()).hexdigest()
    described = f"{image['id']} ({image['display-name']}, {image['lifecycle-state']})"
    return {"image": described, "artefact": str(artefact), "digest": f"sha256:{digest}"}


def ostree_archive(images: Registry) -> dict[str, str]:
    """From an ostree container to a server of its commit; what came of it, by name."""
    say("build a small ostree container like OCK's, and a container with this machine's nginx")
    tree = FOLDER / "tree"
    (tree / "usr/lib").mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text("NAME=sample\n")
    commit = encapsulate_tree(tree, FOLDER / "ostree", SMALL.version)
    write_nginx_image(FOLDER / "nginx")
    source = images.push(f"oci:{FOLDER}/ostree:latest", f"olcne/ock-ostree:{SMALL.version}")
    base = images.push(f"oci:{FOLDER}/nginx:latest", "library/nginx:stable")
    say(f"they are in the local registry: {source}, {base}")
    pushed, folder = images.reference(f"ock-ostree:{SMALL.version}"), FOLDER / "archive"
    variables = {
        "ocne_images_ostree_source": source,
        "ocne_images_ostree_base_image": base,
        "ocne_images_ostree_archive_dest": f"{FOLDER}/",
        "ocne_images_targets": [{"upload_dest": pushed}, {"upload_dest": f"dir:{folder}"}],
    }
    play_twice("ocne.images.create_and_upload_ostree_archive", _variables(FOLDER / "archive.json", variables))
    podman = Podman()
    try:
        say(f"let podman run {pushed}")
        podman("pull", "--quiet", "--tls-verify=false", pushed)
        with podman.serving(pushed.partition("//")[2], 80, "ostree/config") as url:
            say(f"curl {url}/ostree/refs/heads/ock")
            fetched = run("curl", "--fail", "--silent", "--show-error", f"{url}/ostree/refs/heads/ock").strip()
    finally:
        podman.close()
    print(fetched)
    if fetched != commit:
        sys.exit(f"The server gave {fetched}, and {commit} was encapsulated.")
    return {"archive": f"{pushed} and dir:{folder}", "commit": commit}


def main_job(folder: Path, source: str, artefact: Path, cloud: Endpoint) -> Path:
    """A file in the folder with the variables of the playbook for boot images."""
    services = ("compute", "identity", "object_storage", "work_requests")
    variables = {
        "ocne_images_boot_image_source": source,
        "ocne_images_boot_image_dest": str(artefact),
        "ocne_images_compartment": COMPARTMENT,
        "ocne_images_oci_config_file_location": str(cloud.config_file),
        "ocne_images_oci_endpoints": dict.fromkeys(services, cloud.url),
    }
    return _variables(folder / "variables.json", variables)


def _variables(path: Path, variables: dict[str, Any]) -> Path:
    """A file with these variables, and those of the registry here."""
    common = {"ocne_images_tls_verify": False, "ocne_images_architecture": "amd64", "ocne_images_cache_dir": str(path.parent / "cache")}
    path.write_text(json.dumps({**common, **variables}, indent=2) + "\n")
    return path


def play_twice(playbook: str, variables: Path) -> None:
    """Run the playbook, and again, to show that it has nothing to do."""
    play(playbook, variables)
    if play(playbook, variables):
        sys.exit("The second run changed something.")


def play(playbook: str, variables: Path) -> int:
    """Run the playbook; how many tasks changed something."""
    command = ["ansible-playbook", playbook, "--extra-vars", f"@{variables}"]
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
