# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys and configuration files for clients, made afresh for each endpoint."""

from __future__ import annotations

import configparser
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from .context import new_ocid
from .messages import Principal
from .signatures import Refused
from .tokens import TokenIssuer


@dataclass(frozen=True)
class ApiKey:
    """An API signing key of one user. `key_id` is what its signatures name."""

    tenancy: str
    user: str
    fingerprint: str
    key_file: Path
    public_key: rsa.RSAPublicKey

    @property
    def key_id(self) -> str:
        return f"{self.tenancy}/{self.user}/{self.fingerprint}"


class Credentials:
    """The keys that the endpoint accepts, and a configuration file (SDK reference, "SDK and CLI Configuration File") that uses them.

    Profiles: DEFAULT signs with the API key, SESSION with a security token of the same user.
    """

    def __init__(self, folder: Path, tenancy: str, region: str) -> None:
        self.tenancy = tenancy
        self.user = new_ocid("user")
        self.config_file = folder / "config"
        self.tokens = TokenIssuer()
        self.api_key = self._make_api_key(folder / "oci_api_key.pem")
        self._folder = folder
        self._session_key = new_key()
        write_secret(folder / "session_key.pem", pem(self._session_key))
        self._session_token_file = folder / "session_token"
        self.renew_session()
        self._write_config(region)

    def renew_session(self, lifetime: float = 3600) -> None:
        """Write a fresh security token for the profile SESSION; a negative lifetime leaves an expired one."""
        principal = Principal("session", self.tenancy, self.user)
        write_secret(self._session_token_file, self.tokens.issue(principal, self._session_key.public_key(), lifetime).encode())

    def make_resource_session(self, subject: str) -> tuple[Path, Path]:
        """Files with a security token and a private key of a resource."""
        key = new_key()
        token = self.tokens.issue(Principal("resource", self.tenancy, subject), key.public_key(), res_tenant=self.tenancy)
        paths = self._folder / "resource_token", self._folder / "resource_key.pem"
        write_secret(paths[0], token.encode())
        write_secret(paths[1], pem(key))
        return paths

    def key_of(self, key_id: str) -> tuple[rsa.RSAPublicKey, Principal]:
        """The key and the owner that a signature's key id stands for.

        :raises Refused: unknown or expired.
        """
        if key_id.startswith("ST$"):
            return self.tokens.verify(key_id[3:])
        if key_id == self.api_key.key_id:
            return self.api_key.public_key, Principal("user", self.tenancy, self.user)
        raise Refused(f"the key id {key_id} is not known")

    def _make_api_key(self, path: Path) -> ApiKey:
        key = new_key()
        # the last line tells the command-line client that the file is meant to be an API key
        write_secret(path, pem(key) + b"OCI_API_KEY\n")
        # the fingerprint of an API key is the MD5 of its public key in DER
        public = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        digest = hashlib.md5(public).hexdigest()
        fingerprint = ":".join(digest[at : at + 2] for at in range(0, 32, 2))
        return ApiKey(self.tenancy, self.user, fingerprint, path, key.public_key())

    def _write_config(self, region: str) -> None:
        common = {"user": self.user, "tenancy": self.tenancy, "region": region, "fingerprint": self.api_key.fingerprint}
        config = configparser.ConfigParser()
        config["DEFAULT"] = {**common, "key_file": str(self.api_key.key_file)}
        config["SESSION"] = {"key_file": str(self._folder / "session_key.pem"), "security_token_file": str(self._session_token_file)}
        write_secret(self.config_file, b"")
        with self.config_file.open("w") as file:
            config.write(file)


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def write_secret(path: Path, content: bytes) -> None:
    """Create or replace a file that only its owner can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
