#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_ostree_archive
short_description: Make a container that serves OCK to ostree clients
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Fetches the ostree container of Oracle Cloud Native Environment nodes (OCK) and makes an image of it that serves the same commit over
    HTTP, as C(ostreesetup) of Anaconda and Kickstart wants it.
  - The image is O(base_image), which has nginx, and one layer more, an archive-mode ostree repository below nginx's document root. It
    is served as C(/ostree) on the port that O(base_image) listens on.
  - The result is an OCI archive, whose image podman loads as C(localhost/ock-ostree:latest).
  - Conversion is one streaming pass in user space, over all cores, with less than 200 MB of memory. Neither ostree nor a container engine
    is needed. Every layer and every object is verified, and the commit has to be complete. Detached metadata, such as signatures, is
    carried over.
  - The same source, base image and options give the same bytes, where the same versions of the same libraries compress them
    (RV(compressed_by)). A pod of the default O(builder_image) has zlib only. Whatever compresses them, the objects are the same to ostree.
  - The archive appears at O(dest) whole or not at all. A record beside it (C(<dest>.build.json)) says what it was made from, so that a
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
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  source:
    description:
      - The ostree container, as a reference of any transport of containers-transports(5). A name without a transport is one of a registry.
      - It has to be an encapsulated ostree commit (C(rpm-ostree compose container-encapsulate)). Layers that somebody put on top of it are
        refused.
      - Default is V(container-registry.oracle.com/olcne/ock-ostree:<kubernetes_version>).
    type: str
  kubernetes_version:
    description:
      - Kubernetes version of the node. It names the tag of the default O(source) and the default O(dest).
    type: str
    default: "1.33"
  architecture:
    description:
      - Architecture to take from images for several. Default is that of the host where the module runs.
    type: str
    choices: [amd64, x86_64, arm64, aarch64]
  base_image:
    description:
      - An image that runs nginx, as a reference of any transport. Its layers are carried as they are.
      - Document root, port and user are what its own configuration of nginx says.
    type: str
    default: docker.io/library/nginx:stable-alpine
  document_root:
    description:
      - Absolute path in O(base_image) from which its web server takes files, where that cannot be read from its configuration of nginx.
    type: str
  ref:
    description:
      - The ostree ref that clients ask for.
    type: str
    default: ock
  compression_level:
    description:
      - How hard objects are compressed, from 1 to 9.
      - Levels 1 to 3 use ISA-L (Python package isal), 4 and 5 libdeflate (Python package deflate), with ISA-L, where it is installed, for
        what is larger than 24 MiB or compressed already. What is not installed zlib does. Level 6 is that of ostree itself, always by
        zlib, and gives the very bytes that ostree writes.
      - The bytes of level 3 depend on the processor, too, those of the other levels do not.
      - 1.46 GB in 33,919 files of a Linux system became 566 MB in 10 to 11 CPU seconds at level 2, and 532 MB in 15 to 17 at level 4, on
        two busy cores.
      - The more of the image is compressed already, the less levels differ in size.
    type: int
    choices: [1, 2, 3, 4, 5, 6, 7, 8, 9]
    default: 4
  dest:
    description:
      - File to make, or a folder for it.
      - Default is C(~/.ocne/images/ock-<kubernetes_version>-<architecture>-ostree.tar).
    type: path
  force:
    description:
      - Make the archive anew, whatever the record says.
    type: bool
    default: false
  lock_timeout:
    description:
      - Seconds to wait while another run makes the same O(dest).
    type: int
    default: 1800
notes:
  - O(username) and O(password) go to the registry of O(source), and to that of O(base_image) only if it is the same one.
requirements:
  - isal and deflate (Python packages), for speed
  - zstd, or Python's backports.zstd, for layers that are compressed with zstd
seealso:
  - module: ocne.images.ocne_image_push
  - module: ocne.images.ocne_boot_image
"""

EXAMPLES = r"""
- name: Make the archive of the default version
  ocne.images.ocne_ostree_archive:
  register: archive

- name: Make an ARM archive on a base image of one's own registry
  ocne.images.ocne_ostree_archive:
    kubernetes_version: "1.32"
    architecture: arm64
    source: registry.example.com/olcne/ock-ostree:1.32
    base_image: registry.example.com/library/nginx:stable
    ca_certificates: /etc/pki/registry.pem

