#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_oci_import
short_description: Bring a boot image into Oracle Cloud as a custom image
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Uploads a qcow2 boot image to Object Storage, imports it as a custom image, and sets its tags, its capability schema and the shapes
    it runs on.
  - The file is packaged, compressed and sent as it is read. There is no temporary copy, and memory does not grow with the image.
    Several parts are sent at once, each with its MD5, and the MD5 of the whole is compared at the end.
  - An upload that was killed, or that the network broke off, goes on with the parts that are missing. If the file has changed
    meanwhile, the old upload is removed and a new one begins. What was begun is noted in C(~/.ocne/uploads) on the host where the
    module runs.
  - An image is known by the digest of its content, in its freeform tag C(ocne/content-digest), never by its name alone. A new file
    under an old O(display_name) becomes a new image; the old one stays.
  - When a step fails, or the run is cancelled, what was half done is removed.
extends_documentation_fragment:
  - ocne.images.oci
  - ocne.images.attributes
  - ocne.images.attributes.actiongroup_ocne
  - ocne.images.attributes.progress
attributes:
  check_mode:
    support: full
    details:
      - Only reads. The OCID of an image that would be imported is not known.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  state:
    description:
      - V(present) makes sure that there is an image with the content of O(src) and the O(display_name), and that it is ready for use.
      - V(absent) removes images. Only images that this module has imported are removed. They are found by O(image_id), or are all
        those in O(compartment) that O(display_name), the content of O(src), O(architecture) and O(kubernetes_version) describe, as
        far as these are given. An object that such an image was made from, and what an interrupted run has left, are removed too.
    type: str
    choices: [present, absent]
    default: present
  src:
    description:
      - The boot image, a qcow2 file on the host where the module runs, or the folder where M(ocne.images.ocne_boot_image) has put it.
      - Default if O(state=present) is what that module makes by default,
        C(~/.ocne/images/boot.qcow2-<kubernetes_version>-<architecture>.oci).
    type: path
  compartment:
    description:
      - Compartment of the image and of a bucket that is made, as an OCID or as a path of names from the tenancy, as V(team/images).
        V(/) is the tenancy itself.
    type: str
    required: true
    aliases: [compartment_id]
  bucket_name:
    description:
      - Bucket to upload to. It is made where it is missing.
    type: str
    default: ocne-images
  namespace_name:
    description:
      - Object Storage namespace. Default is that of the tenancy.
    type: str
  object_name:
    description:
      - Name of the object. Default is V(ocne_) and the file name of O(src).
      - An object of that name that this module has not put there is never overwritten.
    type: str
  display_name:
    description:
      - Name of the image. Default is V(ock) if O(state=present).
    type: str
  image_id:
    description:
      - OCID of the image to remove. Only used if O(state=absent).
    type: str
  architecture:
    description:
      - Architecture of the image. Default is that of the host where the module runs. It decides about the shapes, and is put into
        the freeform tag C(ocne/architecture).
    type: str
    choices: [amd64, x86_64, arm64, aarch64]
  kubernetes_version:
    description:
      - Kubernetes version of the image, for its freeform tag C(ocne/kubernetes). Default is V(1.33) if O(state=present).
    type: str
  keep:
    description:
      - How many images stay, of each name, architecture and Kubernetes version the newest. An image that is being imported stays, too, and
        is not counted. Without it, all are removed. Only used if O(state=absent).
    type: int
  journal_dir:
    description:
      - Folder for the journals of uploads. A run that is killed leaves its journal, and the next one goes on where it was. Where each run
        has a container of its own, it has to be a folder that they share.
    type: path
    default: ~/.ocne/uploads
  keep_object:
    description:
      - Whether to keep the object after the import. An object that is kept, and holds the same content, is not uploaded again.
    type: bool
    default: false
  private_cloud:
    description:
      - Whether this is a Private Cloud Appliance or Compute Cloud@Customer, which want other launch options, and no capability schema.
    type: bool
    default: false
  import_through:
    description:
      - How the image service reads the object.
      - V(object) is by its name, with the rights of the caller.
      - V(preauthenticated_request) is by a URL that is made for the import, and removed after it. Federated users and instance
        principals may need it.
      - V(auto) is by its name, and by a URL where that is refused.
    type: str
    choices: [auto, object, preauthenticated_request]
    default: auto
  wait:
    description:
      - Whether to wait for the end of the import, which takes a quarter of an hour.
      - If V(false), capability schema and shapes are not set, and the object stays, until the module runs again after the import.
    type: bool
    default: true
  wait_timeout:
    description:
      - Longest time in seconds to wait for an import, or for another run that has the same object in hand.
    type: int
    default: 3600
notes:
  - The package C(isal), where it is installed, compresses several times faster than Python's own C(zlib).
seealso:
  - module: ocne.images.ocne_boot_image
"""

EXAMPLES = r"""
- name: Import a boot image
  ocne.images.ocne_oci_import:
    src: ~/.ocne/images/boot.qcow2-1.33-amd64.oci
    compartment: team/images
    architecture: amd64
    kubernetes_version: "1.33"
  register: imported

- name: Show its OCID
  ansible.builtin.debug:
    msg: "{{ imported.image.id }}"

- name: Import into another region, as the instance that this runs on, and keep the object
  ocne.images.ocne_oci_import:
    src: ~/.ocne/images/boot.qcow2-1.33-arm64.oci
    compartment: ocid1.compartment.oc1..aaaaaaaaexample
    region: eu-frankfurt-1
    auth_type: instance_principal
    display_name: ock-1.33-arm64
    architecture: arm64
    keep_object: true

