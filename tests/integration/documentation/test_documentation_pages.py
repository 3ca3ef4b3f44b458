# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tutorials and how-to pages as a reader works through them: files as they are printed, commands word for word.

The references to Oracle's registry stay as they are: registries.conf leads them to a registry on this machine, as the
page on mirrors tells. Oracle Cloud is the endpoint of tests/support, named by an inventory.
"""

from __future__ import annotations

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._platform import ARCHITECTURES

from tests.support import documents, proxy, registry
from tests.support.collection import collections_path
from tests.support.documents import Block
from tests.support.network import machine_address
from tests.support.nginx_image import write_nginx_image
from tests.support.oci_endpoint import Endpoint
from tests.support.ostree_image import CHUNKED
from tests.support.registry import Registry
from tests.support.sample_disk import SMALL
from tests.support.sample_image import write_layout

SERVICES = ("compute", "identity", "object_storage", "work_requests")
#: What the machine has already: ./run-tests has installed it.
INSTALLATION = re.compile(r"^(ansible-galaxy collection|pip|sudo) ")


class Reader:
    """Somebody at a terminal, in a home folder of their own.

    :param places: what the reader has, by what the pages have instead.
    :param environment: further variables of it.
    :param variables: further ones of the inventory.
    """

    def __init__(self, home: Path, cloud: Endpoint, **variables: object) -> None:
        self.home = home
        self.cloud = cloud
        self.places = {"/media/usb": str(home / "medium")}
        self.environment = {"OCI_CONFIG_FILE": str(cloud.config_file)}
        self.variables: dict[str, object] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "ocne_images_oci_endpoints": dict.fromkeys(SERVICES, cloud.url),
            **variables,
        }

    def _write(self, block: Block) -> None:
        """Write a block that says in its first line what file it is; others are for looking at."""
        named = re.match(r"# ([\w-]+\.yml)", block.text)
        if named:
            (self.home / named.group(1)).write_text(self._here(block.text))

    def _here(self, text: str) -> str:
        for theirs, ours in self.places.items():
            text = text.replace(theirs, ours)
        return text

    def _run(self, command: str) -> str:
        """What the command prints; it has to succeed."""
        environment = {
            **os.environ,
            "HOME": str(self.home),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_INVENTORY": str(self.home / "inventory.json"),
            "ANSIBLE_NOCOLOR": "1",
            **self.environment,
        }
        shell = ["bash", "-euo", "pipefail", "-c", command]
        result = subprocess.run(
            shell, cwd=self.home, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
        return result.stdout

    def read(self, name: str) -> Iterator[str]:
        """Work through a page; gives what each of its commands printed, before it goes on."""
        (self.home / "inventory.json").write_text(json.dumps({"all": {"hosts": {"localhost": self.variables}}}))
        for block in documents.blocks(name):
            if block.language == "yaml":
                self._write(block)
            for line in map(str.strip, block.text.replace("\\\n", " ").splitlines() if block.language == "sh" else ()):
                if not INSTALLATION.match(line):
                    yield self._run(self._here(line))


def _fill(running: Registry, folder: Path) -> None:
    """Push what is fetched by default."""
    layout, nginx = folder / "ock", folder / "nginx"
    write_layout(layout, architectures=("amd64", "arm64"))
    write_nginx_image(nginx)
    running.push(f"oci:{layout}:{SMALL.version}", "olcne/ock:1.33")
    running.push(f"oci-archive:{CHUNKED}", "olcne/ock-ostree:1.33")
    running.push(f"oci:{nginx}:latest", "library/nginx:stable-alpine")


def _home(folder: Path, oracle: Registry) -> Path:
    """A home where references to the public registries lead to this one."""
    home = folder / "home"
    configuration = home / ".config/containers/registries.conf"
    configuration.parent.mkdir(parents=True)
    insecure = "false" if oracle.ca else "true"
    with configuration.open("w") as file:
        for prefix in ("container-registry.oracle.com", "docker.io"):
            file.write(f'[[registry]]\nprefix = "{prefix}"\nlocation = "{oracle.host}"\ninsecure = {insecure}\n')
    return home


@pytest.fixture
def oracle(tmp_path: Path) -> Iterator[Registry]:
    with registry.serve() as running:
        _fill(running, tmp_path)
        yield running


@pytest.fixture
def reader(tmp_path: Path, oracle: Registry) -> Iterator[Reader]:
    with Endpoint(tmp_path / "cloud") as cloud:
        cloud.add_compartment("team/images")
        yield Reader(_home(tmp_path, oracle), cloud)


def test_tutorial_for_the_terminal(reader: Reader) -> None:
    made, listed, looked, imported, again, shown = reader.read("docs/tutorials/terminal.md")
    architecture = ARCHITECTURES[platform.machine()]
    assert "changed=1 " in made
    assert {f"boot.qcow2-1.33-{architecture}.oci{suffix}" for suffix in ("", ".build.json")} <= set(listed.split())
    assert "would be imported as ock-1.33-arm64" in looked
    assert "changed=0" not in imported and "failed=0" in imported
    assert "changed=0 " in again
    images = {image.document["displayName"]: image.document["id"] for image in reader.cloud.images.by_id.values()}
    assert set(images) == {"ock-1.33-amd64", "ock-1.33-arm64"}
    assert all(identifier in shown for identifier in images.values())


def test_images_are_carried_to_where_no_registry_is(reader: Reader, oracle: Registry) -> None:
    (reader.home / "medium").mkdir()
    page = reader.read("docs/how-to/air-gapped.md")
    assert "changed=3 " in next(page)
    oracle.stop()
    boot_image, archive = page
    assert "changed=1 " in boot_image and "changed=1 " in archive


def test_host_acts_as_an_instance(reader: Reader) -> None:
    reader.environment = reader.cloud.instance_environment()
    reader.variables["ocne_images_oci_endpoints"] = dict.fromkeys((*SERVICES, "auth"), reader.cloud.url)
    (imported,) = reader.read("docs/how-to/instance-principal.md")
    assert "changed=2 " in imported
    assert {entry.principal for entry in reader.cloud.requests("POST", "/images")} == {"instance"}


def test_images_go_into_a_private_cloud(tmp_path: Path, oracle: Registry) -> None:
    with Endpoint(tmp_path / "cloud", tls=True) as cloud:
        cloud.add_compartment("images")
        reader = Reader(_home(tmp_path, oracle), cloud)
        names = ("identity", "objectstorage", "iaas")
        reader.places = {f"https://{name}.cloud.example.com": cloud.url for name in names}
        reader.places["/etc/pki/private-cloud.pem"] = str(cloud.ca_file)
        (imported,) = reader.read("docs/how-to/private-cloud.md")
        assert "changed=2 " in imported
        (image,) = cloud.images.by_id.values()
        assert not cloud.requests("GET", "computeImageCapabilitySchemas")
        assert image.document["launchOptions"]["networkType"] == "PARAVIRTUALIZED"


def test_everything_goes_through_a_proxy_with_private_authorities(tmp_path: Path) -> None:
    """The registry has an address that is not loopback's, since what is local is reached without a proxy."""
    public = registry.serve(tls=True, address=machine_address())
    with public as oracle, proxy.serve() as between, Endpoint(tmp_path / "cloud", tls=True) as cloud:
        cloud.add_compartment("team/images")
        _fill(oracle, tmp_path)
        reader = Reader(_home(tmp_path, oracle), cloud)
        reader.places = {
            "http://proxy.example.com:3128": between.url,
            "localhost,127.0.0.1,.example.com": ".example.com",
            "/etc/pki/ca-trust/source/anchors/example.pem": str(oracle.ca),
            "/etc/pki/tls/certs/ca-bundle.crt": str(cloud.ca_file),
        }
        between.tunnels.clear()
        (imported,) = reader.read("docs/how-to/proxy-and-certificates.md")
        assert "changed=2 " in imported and proxy.PASSWORD not in imported
        assert {there for _client, there in between.tunnels} == {oracle.host, cloud.url.rpartition("/")[2]}