- name: Make it from an archive that ock-forge built, as small as ostree itself would
  ocne.images.ocne_ostree_archive:
    source: oci-archive:/srv/ock/archive.tar
    compression_level: 6
    dest: /srv/images/
"""

RETURN = r"""
path:
  description: The archive.
  returned: always
  type: str
  sample: /home/opc/.ocne/images/ock-1.33-amd64-ostree.tar
digest:
  description: Digest of the image's manifest, as registries name it once it is pushed.
  returned: when the archive is there
  type: str
  sample: sha256:6f64b4a404c0c9a29725976bae6b5c4109dc228aacec71fb7d074044e2504980
sha256:
  description: Digest of the archive's bytes.
  returned: when the archive is there
  type: str
  sample: 51e49dd408223e8ab3633db08622c0761744dd59577624e8763d84ecc0c43a2f
size:
  description: Size of the archive in bytes.
  returned: when the archive is there
  type: int
  sample: 794318848
commit:
  description: Checksum of the ostree commit that is served.
  returned: when the archive is there
  type: str
  sample: 077e037555471c16cb31fe425acd1780db35f66123e74fdf6c91ac0404750058
version:
  description: Version of the commit; empty where it has none.
  returned: when the archive is there
  type: str
  sample: "1.33"
ref:
  description: The ref under which the commit is served.
  returned: when the archive is there
  type: str
  sample: ock
port:
  description: Port on which the image's web server listens.
  returned: when the archive is there
  type: int
  sample: 80
image:
  description: Name of the image once it is loaded.
  returned: when the archive is there
  type: str
  sample: localhost/ock-ostree:latest
source_digest:
  description: Digest of the ostree container's manifest for the architecture.
  returned: always
  type: str
  sample: sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
base_digest:
  description: Digest of the base image's manifest for the architecture.
  returned: always
  type: str
  sample: sha256:cc3e1d0ea7d601a9af7e1c0282e66a331230723bb47528f1dd2c3b3379cd348c
architecture:
  description: The architecture, as container images name it.
  returned: always
  type: str
  sample: amd64
kubernetes_version:
  description: The Kubernetes version asked for.
  returned: when the archive is there
  type: str
  sample: "1.33"
compressed_by:
  description: The libraries that compressed the objects, with their versions.
  returned: when the archive is there
  type: str
  sample: deflate 0.9.0, isal 1.9.1
unreferenced:
  description: How many objects of the source no directory of the commit names. They are left out.
  returned: when the archive is there
  type: int
  sample: 0
actions:
  description: What was done, or would be done in check mode; empty when nothing was to be done.
  returned: always
  type: list
  elements: str
  sample:
    - fetch docker://container-registry.oracle.com/olcne/ock-ostree@sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
    - convert to an archive of ref ock
    - create /home/opc/.ocne/images/ock-1.33-amd64-ostree.tar
"""

from ansible_collections.ocne.images.plugins.module_utils._builder.cluster import BUILDER_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._builder.ostree_archive import DEFAULT_BASE_IMAGE, OstreeArchive
from ansible_collections.ocne.images.plugins.module_utils._builder.source import REGISTRY_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.ostree.deflate import DEFAULT_LEVEL, LEVELS
from ansible_collections.ocne.images.plugins.module_utils._module import run
from ansible_collections.ocne.images.plugins.module_utils._platform import ARCHITECTURES, DEFAULT_KUBERNETES_VERSION


def main() -> None:
    run(
        OstreeArchive,
        {
            "source": {"type": "str"},
            "kubernetes_version": {"type": "str", "default": DEFAULT_KUBERNETES_VERSION},
            "architecture": {"type": "str", "choices": list(ARCHITECTURES)},
            "base_image": {"type": "str", "default": DEFAULT_BASE_IMAGE},
            "document_root": {"type": "str"},
            "ref": {"type": "str", "default": "ock"},
            "compression_level": {"type": "int", "choices": list(LEVELS), "default": DEFAULT_LEVEL},
            "dest": {"type": "path"},
            "force": {"type": "bool", "default": False},
            "lock_timeout": {"type": "int", "default": 1800},
            **REGISTRY_OPTIONS,
            **BUILDER_OPTIONS,
        },
        required_together=[("username", "password")],
    )


if __name__ == "__main__":
    main()
