#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_image_info
short_description: Tell what is in a boot image or an ostree archive
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Reads a boot image of Oracle Cloud Native Environment nodes (OCK) without starting or mounting it, and without privileges. It tells
    partitions, filesystems, boot entries, the ostree deployment, the operating system's release, the Kubernetes version, and for which
    provider the image is; it lists folders and prints files.
  - Reads an ostree archive, such as M(ocne.images.ocne_ostree_archive) makes, in a container image or where a web server serves it. It
    tells the ref, its commit with version and kernel, what the commit consists of, and who signed it.
  - What O(source) is, it finds out. Nothing is written but the cache of fetched blobs.
extends_documentation_fragment:
  - ocne.images.registry
  - ocne.images.registry.source
  - ocne.images.attributes
  - ocne.images.attributes.info_module
  - ocne.images.attributes.actiongroup_ocne
  - ocne.images.attributes.progress
options:
  source:
    description:
      - What to look into.
      - A path, which begins with V(/), V(./), V(../) or V(~), is that of a qcow2 file, an OCI archive, or a folder with an OCI layout.
      - V(http://…) or V(https://…) is the URL of an ostree repository, the folder with C(refs) and C(objects). O(username) and
        O(password), O(tls_verify), O(ca_certificates) and O(proxy) hold for its server, too.
      - All else is an image, as a reference of any transport of containers-transports(5); a name without a transport is one of a registry.
        An image that holds a disk is fetched as a whole.
      - Default is V(container-registry.oracle.com/olcne/ock:<kubernetes_version>).
    type: str
  kubernetes_version:
    description:
      - Kubernetes version of the node, which names the tag of the default O(source).
    type: str
    default: "1.33"
  architecture:
    description:
      - Architecture to take from an image for several. Default is that of the host where the module runs. An image for one is taken
        as it is, unless it has to be for another one.
    type: str
    choices: [amd64, x86_64, arm64, aarch64]
  partition:
    description:
      - Label or number of a partition of the boot image.
      - With O(path), that is looked for on this partition alone; without, RV(image.partitions) and RV(image.filesystems) are of it alone.
    type: str
  path:
    description:
      - Absolute path of a file or folder in the boot image, as seen from the root of its partition. Symlinks are followed inside the
        partition.
      - Without O(partition), it is looked for on all partitions whose filesystem is known.
    type: str
  recursive:
    description:
      - Whether also what is in the folders below O(path) is listed.
      - What a result can hold is some thousand files. A folder with more is an error.
    type: bool
    default: false
  ref:
    description:
      - Ref of an ostree archive to tell of. Default is the only one that it has, or V(ock).
    type: str
  engine:
    description:
      - What reads a disk. V(native) is this collection's own code, which knows XFS and FAT; it needs nothing else and takes less than a
        second. V(guestfs) is libguestfs, which starts a small virtual machine. V(auto) takes V(guestfs) for what V(native) refuses.
    type: str
    choices: [auto, native, guestfs]
    default: auto
  timeout:
    description:
      - Seconds that a web server with an ostree repository may take for an answer.
    type: int
    default: 30
notes:
  - A result has less than 700,000 bytes, which is what AWX keeps. A file's content is told up to 400,000 bytes.
  - The objects of a repository at a URL are asked for one by one, by several connections. For an operating system that takes some seconds.
requirements:
  - skopeo, for container images only
  - libguestfs (C(guestfish)), for O(engine=guestfs) only
  - zstd, or Python's backports.zstd, for layers that are compressed with zstd
seealso:
  - module: ocne.images.ocne_boot_image
  - module: ocne.images.ocne_ostree_archive
"""

EXAMPLES = r"""
- name: Look into a boot image that was made
  ocne.images.ocne_image_info:
    source: ~/.ocne/images/boot.qcow2-1.33-amd64.oci
  register: boot_image

- name: See that it is for Oracle Cloud
  ansible.builtin.assert:
    that:
      - boot_image.image.provider == 'oci'
      - boot_image.image.kubernetes_version is version('1.33', '>=')
      - "'rd.iscsi.firmware=1' in boot_image.image.boot_entries[0].kernel_arguments"

- name: List the boot entries of the image in the registry
  ocne.images.ocne_image_info:
    kubernetes_version: "1.33"
    architecture: arm64
    partition: boot
    path: /loader/entries

- name: Print the deployment's fstab
  ocne.images.ocne_image_info:
    source: ~/.ocne/images/boot.qcow2-1.33-amd64.oci
    partition: root
    path: "{{ boot_image.image.deployments[0].path }}/etc/fstab"
  register: fstab

- name: Which commit does the server of ostree archives give?
  ocne.images.ocne_image_info:
    source: http://ostree.example.com:8080/ostree
  register: served

- name: See that it is that of the archive
  ocne.images.ocne_image_info:
    source: ~/.ocne/images/ock-1.33-amd64-ostree.tar
  register: archive
  failed_when: archive.archive.commit != served.archive.commit
"""

RETURN = r"""
source:
  description: What was looked into.
  returned: always
  type: str
  sample: container-registry.oracle.com/olcne/ock:1.33
image:
  description: The boot image.
  returned: when the source is one
  type: dict
  contains:
    digest:
      description: Digest of the manifest, of a container image.
      returned: when the disk is in a container image
      type: str
      sample: sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
    format:
      description: Format of the disk image.
      returned: always
      type: str
      sample: qcow2
    size:
      description: Size of the disk image's file in bytes.
      returned: always
      type: int
      sample: 1467154432
    virtual_size:
      description: Size of the disk in bytes.
      returned: always
      type: int
      sample: 16106127360
    partition_table:
      description: The partition table, with C(type), C(uuid), and the C(sector_size) in bytes.
      returned: always
      type: dict
      sample: {type: gpt, uuid: 46926c86-71eb-854b-8a63-cb060e7d0035, sector_size: 512}
    partitions:
      description: Partitions, in the order of the table.
      returned: always
      type: list
      elements: dict
      contains:
        number:
          description: Its number, from 1.
          returned: always
          type: int
          sample: 2
        label:
          description: Its name in the partition table.
          returned: always
          type: str
          sample: boot
        type:
          description: GUID of its type.
          returned: always
          type: str
          sample: 0fc63daf-8483-4772-8e79-3d69d8477de4
        uuid:
          description: Its own GUID.
          returned: always
          type: str
          sample: f45f61f7-4d4b-d649-b4e3-d947f7458667
        start:
          description: Where it begins on the disk, in bytes.
          returned: always
          type: int
          sample: 257949696
        size:
          description: Its size in bytes.
          returned: always
          type: int
          sample: 511705088
    filesystems:
      description: Filesystems that are known, in the order of their partitions.
      returned: always
      type: list
      elements: dict
      contains:
        partition:
          description: Label of its partition.
          returned: always
          type: str
          sample: boot
        number:
          description: Number of its partition.
          returned: always
          type: int
          sample: 2
        type:
          description: What it is.
          returned: always
          type: str
          sample: xfs
        uuid:
          description: Its UUID, or the volume id of a FAT filesystem.
          returned: always
          type: str
          sample: e70b4e83-7fb5-57ea-ac12-4418431ff291
        label:
          description: Its label; empty where it has none.
          returned: always
          type: str
          sample: boot
    boot_entries:
      description: Entries of the Boot Loader Specification, the one that boots first.
      returned: always
      type: list
      elements: dict
      contains:
        partition:
          description: Label of the partition that it is on.
          returned: always
          type: str
          sample: boot
        path:
          description: Its file.
          returned: always
          type: str
          sample: /loader/entries/ostree-1-ock.conf
        title:
          description: Its title.
          returned: always
          type: str
          sample: Oracle Linux Server 8.10 (ostree:0)
        version:
          description: Its version, by which entries are ordered.
          returned: always
          type: str
          sample: "1"
        linux:
          description: The kernel's file.
          returned: always
          type: str
        initrd:
          description: The initial filesystem's file.
          returned: always
          type: str
        kernel_arguments:
          description: The kernel's arguments.
          returned: always
          type: list
          elements: str
          sample: [ignition.platform.id=oci, ignition.firstboot=1, console=ttyS0]
        deployment:
          description: Path of the ostree deployment that it starts; empty where it starts none.
          returned: always
          type: str
    deployments:
      description: The ostree deployments.
      returned: always
      type: list
      elements: dict
      contains:
        partition:
          description: Label of the partition that it is on.
          returned: always
          type: str
          sample: root
        path:
          description: Its folder.
          returned: always
          type: str
          sample: /ostree/deploy/ock/deploy/64a05cccaa1823b60069cff8d544631e961cb20df352d608d1920a539102a65c.0
        osname:
          description: Its operating system's name for ostree.
          returned: always
          type: str
          sample: ock
        serial:
          description: Its number among deployments of the same commit.
          returned: always
          type: int
          sample: 0
        commit:
          description: Its commit.
          returned: always
          type: str
          sample: 64a05cccaa1823b60069cff8d544631e961cb20df352d608d1920a539102a65c
        version:
          description: The commit's version.
          returned: always
          type: str
          sample: "1.33.4"
        date:
          description: When the commit was made.
          returned: always
          type: str
          sample: "2026-11-23T08:00:00Z"
        kernel:
          description: Version of its kernel.
          returned: always
          type: str
          sample: 5.15.0-305.176.4.el8uek.x86_64
        architecture:
          description: Its architecture, as container images name it.
          returned: always
          type: str
          sample: amd64
        kubernetes_version:
          description: Its Kubernetes version, by its kubelet package, its configuration for kubeadm, or its commit's version.
          returned: always
          type: str
          sample: "1.33.1"
        os_release:
          description: Fields of its os-release(5).
          returned: always
          type: dict
    commit:
      description: Commit of the deployment that boots; empty where there is none. The same goes for what follows.
      returned: always
      type: str
      sample: 64a05cccaa1823b60069cff8d544631e961cb20df352d608d1920a539102a65c
    version:
      description: Its version.
      returned: always
      type: str
      sample: "1.33.4"
    kernel:
      description: Version of its kernel.
      returned: always
      type: str
      sample: 5.15.0-305.176.4.el8uek.x86_64
    architecture:
      description: Its architecture, as container images name it.
      returned: always
      type: str
      sample: amd64
    kubernetes_version:
      description: Its Kubernetes version.
      returned: always
      type: str
      sample: "1.33.1"
    os_release:
      description: Fields of its os-release(5).
      returned: always
      type: dict
      sample: {ID: ol, VERSION_ID: "8.10", VARIANT_ID: ock}
    provider:
      description: Ignition's platform id in the entry that boots, which says for which provider the image is.
      returned: always
      type: str
      sample: oci
    files:
      description: The file at O(path), or what is in the folder there.
      returned: when O(path) is given
      type: list
      elements: dict
      contains:
        partition:
          description: Label of the partition that it is on, or its number where the label is not its alone.
          returned: always
          type: str
          sample: root
        path:
          description: Its path on the partition, as it was asked for.
          returned: always
          type: str
          sample: /ostree/repo/config
        type:
          description: V(file), V(directory), V(symlink), or V(other).
          returned: always
          type: str
          sample: file
        mode:
          description: Its permissions, in octal digits. FAT has none, these are Linux' for it.
          returned: always
          type: str
          sample: "0644"
        uid:
          description: Number of its owner.
          returned: always
          type: int
          sample: 0
        gid:
          description: Number of its group.
          returned: always
          type: int
          sample: 0
        size:
          description: Its bytes.
          returned: for a file
          type: int
          sample: 45
        target:
          description: Where a symlink points.
          returned: for a symlink
          type: str
        selinux:
          description: Its SELinux label.
          returned: when it has one
          type: str
          sample: system_u:object_r:etc_t:s0
        content:
          description: Its content.
          returned: when O(path) is a file
          type: str
        encoding:
          description: V(utf-8) where the content is text as it is, V(base64) where it is encoded.
          returned: when O(path) is a file
          type: str
          sample: utf-8
    engine:
      description: What read the disk.
      returned: always
      type: str
      sample: native
    engine_reason:
      description: Why it was not the native engine; empty where it was, or where another was asked for.
      returned: always
      type: str
      sample: ""
archive:
  description: The ostree archive.
  returned: when the source is one
  type: dict
  contains:
    format:
      description:
        - V(repository) is an ostree repository, in a container image or at a URL. V(encapsulated) is an ostree container, which has
          objects in layers; its labels are told, and its layers not fetched.
      returned: always
      type: str
      sample: repository
    digest:
      description: Digest of the manifest, of a container image.
      returned: for a container image
      type: str
      sample: sha256:2b8ac4e0f6f4d5b30e1ed9f7c7d5a9be5d0ae71ea1e0f3a2a9b4d9c0b1a28f33
    architecture:
      description: Architecture of the container image.
      returned: for a container image
      type: str
      sample: amd64
    url:
      description: Where the repository is, after redirections.
      returned: for a URL
      type: str
      sample: http://ostree.example.com:8080/ostree
    mode:
      description: The repository's mode.
      returned: for a repository
      type: str
      sample: archive-z2
    refs:
      description: Its refs and their commits. Of a URL without a summary, the one that was asked for.
      returned: for a repository
      type: dict
      sample: {ock: 077e037555471c16cb31fe425acd1780db35f66123e74fdf6c91ac0404750058}
    ref:
      description: The ref that the following is about.
      returned: for a repository
      type: str
      sample: ock
    commit:
      description: Its commit.
      returned: always
      type: str
      sample: 077e037555471c16cb31fe425acd1780db35f66123e74fdf6c91ac0404750058
    parent:
      description: The commit before it; empty where there is none.
      returned: for a repository
      type: str
      sample: ""
    date:
      description: When the commit was made.
      returned: always
      type: str
      sample: "2026-11-23T08:00:00Z"
    version:
      description: The commit's version; empty where it has none.
      returned: always
      type: str
      sample: "1.33.4"
    subject:
      description: The commit's subject.
      returned: for a repository
      type: str
      sample: ""
    kernel:
      description: Version of the kernel in it; empty where there is none, or several.
      returned: always
      type: str
      sample: 5.15.0-305.176.4.el8uek.x86_64
    objects:
      description: How many objects the commit consists of.
      returned: for a repository
      type: int
      sample: 33711
    size:
      description: Bytes of these objects as they are stored; of an encapsulated one, those of its layers.
      returned: always
      type: int
      sample: 812345678
    missing:
      description: How many of these objects are not there.
      returned: for a repository
      type: int
      sample: 0
    layers:
      description: How many layers it has.
      returned: for an encapsulated one
      type: int
      sample: 50
    signatures:
      description: Signatures of the commit, each kind with how many there are. They are not verified.
      returned: for a repository
      type: list
      elements: dict
      sample: [{type: gpg, count: 1}]
    summary_signatures:
      description: Signatures of the summary, in the same form.
      returned: for a repository
      type: list
      elements: dict
      sample: []
"""

from ansible_collections.ocne.images.plugins.module_utils._builder.image_info import ImageInfo
from ansible_collections.ocne.images.plugins.module_utils._builder.source import REGISTRY_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._module import run
from ansible_collections.ocne.images.plugins.module_utils._platform import ARCHITECTURES, DEFAULT_KUBERNETES_VERSION


def main() -> None:
    run(
        ImageInfo,
        {
            "source": {"type": "str"},
            "kubernetes_version": {"type": "str", "default": DEFAULT_KUBERNETES_VERSION},
            "architecture": {"type": "str", "choices": list(ARCHITECTURES)},
            "partition": {"type": "str"},
            "path": {"type": "str"},
            "recursive": {"type": "bool", "default": False},
            "ref": {"type": "str"},
            "engine": {"type": "str", "choices": ["auto", "native", "guestfs"], "default": "auto"},
            "timeout": {"type": "int", "default": 30},
            **REGISTRY_OPTIONS,
        },
        required_together=[("username", "password")],
    )


if __name__ == "__main__":
    main()
