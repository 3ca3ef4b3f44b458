# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Ignition config with which an OCK image becomes the node that is wanted, at its first boot.

Source: https://coreos.github.io/ignition/configuration-v3_4/
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from typing import Any

from .kubeadm import PATCHES, kubeadm_config
from .node import NETWORK_INTERFACE, POD_SUBNET, SERVICE_SUBNET, USER_INTERFACE, USER_NETWORK, Node
from .scripts import START_SCRIPT, UPGRADE_SCRIPT

VERSION = "3.4.0"
CA_CERTIFICATE, CA_KEY = "/etc/kubernetes/pki/ca.crt", "/etc/kubernetes/pki/ca.key"

_PROXY_FILE = "/etc/ocne/proxy.env"
#: What has to go out through a proxy: all that fetches.
_FETCHING = ("crio.service", "ocne-update.service", "rpm-ostreed.service")
_TRUST = """\
[Unit]
Description=Trust the certificate authorities of this site
Before=crio.service ocne-update.service rpm-ostreed.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/update-ca-trust extract
[Install]
WantedBy=multi-user.target
"""


def ignition_config(node: Node) -> bytes:
    """The config, as JSON. It holds the key of the cluster's certificate authority."""
    config = {
        "ignition": {"version": VERSION},
        "passwd": {"users": [_user(node)]},
        "storage": {"directories": [{"path": PATCHES}], "files": _files(node)},
        "systemd": {"units": _units(node)},
    }
    return json.dumps(config, indent=1).encode()


def file_content(config: bytes, path: str) -> bytes:
    """What a file is to contain, by a config of ours.

    :raises KeyError: it is not in there.
    """
    for file in json.loads(config)["storage"]["files"]:
        if file["path"] == path:
            content = base64.b64decode(file["contents"]["source"].partition("base64,")[2])
            return gzip.decompress(content) if file["contents"].get("compression") == "gzip" else content
    raise KeyError(path)


def _user(node: Node) -> dict[str, Any]:
    keys = {"sshAuthorizedKeys": [node.ssh_public_key.strip()]} if node.ssh_public_key.strip() else {}
    return {"name": "ocne", "groups": ["wheel"], "shell": "/usr/bin/rescue.sh", **keys}


def _files(node: Node) -> list[dict[str, Any]]:
    version = node.kubernetes_version
    update = f"registry: {node.registry}/ock-ostree\ntag: '{version}'\ntransport: ostree-unverified-registry\n"
    files = [
        _file("/etc/hostname", f"{node.name}\n", 0o644),
        _file(CA_CERTIFICATE, node.ca_certificate, 0o600),
        _file(CA_KEY, node.ca_key, 0o600),
        _file("/etc/kubernetes/kubeadm.conf", kubeadm_config(node), 0o600),
        _file("/etc/ocne/update.yaml", update, 0o400),
        _file("/etc/ocne/ocne.sh", START_SCRIPT, 0o555),
        _file("/etc/ocne/ocne-kubeadm-upgrade.sh", UPGRADE_SCRIPT, 0o555),
        _file("/etc/containers/registries.conf", f'unqualified-search-registries = ["{node.registry.partition("/")[0]}"]\n', 0o644),
        _interface(USER_INTERFACE, default_route=True),
    ]
    if node.interface == NETWORK_INTERFACE:
        files.append(_interface(NETWORK_INTERFACE, default_route=False))
    if node.proxy:
        files.append(_file(_PROXY_FILE, _proxy_variables(node), 0o600))
    if node.ca_certificates:
        files.append(_file("/etc/pki/ca-trust/source/anchors/ocne-images.pem", node.ca_certificates, 0o644))
    return files


def _file(path: str, content: str, mode: int) -> dict[str, Any]:
    # Compressed, since fw_cfg is slow; always the same bytes.
    packed = base64.b64encode(gzip.compress(content.encode(), mtime=0)).decode()
    return {"path": path, "overwrite": True, "mode": mode, "contents": {"compression": "gzip", "source": f"data:;base64,{packed}"}}


def _interface(name: str, default_route: bool) -> dict[str, Any]:
    routed = "yes" if default_route else "no"
    text = f"TYPE=Ethernet\nBOOTPROTO=dhcp\nDEFROUTE={routed}\nNAME={name}\nDEVICE={name}\nONBOOT=yes\n"
    return _file(f"/etc/sysconfig/network-scripts/ifcfg-{name}", text, 0o644)


def _proxy_variables(node: Node) -> str:
    inside = ["localhost", "127.0.0.1", USER_NETWORK, POD_SUBNET, SERVICE_SUBNET, node.name, ".svc", ".cluster.local", *node.addresses]
    without = ",".join(dict.fromkeys([*filter(None, node.proxy.no_proxy.split(",")), *inside]))
    values = {"HTTP_PROXY": node.proxy.http, "HTTPS_PROXY": node.proxy.https, "NO_PROXY": without}
    # Some programs read the one, some the other. A value is quoted as systemd.exec(5) takes it in a file.
    lines = [f"{spelled}={_quoted(value)}\n" for name, value in values.items() if value for spelled in (name, name.lower())]
    return "".join(lines)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$").replace("`", "\\`")
    return f'"{escaped}"'


def _units(node: Node) -> list[dict[str, Any]]:
    # A drop-in without a newline at its end is taken for a line that is too long.
    bootstrap = f"[Service]\nEnvironment=ACTION=init\nEnvironment=NET_INTERFACE={node.interface}\nStandardOutput=journal+console\n"
    dropins = {"ocne.service": [{"name": "bootstrap.conf", "contents": f"{bootstrap}StandardError=inherit\n"}]}
    if node.proxy:
        proxy = {"name": "proxy.conf", "contents": f"[Service]\nEnvironmentFile={_PROXY_FILE}\n"}
        dropins.update({unit: [proxy] for unit in _FETCHING})
    enabled = ("ocne.service", "ocne-update.service", "crio.service", "kubelet.service")
    units = [_unit(name, name in enabled, dropins.get(name, ())) for name in dict.fromkeys([*enabled, *dropins])]
    if node.ca_certificates:
        units.append({"name": "ocne-images-ca-trust.service", "enabled": True, "contents": _TRUST})
    return units


def _unit(name: str, enabled: bool, dropins: Sequence[dict[str, str]]) -> dict[str, Any]:
    return {"name": name, **({"enabled": True} if enabled else {}), **({"dropins": list(dropins)} if dropins else {})}
