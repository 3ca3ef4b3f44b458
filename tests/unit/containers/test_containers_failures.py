# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What skopeo's messages are taken for. The messages are those of skopeo 1.9 and 1.18 with Debian's registry."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from ansible_collections.ocne.images.plugins.module_utils._containers.access import Access
from ansible_collections.ocne.images.plugins.module_utils._containers.failures import SkopeoFailed, explain
from ansible_collections.ocne.images.plugins.module_utils._containers.reference import Reference, parse_reference

ANONYMOUS = Access()
ARCHIVE = parse_reference("oci-archive:/srv/a.tar")
REGISTRY = parse_reference("docker://registry.example.com/ock:1")
OTHER = parse_reference("docker://other.example.com/ock:1")


def _explain(said: str, access: Access = ANONYMOUS, source: Reference = ARCHIVE, dest: Reference = REGISTRY) -> SkopeoFailed:
    line = f'time="2026-01-01T00:00:00Z" level=fatal msg="{said}"'
    return explain("copy it", line, ((source, ANONYMOUS), (dest, access)))


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("unable to retrieve auth token: invalid username/password: unauthorized: authentication required", "unauthorized"),
        ("writing blob: initiating layer upload: unauthorized: authentication required", "unauthorized"),
        ("requested access to the resource is denied", "forbidden"),
        ("reading manifest 1 in registry.example.com/ock: denied: You may not", "forbidden"),
        ("initiating layer upload to /v2/ock/blobs/uploads/ in registry.example.com: StatusCode: 403, Forbidden", "forbidden"),
        ("reading manifest 1 in registry.example.com/ock: manifest unknown: manifest unknown", "missing"),
        ("pinging container registry localhost:1: Get: dial tcp 127.0.0.1:1: connect: connection refused", "unreachable"),
        ("writing blob: Patch: write tcp: connection reset by peer", "unreachable"),
        ("writing blob: uploading layer chunked: EOF", "unreachable"),
        ("received unexpected HTTP status: 503 Service Unavailable", "unreachable"),
        ("received unexpected HTTP status: 429 Too Many Requests", "unreachable"),
        ("net/http: TLS handshake timeout", "unreachable"),
        ("dial tcp: lookup registry.example.com: no such host", "unresolved"),
        ("http: server gave HTTP response to HTTPS client", "untrusted"),
        ("x509: certificate signed by unknown authority", "untrusted"),
        ("writing blob: write /var/tmp/x: no space left on device", "space"),
        ("docker-archive doesn't support modifying existing images", "exists"),
        ('The transport \\"ostree:\\" is not supported in this build', "unsupported"),
        ("something new", ""),
    ],
)
def test_kind(said: str, kind: str) -> None:
    assert _explain(said).kind == kind


@pytest.mark.parametrize(
    ("said", "kind", "hint"),
    [
        (
            "loading image from docker engine: Cannot connect to the Docker daemon at unix:///run/docker.sock."
            " Is the docker daemon running?",
            "unreachable",
            "DOCKER_HOST",
        ),
        (
            "loading image from docker engine: permission denied while trying to connect to the Docker daemon socket at"
            " unix:///var/run/docker.sock: Get: dial unix /var/run/docker.sock: connect: permission denied",
            "forbidden",
            "Docker's socket",
        ),
        (
            "writing blob: saving image to docker engine: Error response from daemon: client version 1.22 is too old. Minimum supported"
            " API version is 1.24, please upgrade your client to a newer version",
            "unsupported",
            "Install a newer skopeo",
        ),
    ],
)
def test_docker_daemon_that_cannot_be_used(said: str, kind: str, hint: str) -> None:
    failure = _explain(said, dest=parse_reference("docker-daemon:localhost/ock:1"))
    assert failure.kind == kind
    assert hint in str(failure)


def test_the_last_line_is_the_reason_where_no_line_is_marked() -> None:
    failure = explain("copy it", "first\nsecond\nthe reason\n", ((ARCHIVE, ANONYMOUS), (ARCHIVE, ANONYMOUS)))
    assert str(failure) == "Could not copy it: the reason."


def test_result_says_reason_and_registry() -> None:
    assert _explain("unauthorized").details == {"reason": "unauthorized", "registry": "registry.example.com"}


def test_file_that_ends_early_is_no_network_failure() -> None:
    failure = _explain("reading tar: unexpected EOF", dest=parse_reference("dir:/srv/d"))
    assert (failure.kind, failure.details) == ("", {})


def test_refusal_of_the_source_names_the_source() -> None:
    failure = _explain("initializing source docker://other.example.com/ock:1: unauthorized", source=OTHER)
    assert failure.details["registry"] == "other.example.com"


def test_refusal_of_the_destination_names_the_destination() -> None:
    failure = _explain("writing blob: initiating layer upload: unauthorized", source=OTHER)
    assert failure.details["registry"] == "registry.example.com"


def test_refusal_without_account_says_how_to_get_one() -> None:
    message = str(_explain("unauthorized", Access(authfile=Path("/nowhere/auth.json"))))
    assert "wants an account" in message
    assert "/nowhere/auth.json" in message
    assert "podman login registry.example.com" in message


def test_refusal_names_the_account_given() -> None:
    message = str(_explain("unauthorized", Access(username="builder", password="canary-1")))
    assert "refused the account builder" in message
    assert "canary-1" not in message


def test_refusal_names_the_account_of_the_authfile(tmp_path: Path) -> None:
    token = base64.b64encode(b"robot:canary-2").decode()
    path = tmp_path / "auth.json"
    path.write_text(json.dumps({"auths": {"registry.example.com/team": {"auth": token}}}))
    message = str(_explain("denied: no", Access(authfile=path)))
    assert "The account robot has no right" in message
    assert "canary-2" not in message
    assert token not in message


@pytest.mark.parametrize(
    ("reference", "said", "kind"),
    [
        ("docker://h.io:5000/certificate/eof:403", "reading manifest 403 in h.io:5000/certificate/eof: manifest unknown", "missing"),
        ("docker://h.io/unauthorized:1", 'pinging container registry h.io: Get \\"https://h.io/v2/\\": connection refused', "unreachable"),
        ("docker://h.io/a:1", "reading manifest 1 in h.io/a: unauthorized: authentication required", "unauthorized"),
        ("docker://h.io/unauthorized:1", "reading manifest 1 in h.io/unauthorized: unauthorized: authentication required", "unauthorized"),
        ("docker://h.io/eof:1", "writing blob: initiating layer upload to /v2/eof/blobs/uploads/ in h.io: unauthorized", "unauthorized"),
        ("dir:/srv/already exists", "open /srv/already exists/manifest.json: no such file or directory", "missing"),
        (
            "containers-storage:localhost/timeout:x",
            'reference \\"[vfs@/x]localhost/timeout:x\\" does not resolve to an image ID',
            "missing",
        ),
    ],
)
def test_names_that_users_chose_do_not_count(reference: str, said: str, kind: str) -> None:
    dest = Reference(*reference.split(":", 1))
    assert _explain(said, dest=dest).kind == kind
