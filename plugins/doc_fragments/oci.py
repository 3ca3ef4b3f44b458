# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of modules that talk to Oracle Cloud Infrastructure; the names are those of the collection oracle.oci."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
requirements:
  - python >= 3.9
  - oci (the Python SDK of Oracle Cloud Infrastructure)
notes:
  - An option wins over its environment variable, and both win over the configuration file. No file is needed when options or
    variables say all.
options:
  config_file_location:
    description:
      - Configuration file of the SDK and the command-line client.
      - Default is V(~/.oci/config). If the value is not specified, the value of the environment variable E(OCI_CONFIG_FILE) is used.
    type: path
  config_profile_name:
    description:
      - Profile in O(config_file_location).
      - Default is V(DEFAULT). If the value is not specified, the value of the environment variable E(OCI_CONFIG_PROFILE) is used.
    type: str
  auth_type:
    description:
      - How requests are authenticated. If the value is not specified, the value of the environment variable E(OCI_ANSIBLE_AUTH_TYPE)
        is used.
      - V(api_key) signs with the key of a user.
      - V(security_token) signs with the session token that C(oci session authenticate) has put into the profile.
      - V(instance_principal) is the instance on which the module runs.
      - V(resource_principal) is the function or other resource in which it runs.
      - V(oke_workload_identity) is the service account of the pod in which it runs.
    type: str
    choices: [api_key, security_token, instance_principal, resource_principal, oke_workload_identity]
    default: api_key
  tenancy:
    description:
      - OCID of the tenancy. If the value is not specified, the value of the environment variable E(OCI_TENANCY) is used.
    type: str
  region:
    description:
      - Region to work in, as V(us-ashburn-1). If the value is not specified, the value of the environment variable E(OCI_REGION)
        is used.
    type: str
  api_user:
    description:
      - OCID of the user. If the value is not specified, the value of the environment variable E(OCI_USER_ID) is used.
    type: str
  api_user_fingerprint:
    description:
      - Fingerprint of the user's key. If the value is not specified, the value of the environment variable E(OCI_USER_FINGERPRINT)
        is used.
    type: str
  api_user_key_file:
    description:
      - File with the user's private key in PEM format, on the host where the module runs. If the value is not specified, the value of
        the environment variable E(OCI_USER_KEY_FILE) is used.
    type: path
  api_user_key_pass_phrase:
    description:
      - Pass phrase of the private key, if it is encrypted. If the value is not specified, the value of the environment variable
        E(OCI_USER_KEY_PASS_PHRASE) is used.
    type: str
  cert_bundle:
    description:
      - File with the CA certificates to trust, in place of those that the SDK comes with. If the value is not specified, the value of
        the environment variable E(OCI_ANSIBLE_CERT_BUNDLE) is used.
    type: path
  endpoints:
    description:
      - URLs of services, in place of those that follow from O(region), for private clouds and dedicated regions.
    type: dict
    suboptions:
      auth:
        description: URL of the service that gives an instance principal its token.
        type: str
      identity:
        description: URL of the Identity service.
        type: str
      object_storage:
        description: URL of the Object Storage service.
        type: str
      compute:
        description: URL of the Compute service.
        type: str
      work_requests:
        description: URL of the Work Requests service.
        type: str
"""
