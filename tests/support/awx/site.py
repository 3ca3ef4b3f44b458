# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A site: an AWX with all that the playbook configure_awx loads, and what its jobs use, an Oracle Cloud and a registry."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization

from tests.support import registry, sample_image
from tests.support.collection import collections_path
from tests.support.nginx_image import write_nginx_image
from tests.support.oci_endpoint import Endpoint
from tests.support.ostree_image import SINGLE
from tests.support.registry import PASSWORD, USER, Registry

from .api import Awx
from .collection import awx_collection

#: A secret of each kind.
PASS_PHRASE = "pass-phrase-Canary %(x)s"
SERVICES = ("compute", "identity", "object_storage", "work_requests")


@dataclass
class Site:
    """An AWX with all that a site loads into it, and what its jobs use.

    :param variables: of the playbook that loads it.
    :param loads: what each run of that playbook printed.
    """

    awx: Awx
    cloud: Endpoint
    images: Registry
    folder: Path
    variables: dict[str, Any]
    loads: list[str]

    def secrets(self) -> set[str]:
        """Texts that may be in the files that are injected, and nowhere else."""
        key = self.variables["ocne_images_awx_credentials"]["oci"]["key"].splitlines()
        token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return {PASS_PHRASE, PASSWORD, token, *(line for line in key if len(line) == 64)}


@contextmanager
def site(folder: Path, loads: int = 1) -> Iterator[Site]:
    """:param loads: how many times it is loaded."""
    with Awx() as awx, Endpoint(folder / "cloud", tls=True) as cloud, registry.serve(auth=True, tls=True) as images:
        cloud.add_compartment("team/images")
        sample_image.write_layout(folder / "disk")
        write_nginx_image(folder / "nginx")
        images.push(f"oci:{folder / 'disk'}:1.33", "olcne/ock:1.33")
        images.push(f"oci-archive:{SINGLE}", "olcne/ock-ostree:1.33")
        images.push(f"oci:{folder / 'nginx'}:latest", "nginx:latest")
        made = Site(awx, cloud, images, folder, _variables(folder, cloud, images), [])
        made.loads += [load(made) for _load in range(loads)]
        yield made


def load(site: Site) -> str:
    """Run the playbook that loads the templates; what it prints."""
    path = site.folder / "variables.json"
    path.write_text(json.dumps(site.variables))
    environment = {
        **site.awx.environment(),
        "ANSIBLE_COLLECTIONS_PATH": f"{collections_path()}{os.pathsep}{awx_collection()}",
        "HOME": str(site.folder),
        "NO_COLOR": "1",
    }
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "ocne.images.configure_awx", "-vvv", "-e", f"@{path}"]
    result = subprocess.run(
        command, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def _variables(folder: Path, cloud: Endpoint, images: Registry) -> dict[str, Any]:
    shared = folder / "shared"
    shared.mkdir()
    assert images.ca
    shutil.copy(images.ca, shared / "ca.pem")
    pem = serialization.load_pem_private_key(cloud.credentials.api_key.key_file.read_bytes(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.BestAvailableEncryption(PASS_PHRASE.encode()),
    )
    return {
        "ocne_images_awx_image": "registry.example.com/ocne-images:0.1.0",
        "ocne_images_awx_project_branch": "0.1.0",
        "ocne_images_awx_folder": str(shared),
        "ocne_images_awx_volume_claim": "ocne-images",
        "ocne_images_awx_credentials": {
            "oci": {
                "auth_type": "api_key",
                "tenancy": cloud.tenancy,
                "user": cloud.credentials.user,
                "fingerprint": cloud.credentials.api_key.fingerprint,
                "region": cloud.settings.region,
                "key": pem.decode(),
                "pass_phrase": PASS_PHRASE,
                "ca_certificates": cloud.ca_file.read_text(),
            },
            "registry": {"host": images.host, "username": USER, "password": PASSWORD},
        },
        "ocne_images_awx_variables": {
            "ocne_images_boot_image_source": images.reference("olcne/ock:1.33"),
            "ocne_images_ostree_source": images.reference("olcne/ock-ostree:1.33"),
            "ocne_images_ostree_base_image": images.reference("nginx:latest"),
            "ocne_images_ca_certificates": str(shared / "ca.pem"),
            "ocne_images_oci_endpoints": dict.fromkeys(SERVICES, cloud.url),
        },
        "ocne_images_compartment": "team/images",
        "ocne_images_upload_dest": images.reference("ock-ostree-server:1.33"),
    }


def changed(printed: str) -> int:
    return sum(int(number) for number in re.findall(r"\bchanged=(\d+)", printed))