def test_superseded_images_are_removed(reader: Reader) -> None:
    endpoints = json.dumps(reader.variables["ocne_images_oci_endpoints"])
    reader.places["compartment: team/images"] = f"compartment: team/images\n        endpoints: {endpoints}"
    page = reader.read("docs/how-to/clean-up.md")
    assert all("changed=0 " in next(page) for _command in ("check", "remove"))
    assert "changed=2 " in next(page)
    assert "changed=0 " in next(page), "no cluster was made here"


def test_images_are_made_for_other_platforms(reader: Reader) -> None:
    reader.places["/srv/images"] = str(reader.home)
    virtualization_manager, metal = reader.read("docs/how-to/other-platforms.md")
    assert "changed=1 " in virtualization_manager and "changed=1 " in metal
    assert list((reader.home / ".ocne/images").glob("boot.qcow2-1.33-*.olvm")) and (reader.home / "metal.qcow2").exists()


def test_images_of_a_fleet(reader: Reader, oracle: Registry) -> None:
    """All but the last command, which is for another host: tests/integration/ostree_server has one."""
    oracle.push(f"oci:{reader.home.parent / 'ock'}:{SMALL.version}", "olcne/ock:1.32")
    reader.places["docker://registry.example.com"] = f"docker://{oracle.host}"
    reader.variables["ocne_images_tls_verify"] = False
    page = reader.read("docs/tutorials/fleet.md")
    assert "would be imported as ock-1.33-metal" in next(page)
    assert "changed=2 " in next(page)
    named = {image.document["displayName"] for image in reader.cloud.images.by_id.values()}
    assert named == {"ock-1.33-amd64", "ock-1.33-arm64", "ock-1.32-amd64", "ock-1.33-metal"}
    table = next(page)
    assert re.search(r"1\.32 +arm64 +olvm +changed ", table) and re.search(r"1\.33 +amd64 +oci +ok +ocid1\.image", table)
    assert "changed=2 " in next(page)
    page.close()
