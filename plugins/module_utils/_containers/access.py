# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How registries are reached, and which account they get.

Credentials reach skopeo through a file that has no name, and ends with the processes that have it open: its own options
would show them to everybody who lists processes, and a file in a folder would outlive a run that is killed.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

from ansible.module_utils.basic import env_fallback

from .._errors import OcneError

#: Options by which a module reaches registries; the documentation fragment 'registry' describes them.
CONNECTION_OPTIONS: dict[str, dict[str, Any]] = {
    # Not REGISTRY_AUTH_FILE alone: podman reads that, too, and refuses to start the container of a job in which the file will be.
    "authfile": {"type": "path", "fallback": (env_fallback, ["OCNE_IMAGES_AUTHFILE"])},
    "username": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "tls_verify": {"type": "bool", "default": True},
    "ca_certificates": {"type": "path"},
    "proxy": {
        "type": "dict",
        "options": {
            "http": {"type": "str", "no_log": True},
            "https": {"type": "str", "no_log": True},
            "no_proxy": {"type": "str", "aliases": ["no"]},
        },
    },
}


#: What Docker Hub is called in files of credentials, besides docker.io.
_DOCKER_HUB = ("index.docker.io", "registry-1.docker.io")


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


def access(params: Mapping[str, Any]) -> Access:
    """How registries are reached, by a module's options.

    :raises OcneError: the certificate authorities are not there.
    """
    proxy = params["proxy"] or {}
    if params["ca_certificates"] and not Path(params["ca_certificates"]).is_file():
        raise OcneError(f"ca_certificates {params['ca_certificates']} is not there, or no file.", "Give a PEM file of this host.")
    variables = {"HTTP_PROXY": proxy.get("http"), "HTTPS_PROXY": proxy.get("https"), "NO_PROXY": proxy.get("no_proxy")}
    return Access(
        authfile=Path(params["authfile"]) if params["authfile"] else None,
        username=params["username"],
        password=params["password"],
        tls_verify=params["tls_verify"],
        ca_certificates=Path(params["ca_certificates"]) if params["ca_certificates"] else None,
        proxy={name: value for name, value in variables.items() if value},
    )


def authfile(access: Access, registry: str) -> Union[Path, bytes, None]:
    """The file of credentials for a registry: the given one, or what is in it with username and password put in.

    :returns: None where skopeo's default is meant.
    """
    if access.authfile and not access.authfile.is_file():
        raise OcneError(f"authfile {access.authfile} is not there.", "Make it with `podman login --authfile`.")
    if not registry or access.username is None or access.password is None:
        return access.authfile
    content = _read(access.authfile or default_authfile())
    others = {key: value for key, value in content["auths"].items() if _registry_of(key) != registry}
    content["auths"] = {**others, registry: {"auth": _token(access.username, access.password)}}
    content.pop("credHelpers", None)
    return json.dumps(content).encode()


def credentials(access: Access, registry: str) -> bytes:
    """A file of credentials (containers-auth.json(5)) with what is known for this registry, and nothing else; b'' where that is nothing.

    What a credential helper keeps is not known here.
    """
    if access.username is not None and access.password is not None:
        auths: dict[str, Any] = {registry: {"auth": _token(access.username, access.password)}}
    else:
        known = _read(access.authfile or default_authfile())["auths"]
        auths = {key: entry for key, entry in known.items() if _registry_of(key) == registry and isinstance(entry, dict) and entry}
    return json.dumps({"auths": auths}).encode() if auths else b""


def account(access: Access, registry: str) -> str:
    """The name of the account that the registry gets; '' where none is known here."""
    if access.username is not None and access.password is not None:
        return access.username
    auths = _read(access.authfile or default_authfile())["auths"]
    fitting = [entry for key, entry in auths.items() if _registry_of(key) == registry and isinstance(entry, dict)]
    try:
        return base64.b64decode(str(fitting[0]["auth"]), validate=True).decode().partition(":")[0]
    except (IndexError, KeyError, binascii.Error, UnicodeDecodeError):
        return ""


def _registry_of(key: str) -> str:
    """The registry that an entry of a file of credentials is for. Docker writes some as URLs, Docker Hub's as https://index.docker.io/v1/."""
    host = key.partition("://")[2] if key.startswith(("http://", "https://")) else key
    host = host.partition("/")[0]
    return "docker.io" if host in _DOCKER_HUB else host


def _token(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


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


def _read(path: Path | None) -> dict[str, Any]:
    """A file of credentials; without entries where it is none: what is wrong with it, skopeo says."""
    try:
        content = json.loads(path.read_text("utf-8")) if path else {}
    except (OSError, ValueError):
        content = {}
    content = content if isinstance(content, dict) else {}
    return {**content, "auths": content.get("auths") if isinstance(content.get("auths"), dict) else {}}
