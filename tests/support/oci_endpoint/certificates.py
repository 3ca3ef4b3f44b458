# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""X.509 certificates: an authority of the endpoint's own, for instances and for TLS."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from pathlib import Path
from typing import Optional

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from .context import now
from .credentials import new_key, pem, write_secret


class Authority:
    def __init__(self, name: str) -> None:
        self._key = new_key()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(_builder(subject, subject, self._key, authority=True), self._key)

    def issue(self, name: str, units: list[str], key: rsa.RSAPrivateKey, host: Optional[str] = None) -> x509.Certificate:
        """:param units: organizational units. :param host: an IP address that TLS clients may find behind the certificate."""
        names = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        names += [x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit) for unit in units]
        builder = _builder(x509.Name(names), self.certificate.subject, key, authority=False)
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        return self._sign(builder, self._key)

    def server_context(self, folder: Path, host: str) -> ssl.SSLContext:
        """What a TLS server at this address needs; the certificate and its key are kept in the folder."""
        key = new_key()
        path = folder / f"tls-{host}.pem"
        write_secret(path, pem(key) + certificate_pem(self.issue(host, [], key, host)))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        return context

    def _sign(self, builder: x509.CertificateBuilder, key: rsa.RSAPrivateKey) -> x509.Certificate:
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())
        return builder.add_extension(identifier, critical=False).sign(key, hashes.SHA256())


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(subject: x509.Name, issuer: x509.Name, key: rsa.RSAPrivateKey, authority: bool) -> x509.CertificateBuilder:
    usage = x509.KeyUsage(True, False, not authority, False, False, authority, authority, False, False)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() - datetime.timedelta(minutes=5))
        .not_valid_after(now() + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
