# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one place that runs skopeo(1).

Credentials reach it through a file that only this user can read: skopeo's own options would show them to everybody
who lists processes.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from .._errors import OcneError
from .reference import Reference

#: An architecture's own manifest, image indexes and manifest lists; nothing larger is one.
OUTPUT_LIMIT = 8 << 20


@dataclass(frozen=True)
class Access:
    """How registries are reached.

    :param authfile: containers-auth.json(5); None: skopeo's own default, the user's.
    :param username: with password, for the registry of the reference at hand, before what authfile says.
    :param tls_verify: False: plain HTTP and unknown certificates are accepted.
    :param ca_certificates: PEM file with further certificate authorities.
    :param proxy: environment variables for proxies, e.g. {'HTTPS_PROXY': …}.
    """

    authfile: Optional[Path] = None
    username: Optional[str] = None
    password: Optional[str] = None
    tls_verify: bool = True
    ca_certificates: Optional[Path] = None
    proxy: Optional[Mapping[str, str]] = None

    def __repr__(self) -> str:
        return f"Access(authfile={self.authfile}, username={self.username})"


class SkopeoFailed(OcneError):
    """skopeo ended with an error.

    :param kind: 'denied', 'missing', 'unreachable', 'space', 'exists', or '' for all else.
    """

    def __init__(self, message: str, hint: str, kind: str) -> None:
        super().__init__(message, hint)
        self.kind = kind


#: What skopeo says (regular expressions, in lower case), the kind it is, and what the user can do. First match counts.
_CAUSES = (
    ("no space left on device", "space", "Free some space, or choose another folder."),
    (
        r"unauthorized|authentication required|access to the resource is denied|\b40[13]\b|forbidden|invalid username",
        "denied",
        "Log in with `podman login {registry}`, or set authfile, or username and password{account}.",
    ),
    ("no image found in (manifest list|image index)", "missing", "Choose an architecture that the image has."),
    (
        r"manifest unknown|name unknown|name not known|not found|no such file|does not exist|\b404\b|no such image|no descriptor found",
        "missing",
        "Check the reference: its repository, its tag and its transport.",
    ),
    ("gave http response to https client", "unreachable", "The registry speaks plain HTTP: set tls_verify: false if that is meant."),
    ("x509|tls: |certificate", "unreachable", "Give the registry's certificate authority in ca_certificates."),
    (
        r"no such host|connection refused|timeout|unreachable|connection reset|\beof\b|broken pipe|\b50[0234]\b|too ?many ?requests",
        "unreachable",
        "Check the registry's name, the network and the proxy, and run again.",
    ),
    ("already exists|support modifying existing images", "exists", "Remove the destination, or choose another."),
)


