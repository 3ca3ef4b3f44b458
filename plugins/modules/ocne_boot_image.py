#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_boot_image
short_description: Make an OCK boot image for a provider
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Fetches the boot image of Oracle Cloud Native Environment nodes (OCK) and changes it for the provider where it is to boot.
  - The result is a qcow2 file. It gets new UUIDs for its filesystems (derived from the source and the options, so that the same input
    gives the same image), the provider's Ignition platform, kernel arguments, and what else the provider needs; it loses its machine id.
  - The disk is changed in user space, without privileges, without mounting it, and without starting it.
  - The image appears at O(dest) whole or not at all. A record beside it (C(<dest>.build.json)) says what it was made from, so that a
    second run fetches and writes nothing.
extends_documentation_fragment:
  - ocne.images.registry
  - ocne.images.builder
  - ocne.images.kubernetes
  - ocne.images.registry.source
  - ocne.images.attributes
  - ocne.images.attributes.actiongroup_ocne
  - ocne.images.attributes.progress
attributes:
  check_mode:
    support: full
    details:
      - The exact changes inside the disk can be told only when O(source) is a file. Of an image in a registry it is told
        whether it would be fetched and converted.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  source:
    description:
      - The boot image, as a reference of any transport of containers-transports(5), or the path of a qcow2 file. A path begins with
        V(/), V(./), V(../) or V(~); a name without a transport is one of a registry.
      - Default is V(container-registry.oracle.com/olcne/ock:<kubernetes_version>).
    type: str
  kubernetes_version:
    description:
      - Kubernetes version of the node. It names the tag of the default O(source) and the default O(dest).
    type: str
    default: "1.33"
  architecture:
    description:
      - Architecture to take from an image for several. Default is that of the host where the module runs.
    type: str
    choices: [amd64, x86_64, arm64, aarch64]
  provider:
    description:
      - Where the image is to boot.
      - V(oci) is Oracle Cloud Infrastructure, V(olvm) is Oracle Linux Virtualization Manager.
    type: str
    choices: [oci, olvm]
    default: oci
  ignition_provider:
    description:
      - Ignition's platform id, when it is to be another than that of O(provider), for example V(oraclecloud) or V(metal).
    type: str
  kernel_arguments:
    description:
      - Kernel arguments that each boot entry gets, unless it has them.
      - Bare metal that boots over iSCSI needs V(rd.iscsi.firmware=1).
    type: list
    elements: str
    default: []
  dest:
    description:
      - File to make, or a folder for it.
      - Default is C(~/.ocne/images/boot.qcow2-<kubernetes_version>-<architecture>.<provider>).
    type: path
  engine:
    description:
      - What changes the disk. V(native) is this collection's own code; it needs nothing else and takes less than a second. V(guestfs)
        is libguestfs, which starts a small virtual machine. V(auto) takes V(guestfs) for what V(native) refuses.
    type: str
    choices: [auto, native, guestfs]
    default: auto
  force:
    description:
      - Make the image anew, whatever the record says.
    type: bool
    default: false
  lock_timeout:
    description:
      - Seconds to wait while another run makes the same O(dest).
    type: int
    default: 1800
requirements:
  - libguestfs (C(guestfish)), for O(engine=guestfs) only
  - zstd, or Python's backports.zstd, for layers that are compressed with zstd
seealso:
  - module: ocne.images.ocne_oci_import
"""

EXAMPLES = r"""
- name: Make the boot image of the default version for Oracle Cloud
  ocne.images.ocne_boot_image:
  register: boot_image

- name: Make an ARM image for bare metal that boots over iSCSI
  ocne.images.ocne_boot_image:
    kubernetes_version: "1.32"
    architecture: arm64
    kernel_arguments:
      - rd.iscsi.firmware=1

- name: Make an image for Oracle Linux Virtualization Manager from a file
  ocne.images.ocne_boot_image:
    source: /srv/images/boot.qcow2
    provider: olvm
    dest: /srv/images/

- name: Take it from a mirror with its own certificate authority
  ocne.images.ocne_boot_image:
    source: mirror.example.com/olcne/ock:1.33
    authfile: /etc/ocne/auth.json
    ca_certificates: /etc/pki/mirror.pem
"""

RETURN = r"""
path:
  description: The boot image.
  returned: always
  type: str
  sample: /home/opc/.ocne/images/boot.qcow2-1.33-amd64.oci
sha256:
  description: Digest of the boot image's bytes.
  returned: when the image is there
  type: str
  sample: 1d4b9f0ac8ee5bd7c2cf2d0f3d2bd6f4b3e2c3fb0f7a7f2a0c5ac0b2ba5c3c1e
size:
  description: Size of the boot image in bytes.
  returned: when the image is there
  type: int
  sample: 1467154432
source_digest:
  description: Digest of what it was made from; of an image, that of its manifest for the architecture.
  returned: always
  type: str
  sample: sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
architecture:
  description: The architecture, as container images name it.
  returned: always
  type: str
  sample: amd64
kubernetes_version:
  description: The Kubernetes version asked for.
  returned: when the image is there
  type: str
  sample: "1.33"
provider:
  description: The provider that it was made for.
  returned: when the image is there
  type: str
  sample: oci
engine:
  description: What changed the disk.
  returned: when the image is there
  type: str
  sample: native
engine_reason:
  description: Why it was not the native engine; empty where it was, or where another was asked for.
  returned: when the image is there
  type: str
  sample: ""
changes:
  description: What was changed inside the disk.
  returned: when the image is there, and in check mode for a file
  type: dict
  contains:
    uuids:
      description: UUIDs of the filesystems on the partitions C(boot) and C(root), before and after.
      type: dict
      returned: always
    boot_entries:
      description: Kernel arguments of each boot entry on C(boot), before and after.
      type: dict
      returned: always
    fstab:
      description: Each deployment's fstab on C(root), before and after.
      type: dict
      returned: always
    added:
      description: Files that were added on C(root).
      type: list
      elements: str
      returned: always
    removed:
      description: Files that were removed on C(root).
      type: list
      elements: str
      returned: always
actions:
  description: What was done, or would be done in check mode; empty when nothing was to be done.
  returned: always
  type: list
  elements: str
  sample:
    - convert for oci
    - create /home/opc/.ocne/images/boot.qcow2-1.33-amd64.oci
"""

from ansible_collections.ocne.images.plugins.module_utils._builder.boot_image import BootImage
from ansible_collections.ocne.images.plugins.module_utils._builder.cluster import BUILDER_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._builder.source import REGISTRY_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.providers import PROVIDERS
from ansible_collections.ocne.images.plugins.module_utils._module import run
from ansible_collections.ocne.images.plugins.module_utils._platform import ARCHITECTURES, DEFAULT_KUBERNETES_VERSION


def main() -> None:
    run(
        BootImage,
        {
            "source": {"type": "str"},
            "kubernetes_version": {"type": "str", "default": DEFAULT_KUBERNETES_VERSION},
            "architecture": {"type": "str", "choices": list(ARCHITECTURES)},
            "provider": {"type": "str", "choices": list(PROVIDERS), "default": "oci"},
            "ignition_provider": {"type": "str"},
            "kernel_arguments": {"type": "list", "elements": "str", "default": []},
            "dest": {"type": "path"},
            "engine": {"type": "str", "choices": ["auto", "native", "guestfs"], "default": "auto"},
            "force": {"type": "bool", "default": False},
            "lock_timeout": {"type": "int", "default": 1800},
            **REGISTRY_OPTIONS,
            **BUILDER_OPTIONS,
        },
        required_together=[("username", "password")],
    )


if __name__ == "__main__":
    main()
