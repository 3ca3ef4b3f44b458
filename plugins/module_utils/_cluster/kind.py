# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters made by kind (https://kind.sigs.k8s.io): nodes that are containers of docker or podman on this host.

kind names a cluster's only node NAME-control-plane and gives every node the label io.x-k8s.kind.cluster=NAME. A node of
ours is known by its container's id or, where the run that made it was ended before it could note that, by the port of the
API server, which we choose and note beforehand.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _kubernetes_client as kube
from .._errors import OcneError
from .receipts import Receipt

LABEL = "io.x-k8s.kind.cluster"
API_PORT = "6443/tcp"
_ATTEMPTS = 10
HINT_WITHOUT = "Install it, or name a cluster that runs by kubeconfig or context."


@dataclass(frozen=True)
class Container:
    """A node, as the container engine tells."""

    id: str
    name: str
    running: bool
    api_server_port: int


class Kind:
    """The command kind, and that of the container engine it works with.

    :raises OcneError: one of them is missing, or does not work.
    """

    name = "kind"

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._image: str = params["node_image"] or ""
        self._kind = _program("kind")
        # kind takes docker where it finds it; the variable is its own.
        self._engine = os.environ.get("KIND_EXPERIMENTAL_PROVIDER") or ("docker" if shutil.which("docker") else "podman")
        if not shutil.which(self._engine):
            raise OcneError("kind needs docker or podman, and neither is in PATH.", HINT_WITHOUT)
        self._command(self._engine, "ps", "--quiet", "--latest", doing=f"{self._engine} does not answer")

    def machines(self, name: str) -> list[Container]:
        """The nodes of the cluster of that name, whoever made it."""
        attempts = 0
        while True:
            ids = self._command(self._engine, "ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={LABEL}={name}").split()
            try:
                return parse_containers(self._command(self._engine, "inspect", "--type=container", *ids)) if ids else []
            except OcneError as error:
                # One that is just being made or removed is listed, and not there.
                attempts += 1
                if attempts == _ATTEMPTS or "no such" not in error.message.lower():
                    raise
            time.sleep(0.5)

    def reserve(self) -> dict[str, Any]:
        """A port for the API server that nothing listens on now; kind itself finds one in this way."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            return {"api_server_port": listener.getsockname()[1], "containers": []}

    def is_ours(self, machine: Container, receipt: Receipt) -> bool:
        """Whether the receipt names this very container."""
        if receipt.owned["containers"]:
            return machine.id in receipt.owned["containers"]
        return bool(machine.api_server_port == receipt.owned["api_server_port"])

    def create(self, receipt: Receipt) -> dict[str, Any]:
        """Make the cluster: its control plane is up, its node may not be ready yet. With the ids of its containers."""
        config = {
            "kind": "Cluster",
            "apiVersion": "kind.x-k8s.io/v1alpha4",
            "networking": {"apiServerAddress": "127.0.0.1", "apiServerPort": receipt.owned["api_server_port"]},
            "nodes": [{"role": "control-plane"}],
        }
        image = ["--image", self._image] if self._image else []
        with tempfile.TemporaryDirectory(prefix="ocne-kind-") as folder:
            self._command(
                *(self._kind, "create", "cluster", "--name", receipt.name, "--config", "-", *image, "--kubeconfig", f"{folder}/kubeconfig"),
                stdin=json.dumps(config),
                doing=f"kind could not make the cluster {receipt.name}",
            )
        return {**receipt.owned, "containers": [container.id for container in self.machines(receipt.name)]}

    def differences(self, receipt: Receipt) -> list[str]:
        """In what the cluster that is there is not the one that is asked for: nothing that is looked at."""
        return []

    def complete(self, receipt: Receipt, access: kube.Access, deadline: float) -> None:
        """kind has done all."""

    def last_words(self, receipt: Receipt) -> str:
        """What the machine has said last: kind has told of that itself."""
        return ""

    def kubeconfig(self, name: str) -> bytes:
        """The kubeconfig of the cluster's administrator."""
        return self._command(self._kind, "get", "kubeconfig", "--name", name).encode()

    def start(self, machines: Sequence[Container]) -> None:
        """Start nodes that were stopped, as by a restart of the host."""
        if machines:
            self._command(self._engine, "start", *(container.id for container in machines))

    def remove(self, receipt: Receipt, machines: Sequence[Container]) -> None:
        """Remove these nodes, with their volumes."""
        if machines:
            self._command(self._engine, "rm", "--force", "--volumes", *(container.id for container in machines))

    @staticmethod
    def _command(*command: str, stdin: str = "", doing: str = "") -> str:
        result = subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)
        if result.returncode:
            what = doing or f"{Path(command[0]).name} {command[1]} failed"
            raise OcneError(f"{what}: {_reason(result.stderr)}.", "See the documentation of kind and of the container engine.")
        return result.stdout


def parse_containers(text: str) -> list[Container]:
    """The nodes in what 'docker inspect' or 'podman inspect' prints."""
    containers = []
    for value in json.loads(text):
        bindings = (value["HostConfig"].get("PortBindings") or {}).get(API_PORT) or [{}]
        port = int(bindings[0].get("HostPort") or 0)
        containers.append(Container(value["Id"], value["Name"].lstrip("/"), bool(value["State"]["Running"]), port))
    return containers


def _program(name: str) -> str:
    path = shutil.which(name)
    if not path:
        raise OcneError(f"The program {name} is not in PATH.", HINT_WITHOUT)
    return path


def _reason(output: str) -> str:
    """What a failing command's output says of its reason: kind puts that after 'ERROR:', with much above and below it."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    first = next((number for number, line in enumerate(lines) if line.startswith("ERROR:")), max(len(lines) - 3, 0))
    return " ".join(lines[first : first + 6])[:800].removeprefix("ERROR: ").rstrip(".") or "no output"
