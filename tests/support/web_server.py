# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""This machine's nginx on a free loopback port, which serves a folder; with password and TLS where asked for."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tests.support.command import run
from tests.support.network import free_port
from tests.support.registry import make_certificate

USER = "reader"
PASSWORD = "server-Passw0rd"  # of a server that lives for one test

_PATH = "/usr/sbin:/usr/bin"

_CONFIGURATION = """
daemon off;
worker_processes 1;
error_log {folder}/errors;
pid {folder}/pid;
events {{ worker_connections 128; }}
http {{
    access_log {folder}/requests;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port}{tls};
        {options}
        location / {{ root {root}; }}
        {more}
    }}
}}
"""


@dataclass(frozen=True)
class WebServer:
    """A running server. requests: the file that it logs requests to, one a line."""

    url: str
    requests: Path
    ca: Optional[Path] = None


@contextmanager
def serve(root: Path, *, auth: bool = False, tls: bool = False, more: str = "") -> Iterator[WebServer]:
    """Serve the folder for the time of the context.

    :param auth: demand USER and PASSWORD.
    :param tls: speak HTTPS, with a certificate of its own for localhost and 127.0.0.1.
    :param more: further configuration of the server; {root} and {port} are filled in.
    """
    with tempfile.TemporaryDirectory(prefix="web-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        port = free_port()
        options = []
        certificate = make_certificate(folder, "127.0.0.1") if tls else None
        if certificate:
            options += [f"ssl_certificate {certificate};", f"ssl_certificate_key {certificate.with_suffix('.key')};"]
        if auth:
            (folder / "users").write_text(run("htpasswd", "-nbm", USER, PASSWORD))
            options += ["auth_basic test;", f"auth_basic_user_file {folder / 'users'};"]
        text = _CONFIGURATION.format(
            folder=folder,
            port=port,
            root=root,
            tls=" ssl" if tls else "",
            options=" ".join(options),
            more=more.format(root=root, port=port),
        )
        # As root its workers would be those of an account that the folder is closed to.
        (folder / "nginx.conf").write_text(f"user root;{text}" if os.geteuid() == 0 else text)
        command = [shutil.which("nginx", path=_PATH) or "nginx", "-e", str(folder / "errors"), "-c", str(folder / "nginx.conf")]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        try:
            _wait(port, process, folder / "errors")
            yield WebServer(f"{'https' if tls else 'http'}://127.0.0.1:{port}", folder / "requests", certificate)
        finally:
            process.terminate()
            process.wait()


def _wait(port: int, process: subprocess.Popen[bytes], errors: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 5).close()
            return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nginx did not come up: {errors.read_text() if errors.exists() else ''}") from None
            time.sleep(0.05)
