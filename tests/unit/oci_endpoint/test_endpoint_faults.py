# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint misbehaves as it is told, and only then."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.support.oci_endpoint import Endpoint, Fault
from tests.support.oci_http import Client

ROOT = Path(__file__).resolve().parents[3]


def test_status(client: Client, endpoint: Endpoint, bucket: str) -> None:
    endpoint.faults.add(Fault("status", "PUT", "/o/", times=2, status=429, code="TooManyRequests", headers={"retry-after": "1"}))
    for _turn in range(2):
        answer = client("PUT", f"{bucket}/o/o", b"1", raw=True)
        assert answer.error == (429, "TooManyRequests")
        assert answer.headers["retry-after"] == "1"
        assert client("GET", f"{bucket}/o/o").error == (404, "ObjectNotFound")
    client.put(bucket, "o", b"1")
    assert endpoint.faults.pending() == []


def test_some_go_well_before(client: Client, endpoint: Endpoint) -> None:
    endpoint.faults.add(Fault("status", path="^/n$", skip=2, times=1))
    assert [client("GET", "/n").status for _turn in range(4)] == [200, 200, 500, 200]


def test_always(client: Client, endpoint: Endpoint) -> None:
    endpoint.faults.add(Fault("status", path="^/n$", times=None))
    assert [client("GET", "/n").status for _turn in range(3)] == [500, 500, 500]


def test_reset_in_the_body(client: Client, endpoint: Endpoint, bucket: str) -> None:
    endpoint.faults.add(Fault("reset", "PUT", bytes=1_000_000))
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        client("PUT", f"{bucket}/o/o", bytes(30_000_000), raw=True)
    (entry,) = endpoint.requests("PUT", f"{bucket}/o/o$")
    assert (entry.status, entry.received) == (0, 1_000_000)
    assert client("GET", f"{bucket}/o/o").error == (404, "ObjectNotFound")


def test_reset_without_a_body(client: Client, endpoint: Endpoint) -> None:
    endpoint.faults.add(Fault("reset", "GET"))
    with pytest.raises(ConnectionError):
        client("GET", "/n")


def test_lost_answer(client: Client, endpoint: Endpoint, bucket: str) -> None:
    endpoint.faults.add(Fault("lost-answer", "PUT"))
    with pytest.raises(ConnectionError):
        client("PUT", f"{bucket}/o/o", b"content", raw=True)
    assert client("GET", f"{bucket}/o/o").content == b"content"


def test_truncated_answer(client: Client, endpoint: Endpoint, bucket: str) -> None:
    client.put(bucket, "o", bytes(100_000))
    endpoint.faults.add(Fault("truncate", "GET", "/o/o", bytes=70_000))
    with pytest.raises(http.client.IncompleteRead) as cut:
        client("GET", f"{bucket}/o/o")
    assert len(cut.value.partial) == 70_000


def test_slow_and_late_answers_are_whole(client: Client, endpoint: Endpoint, bucket: str) -> None:
    client.put(bucket, "o", bytes(10_000))
    endpoint.faults.add(Fault("delay", "GET", "/o/o", seconds=0.01))
    endpoint.faults.add(Fault("slow", "GET", "/o/o", rate=1_000_000))
    assert client("GET", f"{bucket}/o/o").content == bytes(10_000)


def test_a_client_that_goes_away_leaves_nothing(client: Client, endpoint: Endpoint, bucket: str) -> None:
    before = set((endpoint.folder / "objects").iterdir())
    headers = {"host": client.address, "date": "", "content-length": "1000000"}
    lines = [f"PUT {bucket}/o/o HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    host, _separator, port = client.address.partition(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall("\r\n".join(lines).encode() + b"short")
    assert client("GET", f"{bucket}/o/o").error == (404, "ObjectNotFound")
    assert set((endpoint.folder / "objects").iterdir()) == before


def test_an_answer_before_the_body_is_read(client: Client) -> None:
    """A client that waits for 100 Continue does not send what is refused anyway."""
    host, _separator, port = client.address.partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        lines = [f"PUT {client.path}/none/o/o HTTP/1.1", f"host: {client.address}", "content-length: 5", "expect: 100-continue", "", ""]
        connection.sendall("\r\n".join(lines).encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 401 ")


def test_an_early_answer_reaches_a_client_that_does_not_wait(client: Client) -> None:
    """The SDK asks for 100 Continue, but sends the body at once."""
    answer = client("PUT", f"{client.path}/none/o/o", bytes(20_000_000), {"expect": "100-continue"}, raw=True, signed=())
    assert answer.error == (401, "NotAuthenticated")


def test_unknown_actions() -> None:
    with pytest.raises(ValueError, match="action is one of"):
        Fault("explode")


class _Admin:
    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, method: str, name: str, document: Any = None) -> Any:
        body = None if document is None else json.dumps(document).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/_admin/{name}", body, method=method), timeout=20) as answer:
            return json.load(answer)


def test_admin_path(client: Client, endpoint: Endpoint, bucket: str) -> None:
    admin = _Admin(endpoint.url)
    admin("DELETE", "requests")
    client.put(bucket, "o", b"content")
    (request,) = admin("GET", "requests")
    assert (request["method"], request["received"], request["status"]) == ("PUT", 7, 200)
    assert {"bucket": bucket.rpartition("/")[2], "name": "o", "size": 7} in [
        {name: item[name] for name in ("bucket", "name", "size")} for item in admin("GET", "objects")
    ]
    admin("POST", "faults", {"action": "status", "path": "^/n$", "status": 503, "code": "ServiceUnavailable"})
    assert admin("GET", "faults")[0]["status"] == 503
    assert client("GET", "/n").error == (503, "ServiceUnavailable")
    assert admin("GET", "faults") == []
    admin("PUT", "settings", {"import_seconds": 5, "page_size": 2})
    assert (endpoint.settings.import_seconds, endpoint.settings.page_size) == (5.0, 2)
    assert endpoint.identity.knows(admin("POST", "compartments", {"path": "made/by/admin"})["id"])
    admin("POST", "import-outcomes", {"status": "FAILED", "errors": [{"code": "A", "message": "b"}]})
    assert endpoint.importer.outcomes.pop().errors == [("A", "b")]
    for name, document in (
        ("settings", {"speed": 1}),
        ("settings", {"page_size": "x"}),
        ("faults", {"action": "x"}),
        ("import-outcomes", {"a": 1}),
    ):
        method = "PUT" if name == "settings" else "POST"
        with pytest.raises(urllib.error.HTTPError) as refused:
            _Admin(endpoint.url)(method, name, document)
        assert refused.value.code == 400


def test_as_a_process(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.support.oci_endpoint", "--state", str(tmp_path / "state"), "--compartment", "team/images"]
    with subprocess.Popen([*command, "--page-size", "7"], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        try:
            assert _Admin(said["url"])("GET", "settings")["page_size"] == 7
            assert Path(said["config_file"]).is_file()
            assert said["compartments"]["team/images"].startswith("ocid1.compartment.oc1..")
        finally:
            process.terminate()
    assert process.returncode == 0
    assert "GET" not in (tmp_path / "state" / "requests.jsonl").read_text()
