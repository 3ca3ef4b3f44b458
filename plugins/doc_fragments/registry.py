# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which modules reach container registries."""

from __future__ import annotations


class ModuleDocFragment:
    # Both directions have these.
    DOCUMENTATION = r"""
options:
  authfile:
    description:
      - File with credentials for registries, as described in containers-auth.json(5). If the value is not specified, the value of the
        environment variable E(OCNE_IMAGES_AUTHFILE) is used.
      - Default is the user's own, as C(podman login) writes it; E(REGISTRY_AUTH_FILE) names another.
    type: path
  password:
    description:
      - Password or token of O(username). It reaches skopeo(1) through a file in memory that has no name.
    type: str
  ca_certificates:
    description:
      - PEM file with further certificate authorities for registries.
    type: path
  proxy:
    description:
      - Proxies on the way to registries. What is not given comes from the environment (E(HTTP_PROXY), E(HTTPS_PROXY), E(NO_PROXY)).
    type: dict
    suboptions:
      http:
        description: Proxy for HTTP, as a URL.
        type: str
      https:
        description: Proxy for HTTPS, as a URL.
        type: str
      no_proxy:
        description:
          - Comma-separated hosts that are reached without a proxy.
          - The alias has to be quoted, since YAML takes a bare C(no) for a boolean.
        type: str
        aliases: ["no"]
requirements:
  - skopeo
"""

    # Modules that fetch.
    SOURCE = r"""
options:
  username:
    description:
      - Account at the registry of O(source), before what O(authfile) says. Needs O(password).
    type: str
  tls_verify:
    description:
      - Whether registries have to use HTTPS with a certificate that is known.
    type: bool
    default: true
  cache_dir:
    description:
      - Folder where fetched blobs are kept by digest, so that nothing is fetched twice, and digests of files of this host, so that a
        file that nothing has touched is not read twice. It can be removed at any time.
    type: path
    default: ~/.ocne/cache
"""

    # Modules that push.
    DESTINATION = r"""
options:
  username:
    description:
      - Account at the registry of O(dest), before what O(authfile) says. Needs O(password).
      - It is used for O(src), too, where that is in the same registry.
    type: str
  tls_verify:
    description:
      - Whether the registry of O(dest) has to use HTTPS with a certificate that is known.
    type: bool
    default: true
  src_username:
    description:
      - Account at the registry of O(src), before what O(authfile) says. Needs O(src_password).
    type: str
  src_password:
    description:
      - Password or token of O(src_username).
    type: str
  src_tls_verify:
    description:
      - Whether the registry of O(src) has to use HTTPS with a certificate that is known.
    type: bool
    default: true
"""
