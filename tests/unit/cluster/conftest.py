# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A stand-in of an API server, with what the review of a cluster asks for; and a home folder of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest


class Api:
    """What the server answers: status codes by path, nodes, and what is forbidden (as 'create pods/exec')."""

    def __init__(self, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.status: dict[str, int] = {}
        self.messages: dict[int, str] = {}
        self.nodes: list[dict[str, Any]] = [node("worker")]
        self.forbidden: set[str] = set()
        self.reviewed: list[str] = []
        self.created: list[str] = []
        self.tokens: list[str | None] = []

    def answer(self, method: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        status = self.status.get(path.partition("?")[0], 200)
        if status != 200:
            return status, {
                "kind": "Status",
                "status": "Failure",
                "reason": f"Reason{status}",
                "message": self.messages.get(status, f"refused with {status}"),
            }
        if path == "/version/":
            return 200, {"major": "1", "minor": "34", "gitVersion": "v1.34.4", **dict.fromkeys(_VERSION_FACTS, "")}
        if path == "/api/v1/nodes":
            return 200, {"kind": "NodeList", "items": self.nodes}
        if path.endswith("/selfsubjectaccessreviews"):
            asked = body["spec"]["resourceAttributes"]
            right = f"{asked['verb']} {'/'.join(filter(None, (asked['resource'], asked.get('subresource'))))}"
            self.reviewed.append(f"{right} in {asked.get('namespace', 'the cluster')}")
            return 201, {"spec": body["spec"], "status": {"allowed": right not in self.forbidden}}
        if method == "POST":
            self.created.append(path)
            return 201, body
        return 200, {"kind": "Namespace", "metadata": {"name": path.rpartition("/")[2]}}


_VERSION_FACTS = ("gitCommit", "gitTreeState", "buildDate", "goVersion", "compiler", "platform")


def node(name: str, ready: str = "True", unschedulable: bool = False, message: str = "", taint: str = "") -> dict[str, Any]:
    """A node as the API has it."""
    condition = {"type": "Ready", "status": ready, "message": message}
    spec = {"unschedulable": unschedulable, "taints": [{"key": taint, "effect": "NoSchedule"}] if taint else []}
    return {"metadata": {"name": name}, "spec": spec, "status": {"conditions": [condition]}}


@pytest.fixture
def api() -> Iterator[Api]:
    class Handler(BaseHTTPRequestHandler):
        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known.tokens.append(self.headers.get("Authorization"))
            status, answer = known.answer(self.command, self.path, json.loads(body or b"{}"))
            content = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _handle

        def log_message(self, *_arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    known = Api(server)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield known
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("KUBECONFIG", "K8S_AUTH_KUBECONFIG", "KUBERNETES_SERVICE_HOST", "KIND_EXPERIMENTAL_PROVIDER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
