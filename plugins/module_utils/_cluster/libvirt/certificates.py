# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's certificate authority, and a kubeconfig for its administrator made from it."""

from __future__ import annotations

import base64
import datetime
import importlib
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..._errors import OcneError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import CertificateBuilder, Name

_CA_DAYS, _CLIENT_DAYS = 3650, 365
#: Clocks differ: that of a machine that is just made most of all.
_EARLIER = datetime.timedelta(hours=1)


@dataclass(frozen=True)
class Authority:
    """A certificate authority. certificate, key: PEM."""

    certificate: str
    key: str

    def __repr__(self) -> str:
        return "Authority()"


def make_authority() -> Authority:
    """A new certificate authority, as kubeadm would make one, for ten years."""
    x509, ec = _library("x509"), _library("hazmat.primitives.asymmetric.ec")
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(common="kubernetes")
    builder = (
        _builder(name, name, key, _CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_cert_sign=True, key_encipherment=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    return Authority(_sign(builder, key), _pem(key))


def kubeconfig(authority: Authority, cluster: str, server: str) -> bytes:
    """A kubeconfig with a new certificate of the cluster's administrator, for a year.

    :param cluster: what cluster, user and context are called.
    :param server: URL of the API server.
    """
    x509, ec, serialization = _library("x509"), _library("hazmat.primitives.asymmetric.ec"), _library("hazmat.primitives.serialization")
    ca = x509.load_pem_x509_certificate(authority.certificate.encode())
    ca_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        _builder(_name(organization="system:masters", common="kubernetes-admin"), ca.subject, key, _CLIENT_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True, key_encipherment=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_library("x509.oid").ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.public_key()), critical=False)
    )
    user = {"client-certificate-data": _base64(_sign(builder, ca_key)), "client-key-data": _base64(_pem(key))}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster, "cluster": {"server": server, "certificate-authority-data": _base64(authority.certificate)}}],
        "users": [{"name": cluster, "user": user}],
        "contexts": [{"name": cluster, "context": {"cluster": cluster, "user": cluster}}],
        "current-context": cluster,
    }
    return f"{json.dumps(content, indent=1)}\n".encode()


def _library(submodule: str) -> Any:
    """A module of the package cryptography.

    :raises OcneError: it is not installed where the module runs.
    """
    try:
        return importlib.import_module(f"cryptography.{submodule}")
    except ImportError as error:
        raise OcneError(
            f"The Python package 'cryptography' cannot be imported by {sys.executable}: {error}.",
            "Install it there (pip install cryptography; the package 'oci' brings it).",
        ) from error


def _name(organization: str = "", common: str = "") -> Name:
    x509, oid = _library("x509"), _library("x509.oid").NameOID
    parts = ((oid.ORGANIZATION_NAME, organization), (oid.COMMON_NAME, common))
    name: Name = x509.Name([x509.NameAttribute(kind, value) for kind, value in parts if value])
    return name


def _builder(subject: Name, issuer: Name, key: EllipticCurvePrivateKey, days: int) -> CertificateBuilder:
    x509 = _library("x509")
    start = datetime.datetime.now(datetime.timezone.utc).replace(microsecond=0) - _EARLIER
    builder: CertificateBuilder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=days))
    )
    return builder


def _usage(**used: bool) -> Any:
    names = ["content_commitment", "crl_sign", "data_encipherment", "decipher_only", "digital_signature", "encipher_only"]
    names += ["key_agreement", "key_cert_sign", "key_encipherment"]
    return _library("x509").KeyUsage(**{name: used.get(name, False) for name in names})


def _sign(builder: CertificateBuilder, key: EllipticCurvePrivateKey) -> str:
    hashes, serialization = _library("hazmat.primitives.hashes"), _library("hazmat.primitives.serialization")
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def _pem(key: EllipticCurvePrivateKey) -> str:
    serialization = _library("hazmat.primitives.serialization")
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    return pem.decode()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
