#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_image_prune
short_description: Remove images and archives that newer ones supersede
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Removes from a folder what M(ocne.images.ocne_boot_image) and M(ocne.images.ocne_ostree_archive) have made, but for the newest of each
    kind. Of one kind is what was made for the same architecture with the same options, of whatever source and version.
  - Files without a record of these modules stay, and so does an artefact that M(ocne.images.ocne_oci_import) or
    M(ocne.images.ocne_image_push) reads at this time, or that is being made anew.
  - Custom images in the cloud are removed by M(ocne.images.ocne_oci_import) with O(ocne.images.ocne_oci_import#module:keep).
extends_documentation_fragment:
  - ocne.images.attributes
  - ocne.images.attributes.actiongroup_ocne
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  path:
    description:
      - The folder. One that does not exist has nothing to remove.
    type: path
    default: ~/.ocne/images
  keep:
    description:
      - How many artefacts of each kind stay, the newest ones.
    type: int
    required: true
  exclude:
    description:
      - Artefacts that stay in any case, as those that a playbook has just made or found. They count as their kind's.
    type: list
    elements: path
    default: []
seealso:
  - module: ocne.images.ocne_boot_image
  - module: ocne.images.ocne_ostree_archive
"""

EXAMPLES = r"""
- name: Keep the newest two images of each kind
  ocne.images.ocne_image_prune:
    keep: 2

- name: Keep the newest in another folder, and one that is still wanted
  ocne.images.ocne_image_prune:
    path: /srv/images
    keep: 1
    exclude:
      - /srv/images/boot.qcow2-1.31-amd64.oci
"""

RETURN = r"""
removed:
  description: Artefacts that were removed, or would be in check mode, the newest first.
  returned: always
  type: list
  elements: str
  sample:
    - /home/opc/.ocne/images/boot.qcow2-1.31-amd64.oci
freed_bytes:
  description: Their sizes together.
  returned: always
  type: int
  sample: 734003200
in_use:
  description: Artefacts that stay only since another run has them in hand.
  returned: always
  type: list
  elements: str
  sample: []
actions:
  description: What was to be done; empty when nothing was.
  returned: always
  type: list
  elements: str
  sample:
    - remove /home/opc/.ocne/images/boot.qcow2-1.31-amd64.oci
"""

from ansible_collections.ocne.images.plugins.module_utils import _platform
from ansible_collections.ocne.images.plugins.module_utils._builder.prune import Prune
from ansible_collections.ocne.images.plugins.module_utils._module import run


def main() -> None:
    run(
        Prune,
        {
            "path": {"type": "path", "default": _platform.IMAGES_FOLDER},
            "keep": {"type": "int", "required": True},
            "exclude": {"type": "list", "elements": "path", "default": []},
        },
    )


if __name__ == "__main__":
    main()
