# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A container registry on a free loopback port: Debian's docker-registry, with password and TLS where asked for."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from tests.support.command import run

USER = "ocne"
PASSWORD = "registry-Passw0rd"  # of a registry that lives for one test


@dataclass(frozen=True)
class Registry:
    """A running registry.

    :param host: 'localhost:PORT', or 'ADDRESS:PORT'.
    :param ca: the certificate that clients have to trust, where it speaks TLS.
    :param requests: the file that the registry logs its requests to, one a line.
    """

    host: str
    storage: Path
    requests: Path
    ca: Optional[Path] = None
    username: str = ""
    password: str = ""
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{'https' if self.ca else 'http'}://{self.host}"

    def start(self) -> None:
        """Let it run, and wait until it answers."""
        command = ["docker-registry", "serve", str(self.storage.with_name("config.yml"))]
        # It takes variables of these names for its configuration, clients take REGISTRY_AUTH_FILE for theirs.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("REGISTRY_")}
        with self.requests.open("a") as output:
            self._running.append(
                subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
            )
        _wait_ready(self, self._running[0])

    def stop(self) -> None:
        """End it at once; connections break."""
        while self._running:
            process = self._running.pop()
            process.kill()
            process.wait()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Let it take connections, and answer when the block ends."""
        self._running[0].send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._running[0].send_signal(signal.SIGCONT)

    def reference(self, name: str) -> str:
        """The transport reference of 'repository:tag' here."""
        return f"docker://{self.host}/{name}"

    def push(self, source: str, name: str, *, docker: bool = False) -> str:
        """Copy an image with all its architectures from a transport reference to 'repository:tag' here; its reference.

        :param docker: store it with Docker's media types instead of its own.
        """
        options = ["--quiet", "--all", "--dest-tls-verify=false", "--format=v2s2" if docker else "--preserve-digests"]
        if self.username:
            options.append(f"--dest-creds={self.username}:{self.password}")
        run("skopeo", "copy", *options, source, self.reference(name))
        return self.reference(name)

    def request_count(self, text: str = "") -> int:
        """How many requests whose log line has this text were made so far, e.g. 'GET /v2/ock/blobs/'."""
        return sum(text in line for line in self.requests.read_text().splitlines() if "/v2/" in line)

    def blob_bytes(self) -> int:
        """Bytes of blobs that were handed out so far."""
        return sum(map(int, re.findall(r"GET /v2/\S+/blobs/.*? 200 (\d+)", self.requests.read_text())))


@contextmanager
def serve(*, auth: bool = False, tls: bool = False, address: str = "127.0.0.1") -> Iterator[Registry]:
    """A registry that is ready, for the time of the context; its storage goes with it.

    It can be stopped and started in between.

    :param auth: demand USER and PASSWORD.
    :param tls: speak HTTPS, with a certificate of its own for localhost and the address.
    :param address: of this machine, to listen on.
    """
    with tempfile.TemporaryDirectory(prefix="registry-") as name:
        folder = Path(name)
        port = _free_port(address)
        certificate = make_certificate(folder, address) if tls else None
        if auth:
            (folder / "htpasswd").write_text(run("htpasswd", "-nbB", USER, PASSWORD))
        (folder / "config.yml").write_text(_config(folder, f"{address}:{port}", auth, certificate))
        host = "localhost" if address == "127.0.0.1" else address
        registry = Registry(f"{host}:{port}", folder / "storage", folder / "log", certificate, *((USER, PASSWORD) if auth else ()))
        try:
            registry.start()
            yield registry
        finally:
            registry.stop()


def _free_port(address: str) -> int:
    with socket.socket() as listener:
        listener.bind((address, 0))
        return int(listener.getsockname()[1])


def _config(folder: Path, place: str, auth: bool, certificate: Optional[Path]) -> str:
    lines = [
        "version: 0.1",
        "log: {level: info, accesslog: {disabled: false}}",
        f"storage: {{filesystem: {{rootdirectory: {folder / 'storage'}}}, delete: {{enabled: true}}}}",
        "http:",
        f"  addr: {place}",
        "  secret: one-process-only",
    ]
    if certificate:
        lines.append(f"  tls: {{certificate: {certificate}, key: {certificate.with_suffix('.key')}}}")
    if auth:
        lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder / 'htpasswd'}}}}}")
    return "\n".join(lines) + "\n"


def make_certificate(folder: Path, address: str) -> Path:
    """A key and a certificate for localhost and the address, which is its own authority; the certificate."""
    certificate = folder / "ca.crt"
    subject = ("-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{address}")
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout", str(certificate.with_suffix(".key")))
    run("openssl", "req", "-x509", *key, "-days", "2", *subject, "-out", certificate)
    return certificate


def _wait_ready(registry: Registry, process: subprocess.Popen[bytes]) -> None:
    context = ssl.create_default_context(cafile=str(registry.ca)) if registry.ca else None
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"{registry.url}/v2/", timeout=5, context=context).close()
            return
        except urllib.error.HTTPError:
            return  # it asks for a password: it is there
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the registry did not come up: {error}\n{registry.requests.read_text()}") from error
            time.sleep(0.05)
