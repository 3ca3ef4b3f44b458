#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_cluster
short_description: Find a Kubernetes cluster that can build images, or make one
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Finds a running cluster and checks that it can build images. It has to answer, to have a node that is ready, and to let this account do
    what a build needs, by a review of access.
  - Where there is none, makes one that lives until it is removed by O(state=absent).
  - With libvirt, that is one virtual machine which boots the OCK image, without root in a session (C(qemu:///session)).
  - What is made is noted before anything is created, in C(~/.ocne/clusters). O(state=absent) removes what is noted there and nothing else.
extends_documentation_fragment:
  - ocne.images.kubernetes
  - ocne.images.registry
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
  state:
    description:
      - Whether there is to be a cluster.
      - V(absent) removes the cluster O(name) that this module has made for this user. Other clusters stay, whatever their name.
    type: str
    choices: [present, absent]
    default: present
  provider:
    description:
      - Where the cluster comes from.
      - V(existing) is one that runs. V(libvirt) makes a virtual machine of the OCK boot image. V(kind) makes a container of docker or
        podman on the host where the module runs, with the program C(kind).
      - V(auto) takes the one that runs, else makes one, with libvirt where that is there, else with kind. A cluster that is named, by an
        option or the environment, has to work; only when none is named, or that of C(~/.kube/config) is not running, is another one made.
    type: str
    choices: [auto, existing, libvirt, kind]
    default: auto
  name:
    description:
      - Name of the cluster to make or to remove.
    type: str
    default: ocne-ephemeral
  namespace:
    description:
      - Namespace of the builds, for the review of access. It need not exist; then it has to be allowed to create it.
    type: str
    default: ocne-system
  force:
    description:
      - Remove a cluster that this module has made and that does not work, or is not as asked for, and make it anew. One that is as asked
        for stays.
    type: bool
    default: false
  connection_uri:
    description:
      - Where libvirt is, for O(provider=libvirt), as V(qemu:///session), V(qemu:///system), or V(qemu+ssh://user@host/system).
      - Default is V(qemu:///session), and for a cluster that is there, where it has been made.
      - The API server of a cluster on another host listens on that host's address.
    type: str
  source:
    description:
      - Boot image for O(provider=libvirt). A reference of any transport of containers-transports(5) to an image with a qcow2 in C(disk/),
        or the path of a qcow2 file, beginning with C(/), C(./), C(../) or C(~).
      - Default is C(container-registry.oracle.com/olcne/ock:<kubernetes_version>).
    type: str
  kubernetes_version:
    description:
      - Kubernetes version of the cluster, for O(provider=libvirt), which names the image's tag. Default is V(1.33).
      - Where it is given and the cluster that is there has another one, the module fails, or with O(force) makes the cluster anew.
    type: str
  cpus:
    description:
      - Processors of the node, for O(provider=libvirt).
    type: int
    default: 2
  memory:
    description:
      - Memory of the node in MiB, for O(provider=libvirt).
    type: int
    default: 4096
  disk_size:
    description:
      - Size of the node's disk in GiB, for O(provider=libvirt). It takes room as it fills; the storage pool has to have all of it free.
    type: int
    default: 30
  storage_pool:
    description:
      - Storage pool of libvirt for the node's volumes. V(images) is made where it is missing, in C(~/.local/share/libvirt/images) for a
        session, and in C(/var/lib/libvirt/images) else. Another one has to be there.
    type: str
    default: images
  network:
    description:
      - Network of libvirt in which the node gets an address, besides the one through which the API server is reached. Default is none.
    type: str
  ssh_public_key:
    description:
      - Public key with which the user C(ocne) may log in on the node. Default is none, and so nobody may.
    type: str
  node_image:
    description:
      - Node image for O(provider=kind), as V(kindest/node:v1.34.0). Default is that of the installed C(kind).
    type: str
  wait_timeout:
    description:
      - Seconds to wait until a cluster that is made here is ready, from when its machine runs, and for another run that makes or removes
        it. Where the processor is emulated, a node takes minutes.
    type: int
    default: 600
requirements:
  - virsh (the client of libvirt), QEMU with UEFI firmware, and cryptography (the Python package), for O(provider=libvirt) only
  - kind, and docker or podman, for O(provider=kind) only
seealso:
  - module: ocne.images.ocne_boot_image
  - module: ocne.images.ocne_ostree_archive
notes:
  - The options that concern registries are for O(provider=libvirt). The node goes out through O(proxy), too, and trusts
    O(ca_certificates).
  - C(skopeo) is needed for O(provider=libvirt) with an image, not with a file.
  - With libvirt, the key of the cluster's certificate authority is made here. It is in the kubeconfig's certificate only by what it has
    signed, and lies in the volume C(<name>-control-plane-1-init.ign), which only the owner of the virtual machine can read.
  - The kubeconfig of a cluster that is made is C(~/.kube/kubeconfig.<name>.local), which only this user can read. It is not merged into
    any other.
"""

EXAMPLES = r"""
- name: Take the cluster that runs, or make one
  ocne.images.ocne_cluster:
  register: cluster

- name: Check that a certain cluster can build
  ocne.images.ocne_cluster:
    provider: existing
    kubeconfig: ~/.kube/production
    context: builders
    namespace: images

- name: Make a cluster with libvirt from a boot image that is here
  ocne.images.ocne_cluster:
    provider: libvirt
    source: ~/.ocne/images/boot.qcow2
    kubernetes_version: "1.33"
    memory: 8192

- name: Make one on another host
  ocne.images.ocne_cluster:
    provider: libvirt
    connection_uri: qemu+ssh://builder@virt.example.com/system

- name: Make a cluster with kind
  ocne.images.ocne_cluster:
    provider: kind
    name: builder

- name: Remove it
  ocne.images.ocne_cluster:
    name: builder
    state: absent
"""

RETURN = r"""
kubeconfig:
  description: Kubeconfig of the cluster; empty where it is reached without one.
  returned: when state is present
  type: str
  sample: /home/opc/.kube/kubeconfig.ocne-ephemeral.local
provider:
  description: What the cluster comes from, V(existing) or what made it.
  returned: when state is present, and when one is removed
  type: str
  sample: libvirt
name:
  description: Name of the cluster; of one that was found, its context in the kubeconfig, or its address.
  returned: always
  type: str
  sample: ocne-ephemeral
created:
  description: Whether this run has made it (in check mode, would make it).
  returned: always
  type: bool
  sample: true
hypervisor:
  description: How the processor of a machine of libvirt runs, V(kvm), or V(tcg) where it is emulated, since KVM does not work there.
  returned: for a cluster that libvirt has made
  type: str
  sample: kvm
version:
  description: Kubernetes version of its API server.
  returned: when state is present, except in check mode for a cluster that is not there
  type: str
  sample: v1.34.4
actions:
  description: What was done, or would be done in check mode; empty when nothing was to be done.
  returned: always
  type: list
  elements: str
  sample:
    - make the libvirt cluster ocne-ephemeral
    - write /home/opc/.kube/kubeconfig.ocne-ephemeral.local
missing_rights:
  description: What this account may not do and has to.
  returned: on failure of the review of access
  type: list
  elements: str
  sample:
    - create jobs.batch
"""

from ansible_collections.ocne.images.plugins.module_utils._builder.boot_disk import BootDisk
from ansible_collections.ocne.images.plugins.module_utils._builder.source import REGISTRY_OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._cluster.step import PROVIDERS, Cluster
from ansible_collections.ocne.images.plugins.module_utils._kubernetes_client import OPTIONS
from ansible_collections.ocne.images.plugins.module_utils._module import run


def main() -> None:
    run(
        # The one who knows clusters does not know images.
        lambda params, progress: Cluster(params, progress, BootDisk(params, progress)),
        {
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "provider": {"type": "str", "choices": ["auto", "existing", *PROVIDERS], "default": "auto"},
            "name": {"type": "str", "default": "ocne-ephemeral"},
            "namespace": {"type": "str", "default": "ocne-system"},
            "force": {"type": "bool", "default": False},
            "node_image": {"type": "str"},
            "connection_uri": {"type": "str"},
            "source": {"type": "str"},
            "kubernetes_version": {"type": "str"},
            "cpus": {"type": "int", "default": 2},
            "memory": {"type": "int", "default": 4096},
            "disk_size": {"type": "int", "default": 30},
            "storage_pool": {"type": "str", "default": "images"},
            "network": {"type": "str"},
            "ssh_public_key": {"type": "str", "no_log": False},
            "wait_timeout": {"type": "int", "default": 600},
            **REGISTRY_OPTIONS,
            **OPTIONS,
        },
        required_together=[("username", "password")],
    )


if __name__ == "__main__":
    main()
