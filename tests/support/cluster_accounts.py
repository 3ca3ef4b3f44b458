# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts of a real cluster, as kubeconfigs: with some rights, with those that the documentation asks for, and one that has expired."""

from __future__ import annotations

import base64
import json
import re
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from tests.support.build_cluster import BuildCluster
from tests.support.command import ROOT, run

_GROUP = "rbac.authorization.k8s.io"


def with_rights(cluster: BuildCluster, namespace: str, folder: Path, rules: Sequence[Mapping[str, Any]] = ()) -> Path:
    """A new account that has these rights in the namespace, and no others."""
    name = f"user-{secrets.token_hex(3)}"
    metadata = {"name": name, "namespace": namespace}
    rbac = {"apiVersion": f"{_GROUP}/v1", "metadata": metadata}
    role = {"apiGroup": _GROUP, "kind": "Role", "name": name}
    items = [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {**rbac, "kind": "Role", "rules": list(rules)},
        {**rbac, "kind": "RoleBinding", "subjects": [{"kind": "ServiceAccount", **metadata}], "roleRef": role},
    ]
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    return _kubeconfig(cluster, folder / name, {"token": cluster.kubectl("create", "token", name, "-n", namespace).strip()})


def documented_rules() -> list[dict[str, Any]]:
    """The rules of the Role in the documentation."""
    text = (ROOT / "docs/how-to/cluster-builds.md").read_text()
    manifests = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(apiVersion.*?)```", text, re.DOTALL)]
    (role,) = (manifest for manifest in manifests if manifest["kind"] == "Role")
    rules: list[dict[str, Any]] = role["rules"]
    return rules


def expired(cluster: BuildCluster, folder: Path) -> Path:
    """An administrator whose certificate, which the cluster has signed, was good until yesterday."""
    authority = x509.load_pem_x509_certificate(_node_file(cluster, "/etc/kubernetes/pki/ca.crt"))
    signing_key = serialization.load_pem_private_key(_node_file(cluster, "/etc/kubernetes/pki/ca.key"), None)
    assert isinstance(signing_key, rsa.RSAPrivateKey)
    key = rsa.generate_private_key(65537, 2048)
    name = [(NameOID.ORGANIZATION_NAME, "kubeadm:cluster-admins"), (NameOID.COMMON_NAME, "kubernetes-admin")]
    yesterday = datetime.now(timezone.utc) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(kind, value) for kind, value in name]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(yesterday - timedelta(days=1))
        .not_valid_after(yesterday)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    user = {"client-certificate-data": certificate.public_bytes(serialization.Encoding.PEM), "client-key-data": pem}
    return _kubeconfig(cluster, folder / "expired", {name: base64.b64encode(value).decode() for name, value in user.items()})


def _kubeconfig(cluster: BuildCluster, path: Path, user: Mapping[str, str]) -> Path:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["users"][0]["user"] = dict(user)
    path.write_text(yaml.safe_dump(content))
    return path


def _node_file(cluster: BuildCluster, path: str) -> bytes:
    return run("docker", "exec", cluster.node, "cat", path, env=dict(cluster.env)).encode()