- name: Import into a private cloud
  ocne.images.ocne_oci_import:
    src: ~/.ocne/images/boot.qcow2-1.33-amd64.oci
    compartment: images
    private_cloud: true
    cert_bundle: /etc/pki/private-cloud.pem
    endpoints:
      identity: https://identity.cloud.example.com
      object_storage: https://objectstorage.cloud.example.com
      compute: https://iaas.cloud.example.com
      work_requests: https://iaas.cloud.example.com

- name: Remove one image
  ocne.images.ocne_oci_import:
    state: absent
    compartment: team/images
    image_id: "{{ imported.image.id }}"

- name: Remove every image of that name that this module has imported
  ocne.images.ocne_oci_import:
    state: absent
    compartment: team/images
    display_name: ock

- name: Remove them but for the newest two of each architecture and version
  ocne.images.ocne_oci_import:
    state: absent
    compartment: team/images
    display_name: ock
    keep: 2
"""

RETURN = r"""
image:
  description:
    - The image, as the Compute service describes it. In check mode, an image that would be imported has no C(id).
    - With O(state=absent), the first image that was removed, or nothing.
  returned: success
  type: dict
  contains:
    id:
      description: OCID of the image.
      type: str
      returned: always
      sample: ocid1.image.oc1.iad.aaaaaaaaexample
    display_name:
      description: Name of the image.
      type: str
      returned: always
      sample: ock
    lifecycle_state:
      description: State of the image.
      type: str
      returned: when the image exists
      sample: AVAILABLE
    compartment_id:
      description: OCID of its compartment.
      type: str
      returned: when the image exists
      sample: ocid1.compartment.oc1..aaaaaaaaexample
    freeform_tags:
      description: Tags of the image; by C(ocne/content-digest) it is found again.
      type: dict
      returned: always
      sample:
        ocne/architecture: amd64
        ocne/content-digest: sha256:0a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f60718293a4b5c6d7e8f9
        ocne/kubernetes: "1.33"
object:
  description:
    - The object in Object Storage; nothing where there is none (any more). With O(state=absent), the object that was removed.
  returned: success
  type: dict
  sample:
    namespace_name: examplenamespace
    bucket_name: ocne-images
    object_name: ocne_boot.qcow2-1.33-amd64.oci
    etag: 8b1f4a1e-0c6b-4f0e-9d5e-3f7d2c1b0a99
    size: 734003200
uploaded_bytes:
  description: Bytes that this run has sent to Object Storage; V(0) where nothing had to be uploaded.
  returned: success
  type: int
  sample: 734003200
actions:
  description: What was done, or would be done in check mode; empty when nothing was to be done.
  returned: success
  type: list
  elements: str
  sample:
    - create bucket ocne-images
    - upload /home/opc/.ocne/images/boot.qcow2-1.33-amd64.oci as object ocne_boot.qcow2-1.33-amd64.oci in bucket ocne-images
    - import image ock
    - set capabilities of image ock
    - remove object ocne_boot.qcow2-1.33-amd64.oci in bucket ocne-images
"""

from typing import Any, Union

from ansible_collections.ocne.images.plugins.module_utils import _platform
from ansible_collections.ocne.images.plugins.module_utils._imagebuild.progress import Progress
from ansible_collections.ocne.images.plugins.module_utils._module import run
from ansible_collections.ocne.images.plugins.module_utils._oci import auth
from ansible_collections.ocne.images.plugins.module_utils._oci.absent import Absent
from ansible_collections.ocne.images.plugins.module_utils._oci.journal import JOURNALS_FOLDER
from ansible_collections.ocne.images.plugins.module_utils._oci.present import Present


def _step(params: dict[str, Any], progress: Progress) -> Union[Present, Absent]:
    absent = params["state"] == "absent"
    if params["src"] or not absent:
        params = {**params, "src": _platform.boot_image_path(params["src"], params["kubernetes_version"], params["architecture"])}
    return Absent(params, progress) if absent else Present(params, progress)


def main() -> None:
    run(
        _step,
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "src": {"type": "path"},
            "compartment": {"type": "str", "required": True, "aliases": ["compartment_id"]},
            "bucket_name": {"type": "str", "default": "ocne-images"},
            "namespace_name": {"type": "str"},
            "object_name": {"type": "str"},
            "display_name": {"type": "str"},
            "image_id": {"type": "str"},
            "architecture": {"type": "str", "choices": list(_platform.ARCHITECTURES)},
            "kubernetes_version": {"type": "str"},
            "keep": {"type": "int"},
            "journal_dir": {"type": "path", "default": JOURNALS_FOLDER},
            "keep_object": {"type": "bool", "default": False},
            "private_cloud": {"type": "bool", "default": False},
            "import_through": {"type": "str", "choices": ["auto", "object", "preauthenticated_request"], "default": "auto"},
            "wait": {"type": "bool", "default": True},
            "wait_timeout": {"type": "int", "default": 3600},
            **auth.ARGUMENTS,
        },
        mutually_exclusive=[("keep", "image_id"), ("keep", "src"), ("keep", "object_name")],
        required_if=[
            ("state", "absent", ("image_id", "display_name", "src"), True),
        ],
    )


if __name__ == "__main__":
    main()
