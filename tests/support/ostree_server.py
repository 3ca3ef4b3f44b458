# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role ostree_server's server on a host of its own, and archives of several commits to serve."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from tests.support import module_call
from tests.support.encapsulate import encapsulate_tree
from tests.support.network import free_port
from tests.support.nginx_image import write_nginx_image
from tests.support.systemd_host import LIMITS, SystemdHost

PLAYBOOK = "ocne.images.serve_ostree_archive"
BUSYBOX = Path("/bin/busybox")


class Server:
    """The role's server on a host of its own; archives of several commits to serve."""

    def __init__(self, host: SystemdHost) -> None:
        self.host = host
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.state = host.folder / "state"
        self.base = host.folder / "base"
        busybox = BUSYBOX.read_bytes()
        write_nginx_image(self.base, more=[{"bin/sh": busybox, "bin/wget": busybox}])

    def archive(self, number: int, base: Path) -> tuple[Path, str]:
        """An archive of a commit; its path and the commit."""
        folder = self.host.folder / f"commit-{number}-{base.name}"
        dest = folder / "archive.tar"
        if not dest.exists():
            tree = folder / "tree"
            for name in range(200):
                (tree / f"usr/{name}").mkdir(parents=True)
                (tree / f"usr/{name}/file").write_text(f"{name} of {number}\n" * 200)
            encapsulate_tree(tree, folder / "source", str(number))
            params = {"source": f"oci:{folder}/source:latest", "base_image": f"oci:{base}:latest", "dest": str(dest)}
            result = module_call.call("ocne_ostree_archive", {**params, "cache_dir": str(folder / "cache"), "architecture": "amd64"})
            (folder / "commit").write_text(result["commit"])
        return dest, (folder / "commit").read_text()

    def serve(self, archive: Path, *options: str, **variables: Any) -> str:
        """Run the playbook; what it says."""
        values = {
            "ocne_images_ostree_archive_src": str(archive),
            "ocne_images_server_folder": str(self.state),
            "ocne_images_server_address": "127.0.0.1",
            "ocne_images_server_port": self.port,
            "ocne_images_server_podman_arguments": list(LIMITS),
            **variables,
        }
        path = self.host.folder / "variables.json"
        path.write_text(json.dumps(values))
        return self.host.play(PLAYBOOK, path, *options)

    def get(self, path: str) -> str:
        return self.fetch(path).decode()

    def fetch(self, path: str) -> bytes:
        with urllib.request.urlopen(f"{self.url}/{path}", timeout=10) as answer:
            return bytes(answer.read())

    def started(self) -> str:
        """When nginx was started: another value after a restart."""
        return self.host("podman", "inspect", "--format={{.State.StartedAt}}", "ock-ostree").strip()