class Skopeo:
    """skopeo with one way to reach registries; keeps no state between calls.

    :raises OcneError: the program is not installed.
    """

    def __init__(self, access: Access, retries: int = 3) -> None:
        program = shutil.which("skopeo")
        if program is None:
            raise OcneError("skopeo is not installed on this host.", "Install the package skopeo.")
        self._program = program
        self._access = access
        self._retries = retries

    def manifest(self, reference: Reference) -> bytes:
        """The manifest, index, or manifest list, byte for byte."""
        return self._run(("inspect", "--raw"), (reference,), f"read the manifest of {reference}")

    def config(self, reference: Reference, architecture: str) -> bytes:
        """The image configuration, byte for byte."""
        chosen = ("--override-arch", architecture, "--override-os", "linux")
        return self._run((*chosen, "inspect", "--raw", "--config"), (reference,), f"read the configuration of {reference}")

    def copy(self, source: Reference, destination: Reference, options: Sequence[str] = (), architecture: str = "") -> None:
        """Copy an image; of an index, that of the architecture."""
        chosen = ("--override-arch", architecture, "--override-os", "linux") if architecture else ()
        self._run((*chosen, "copy", "--quiet", *options), (source, destination), f"copy {source} to {destination}")

    def _run(self, arguments: Sequence[str], references: Sequence[Reference], what: str) -> bytes:
        with self._connection(arguments, references) as (options, environment):
            process = subprocess.run(
                [self._program, *options, *(str(reference) for reference in references)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=environment,
                check=False,
            )
        if process.returncode != 0:
            raise self._failure(what, process.stderr.decode(errors="replace"), references)
        if len(process.stdout) > OUTPUT_LIMIT:
            raise OcneError(f"Could not {what}: it is larger than {OUTPUT_LIMIT} bytes, no image metadata is.")
        return process.stdout

    @contextmanager
    def _connection(self, arguments: Sequence[str], references: Sequence[Reference]) -> Iterator[tuple[list[str], dict[str, str]]]:
        """skopeo's arguments before the references, and its environment."""
        access, options = self._access, list(arguments)
        environment = {**os.environ, **(access.proxy or {})}
        # skopeo names these options by side only where there are two sides.
        sides = ("src-", "dest-") if len(references) == 2 else ("",)
        with tempfile.TemporaryDirectory(prefix="ocne-") as folder:
            options.append(f"--retry-times={self._retries}")
            if access.ca_certificates:
                certificates = Path(folder, "certs")
                certificates.mkdir()
                shutil.copyfile(access.ca_certificates, certificates / "ca.crt")
            authfile = self._authfile(Path(folder), references)
            for side, reference in zip(sides, references):
                if reference.transport not in ("docker", "docker-daemon"):
                    continue
                if not access.tls_verify:
                    options.append(f"--{side}tls-verify=false")
                if access.ca_certificates:
                    options.append(f"--{side}cert-dir={folder}/certs")
            if authfile:
                options.append(f"--authfile={authfile}")
            yield options, environment

    def _authfile(self, folder: Path, references: Sequence[Reference]) -> Path | None:
        """The file of credentials to use: the given one, or a copy of it with username and password put in."""
        access = self._access
        if access.authfile and not access.authfile.is_file():
            raise OcneError(f"authfile {access.authfile} is not there.", "Make it with `podman login --authfile`.")
        if access.username is None or access.password is None:
            return access.authfile
        base = access.authfile or default_authfile()
        try:
            content = json.loads(base.read_text("utf-8")) if base else {}
        except (OSError, ValueError):
            content = {}
        token = base64.b64encode(f"{access.username}:{access.password}".encode()).decode()
        auths = {key: value for key, value in (content.get("auths") or {}).items() if key.partition("/")[0] not in _registries(references)}
        content["auths"] = {**auths, **{registry: {"auth": token} for registry in _registries(references)}}
        content.pop("credHelpers", None)
        path = folder / "auth.json"
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(content, file)
        return path

    def _failure(self, what: str, stderr: str, references: Sequence[Reference]) -> SkopeoFailed:
        said = _last_message(stderr)
        registry = ", ".join(_registries(references)) or "the registry"
        account = f" (the account {self._access.username} was refused)" if self._access.username else ""
        for pattern, kind, hint in _CAUSES:
            if re.search(pattern, said.lower()):
                return SkopeoFailed(f"Could not {what}: {said}.", hint.format(registry=registry, account=account), kind)
        return SkopeoFailed(f"Could not {what}: {said}.", "", "")


def default_authfile() -> Path | None:
    """Where podman and skopeo keep the user's credentials (containers-auth.json(5)), when a file is there."""
    runtime = os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}")
    candidates = (
        os.environ.get("REGISTRY_AUTH_FILE", ""),
        f"{runtime}/containers/auth.json",
        f"/run/containers/{os.getuid()}/auth.json",
        str(Path(os.environ.get("XDG_CONFIG_HOME", "~/.config"), "containers/auth.json").expanduser()),
        str(Path("~/.docker/config.json").expanduser()),
    )
    return next((Path(path) for path in candidates if path and Path(path).is_file()), None)


def _registries(references: Sequence[Reference]) -> list[str]:
    return sorted({reference.registry for reference in references if reference.registry})


def _last_message(stderr: str) -> str:
    """skopeo's reason: the last line of its log, without the log's own dress."""
    lines = [line for line in stderr.strip().splitlines() if line.strip()] or ["it gave no reason"]
    fatal = [line for line in lines if "level=fatal" in line or "level=error" in line] or lines
    match = re.search(r'msg="((?:[^"\\]|\\.)*)"', fatal[-1])
    text = match.group(1).replace('\\"', '"').replace("\\\\", "\\") if match else fatal[-1]
    return text.strip().rstrip(".")
