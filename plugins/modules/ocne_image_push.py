#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_image_push
short_description: Copy an image to a registry, or to another place for images
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Copies an image, such as the archive that M(ocne.images.ocne_ostree_archive) makes or an OCK boot image in a registry, to any
    destination of containers-transports(5), by skopeo(1).
  - A destination that has the image is not touched. The copy has the source's manifest, digest and layers as they are, wherever source
    and destination can keep them.
  - Archives, layouts and folders appear whole or not at all; what was there before stays until then.
extends_documentation_fragment:
  - ocne.images.registry
  - ocne.images.registry.destination
  - ocne.images.attributes
  - ocne.images.attributes.actiongroup_ocne
  - ocne.images.attributes.progress
attributes:
  check_mode:
    support: full
    details:
      - Whether the account may write to the registry shows only when the image is copied.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  src:
    description:
      - The image, as a reference of any transport of containers-transports(5), or the path of an OCI archive or of a folder with an OCI
        layout.
      - A path begins with V(/), V(./), V(../) or V(~); a name without a transport is one of a registry.
      - Default is the archive that M(ocne.images.ocne_ostree_archive) makes for O(kubernetes_version) and O(architecture).
    type: str
  kubernetes_version:
    description:
      - Kubernetes version of the node, which the default O(src) is for.
    type: str
    default: "1.33"
  dest:
    description:
      - Where it is to be, as a reference of any transport that skopeo can write to. A name without a transport is one of a registry.
      - V(docker://host/name:tag) is a registry. V(dir:path), V(oci:path:tag), V(oci-archive:path:tag) and
        V(docker-archive:path:name:tag) are files or folders of the host where the module runs. An archive or folder of an image that
        is there is replaced; a layout keeps its images of other names. V(containers-storage:name:tag) is podman's own storage,
        V(docker-daemon:name:tag) that of Docker, whose daemon listens where E(DOCKER_HOST) says.
    type: str
    required: true
  architecture:
    description:
      - Architecture to take from an image for several. Default is that of the host where the module runs. An image for one is taken
        as it is.
    type: str
    choices: [amd64, x86_64, arm64, aarch64]
  retries:
    description:
      - How many times more to try where another try may succeed, such as when the connection breaks. The pause before it doubles from one
        second to thirty.
    type: int
    default: 3
  lock_timeout:
    description:
      - Seconds to wait while another run writes the same file or folder.
    type: int
    default: 1800
notes:
  - Whether a destination has the image is told by the digest of the manifest.
  - Where the manifest is written anew (into and out of V(docker-archive) and V(docker-daemon), out of V(containers-storage), Docker's
    format into an OCI layout or archive), and in V(containers-storage), which keeps one image for each configuration, it is told by
    what is in the image (the digests of its uncompressed layers and how it is run). Annotations and the compression of layers do not
    count there.
  - skopeo reads a whole image of V(docker-daemon) to learn what it is.
  - skopeo unpacks OCI archives in E(TMPDIR), or C(/var/tmp).
seealso:
  - module: ocne.images.ocne_ostree_archive
  - name: containers-transports(5)
    description: How references to images are written.
    link: https://github.com/containers/image/blob/main/docs/containers-transports.5.md
"""

EXAMPLES = r"""
- name: Push the ostree archive to a registry, with the credentials of `podman login`
  ocne.images.ocne_image_push:
    dest: docker://registry.example.com/ocne/ock-ostree:1.33

- name: Push to a registry with an own certificate authority
  ocne.images.ocne_image_push:
    src: /srv/images/ock-1.33-amd64-ostree.tar
    dest: registry.example.com/ocne/ock-ostree:1.33
    username: builder
    password: "{{ vault_registry_password }}"
    ca_certificates: /etc/pki/registry.pem

- name: Put it into podman's storage
  ocne.images.ocne_image_push:
    src: ~/.ocne/images/ock-1.33-amd64-ostree.tar
    dest: containers-storage:localhost/ock-ostree:latest

- name: Carry the ARM boot image to a network without Internet
  ocne.images.ocne_image_push:
    src: container-registry.oracle.com/olcne/ock:1.33
    dest: oci-archive:/media/usb/ock-1.33-arm64.tar:1.33
    architecture: arm64
"""

RETURN = r"""
digest:
  description:
    - Digest of the manifest at the destination. In check mode, when it would be copied, that of the source, where the copy keeps it.
  returned: always, except in check mode where it cannot be known
  type: str
  sample: sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
dest:
  description: The destination, as a reference with its transport.
  returned: always
  type: str
  sample: docker://registry.example.com/ocne/ock-ostree:1.33
copied:
  description: Whether the image was copied by this run.
  returned: always
  type: bool
  sample: true
actions:
  description: What was done, or would be done in check mode; empty when nothing was to be done.
  returned: always
  type: list
  elements: str
  sample:
    - copy oci-archive:/srv/images/ock-1.33-amd64-ostree.tar to docker://registry.example.com/ocne/ock-ostree:1.33
reason:
  description:
    - What kind of failure it was. V(unauthorized) is an account that is missing or wrong, V(forbidden) one without the right.
  returned: on failure, where skopeo's message tells
  type: str
  sample: unauthorized
registry:
  description: The registry that refused, or was not reached.
  returned: on failure at a registry
  type: str
  sample: registry.example.com
"""

from ansible_collections.ocne.images.plugins.module_utils._containers.access import CONNECTION_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._containers.push import Push
from ansible_collections.ocne.images.plugins.module_utils._module import run
from ansible_collections.ocne.images.plugins.module_utils._platform import ARCHITECTURES, DEFAULT_KUBERNETES_VERSION


def main() -> None:
    run(
        Push,
        {
            "src": {"type": "str"},
            "kubernetes_version": {"type": "str", "default": DEFAULT_KUBERNETES_VERSION},
            "dest": {"type": "str", "required": True},
            "architecture": {"type": "str", "choices": list(ARCHITECTURES)},
            "src_username": {"type": "str"},
            "src_password": {"type": "str", "no_log": True},
            "src_tls_verify": {"type": "bool", "default": True},
            "retries": {"type": "int", "default": 3},
            "lock_timeout": {"type": "int", "default": 1800},
            **CONNECTION_OPTIONS,
        },
        required_together=[("username", "password"), ("src_username", "src_password")],
    )


if __name__ == "__main__":
    main()
