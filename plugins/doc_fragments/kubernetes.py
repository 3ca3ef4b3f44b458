# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to a Kubernetes cluster; the names are those of the collection kubernetes.core."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - python >= 3.9
  - kubernetes (the Python client) >= 31, < 37
notes:
  - The cluster is that of O(kubeconfig), else that of O(host), else that of E(KUBECONFIG), else that of C(~/.kube/config), else the one
    around the pod in which the module runs.
  - Proxies come from the environment (E(HTTPS_PROXY), E(NO_PROXY)).
options:
  kubeconfig:
    description:
      - Kubeconfig file on the host where the module runs. If the value is not specified, the value of the environment variable
        E(K8S_AUTH_KUBECONFIG) is used.
    type: path
  context:
    description:
      - Context in the kubeconfig. Default is its current one. If the value is not specified, the value of the environment variable
        E(K8S_AUTH_CONTEXT) is used.
    type: str
  host:
    description:
      - URL of the API server. If the value is not specified, the value of the environment variable E(K8S_AUTH_HOST) is used.
    type: str
  api_key:
    description:
      - Bearer token. If the value is not specified, the value of the environment variable E(K8S_AUTH_API_KEY) is used.
    type: str
  client_cert:
    description:
      - PEM file with the client's certificate. If the value is not specified, the value of the environment variable
        E(K8S_AUTH_CERT_FILE) is used.
    type: path
    aliases: [cert_file]
  client_key:
    description:
      - PEM file with the client's key. If the value is not specified, the value of the environment variable E(K8S_AUTH_KEY_FILE) is used.
    type: path
    aliases: [key_file]
  ca_cert:
    description:
      - PEM file with the certificate authorities of the API server. If the value is not specified, the value of the environment
        variable E(K8S_AUTH_SSL_CA_CERT) is used.
    type: path
    aliases: [ssl_ca_cert]
  validate_certs:
    description:
      - Whether the API server's certificate has to be valid. If the value is not specified, the value of the environment variable
        E(K8S_AUTH_VERIFY_SSL) is used. Default is what the kubeconfig says, else V(true).
    type: bool
    aliases: [verify_ssl]
"""
