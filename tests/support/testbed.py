# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What Molecule's scenarios share: a cluster of kind, a registry that this machine and pods reach, and a stand-in of Oracle Cloud.

    python -m tests.support.testbed up|down    as root

'up' begins anew, apart from the cluster, and leaves a process that serves until 'down'. All files are in .cache/testbed;
variables.json there is what scenarios have to know.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from typing import Any

from tests.support import build_cluster, machine, nginx_image, registry, sample_image
from tests.support.build_cluster import BuildCluster
from tests.support.command import CACHE, ROOT, run
from tests.support.kind import cluster as kind
from tests.support.machine import SetupError, say
from tests.support.oci_endpoint import Endpoint
from tests.support.ostree_image import CHUNKED, COMMIT
from tests.support.registry import Registry
from tests.support.sample_disk import SMALL
from tests.support.watching import processes

FOLDER = CACHE / "testbed"
VARIABLES = FOLDER / "variables.json"
PURPOSES = ("a cluster", "a registry", "archive containers", "container images", "sample disks", "the disk engine")
COMPARTMENT = "team/images"
_LOG = FOLDER / "log"


def up() -> None:
    """Everything, ready."""
    machine.install_packages(PURPOSES)
    _stop_serving()
    kind.up()
    shutil.rmtree(FOLDER, ignore_errors=True)
    link = FOLDER / "collections/ansible_collections/ocne/images"
    link.parent.mkdir(parents=True)
    link.symlink_to(ROOT)
    with _LOG.open("w") as log:
        command = [sys.executable, "-B", "-m", "tests.support.testbed", "serve"]
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(FOLDER)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    while not VARIABLES.exists():
        if process.poll() is not None:
            raise SetupError(f"the registry and the stand-in of Oracle Cloud did not come up:\n{_LOG.read_text()[-3000:]}")
        time.sleep(0.2)


def down() -> None:
    """Nothing is left, whatever was there."""
    _stop_serving()
    kind.down()
    shutil.rmtree(FOLDER, ignore_errors=True)


def serve() -> None:
    """Let the registry and the stand-in of Oracle Cloud run until SIGTERM."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_arguments: ended.set())
    os.umask(0o077)
    cluster = build_cluster.ready()
    with registry.serve(auth=True, tls=True, address=cluster.gateway) as images, Endpoint(FOLDER / "cloud") as cloud:
        variables = {**_cluster(cluster), **_images(images, cluster), **_cloud(cloud)}
        partial = VARIABLES.with_suffix(".part")
        partial.write_text(json.dumps(variables, indent=2) + "\n")
        partial.replace(VARIABLES)
        ended.wait()


def _cluster(cluster: BuildCluster) -> dict[str, Any]:
    return {
        "folder": str(FOLDER),
        "node": cluster.node,
        "kubeconfig": str(cluster.kubeconfig),
        "builder_image": cluster.image,
        "environment": dict(cluster.env),
    }


def _images(images: Registry, cluster: BuildCluster) -> dict[str, Any]:
    """Put the samples into the registry."""
    say("put samples into the registry")
    sample_image.write_layout(FOLDER / "boot")
    nginx_image.write_nginx_image(FOLDER / "nginx")
    account = base64.b64encode(f"{images.username}:{images.password}".encode()).decode()
    authfile = FOLDER / "auth.json"
    authfile.write_text(json.dumps({"auths": {images.host: {"auth": account}}}))
    return {
        "registry": images.host,
        "username": images.username,
        "password": images.password,
        "authfile": str(authfile),
        "ca_certificates": str(images.ca),
        "boot_image": images.push(f"oci:{FOLDER}/boot:{SMALL.version}", f"olcne/ock:{SMALL.version}"),
        "ostree_image": images.push(f"oci-archive:{CHUNKED}", "olcne/ock-ostree:1.33"),
        "ostree_commit": COMMIT,
        "base_image": images.push(f"oci:{FOLDER}/nginx", "library/nginx:stable"),
        "node_image": _node_image(images, cluster, account),
        "pulled_builder_image": _builder_image(images, cluster),
    }


def _node_image(images: Registry, cluster: BuildCluster, account: str) -> str:
    """A node image like that of the cluster, whose containerd has an account at the registry: a cluster made of it can pull from there."""
    name, container = f"ocne-images-tests/node:{cluster.name}", f"{cluster.name}-testbed"
    image = run("docker", "inspect", "--format", "{{.Config.Image}}", cluster.node, env=cluster.env).strip()
    subprocess.run(["docker", "rm", container], env={**os.environ, **cluster.env}, capture_output=True, check=False)
    run("docker", "create", "--name", container, image, env=cluster.env)
    folder = FOLDER / "containerd"
    run("docker", "cp", f"{container}:/etc/containerd", folder, env=cluster.env)
    hosts = folder / "certs.d" / images.host / "hosts.toml"
    hosts.parent.mkdir(parents=True)
    lines = [f'[host."{images.url}"]', "skip_verify = true", f'[host."{images.url}".header]', f'authorization = "Basic {account}"']
    hosts.write_text("\n".join(lines) + "\n")
    config = folder / "config.toml"
    if "version = 2" in config.read_text():  # newer ones know the folder by themselves
        with config.open("a") as file:
            file.write('[plugins."io.containerd.grpc.v1.cri".registry]\nconfig_path = "/etc/containerd/certs.d"\n')
    run("docker", "cp", f"{folder}/.", f"{container}:/etc/containerd", env=cluster.env)
    run("docker", "commit", container, name, env=cluster.env)
    run("docker", "rm", container, env=cluster.env)
    return name


def _builder_image(images: Registry, cluster: BuildCluster) -> str:
    archive = FOLDER / "builder.tar"
    run("docker", "save", "--output", archive, cluster.image, env=cluster.env)
    reference = images.push(f"docker-archive:{archive}", "builder:stable")
    archive.unlink()
    return reference.partition("//")[2]


def _cloud(cloud: Endpoint) -> dict[str, Any]:
    return {
        "cloud": cloud.url,
        "cloud_config": str(cloud.config_file),
        "cloud_environment": cloud.client_environment(),
        "compartment": COMPARTMENT,
        "compartment_id": cloud.add_compartment(COMPARTMENT),
    }


def _stop_serving() -> None:
    """End the process of this up, or of one that was killed, and what that has started."""
    for number, patience in ((signal.SIGTERM, 30), (signal.SIGKILL, 10)):
        for pid in _serving():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        deadline = time.monotonic() + patience
        while _serving() and time.monotonic() < deadline:
            time.sleep(0.2)


def _serving() -> list[int]:
    """Ids of the processes that serve here: they alone have this folder for temporary files."""
    mark = os.fsencode(f"TMPDIR={FOLDER}")
    return [process.pid for process in processes() if mark in process.environment.split(b"\0")]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.testbed", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("command", choices=("up", "down", "serve"))
    command = {"up": up, "down": down, "serve": serve}[parser.parse_args().command]
    try:
        command()
    except SetupError as error:
        sys.exit(f"This machine cannot be made ready: {error}")


if __name__ == "__main__":
    main()
