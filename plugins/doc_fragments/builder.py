# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the options by which modules build on a cluster."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
notes:
  - Options of the cluster have no meaning for O(builder=local), which needs no cluster and no Python package for one.
  - Pods of O(builder=cluster) meet the Pod Security level C(restricted). What a build makes in the cluster, a Job with its pod, a
    ConfigMap, and a Secret with the credentials of the registry, is removed at its end. What a killed run leaves ends by itself, at the
    latest after O(wait_timeout) and five minutes, and the next run from the same host removes it.
options:
  builder:
    description:
      - Where the conversion runs. V(local) is the host where the module runs. V(cluster) is a pod, and gives the same result.
      - With V(cluster), the pod fetches an image that is in a registry. What only the host has, a file, another transport, or a registry
        on its loopback, is sent to the pod.
    type: str
    choices: [local, cluster]
    default: local
  builder_image:
    description:
      - Image in which the pod converts. It needs Python 3.9 or newer as C(python3), and nothing else for the engine C(native); Python
        3.14 or the program C(zstd) for layers that are compressed with zstd; libguestfs for the engine C(guestfs).
    type: str
    default: docker.io/library/python:3.14-slim
  fetcher_image:
    description:
      - Image with C(skopeo), in which the pod fetches what is in a registry.
    type: str
    default: quay.io/skopeo/stable:latest
  namespace:
    description:
      - Namespace to build in. It is made where it is missing, and kept.
    type: str
    default: ocne-system
  storage:
    description:
      - Room that the pod gets to work in, as a quantity. A cluster that cannot give it says so before anything starts.
    type: str
    default: 20Gi
  storage_class:
    description:
      - Storage class of a volume that is made for the build, and goes with it. Default is the ephemeral storage of the node.
    type: str
  node_selector:
    description:
      - Labels that the node has to have.
    type: dict
    default: {}
  tolerations:
    description:
      - Taints of nodes that do not matter, as in a pod's manifest.
    type: list
    elements: dict
    default: []
  resources:
    description:
      - C(requests) and C(limits) of the pod's containers, over the defaults. These are half a core and 512Mi of memory with a limit of
        2Gi, and for the engine C(guestfs) one core and 2Gi with a limit of 4Gi.
    type: dict
    default: {}
  image_pull_secrets:
    description:
      - Names of Secrets in O(namespace) with credentials for O(builder_image) and O(fetcher_image).
    type: list
    elements: str
    default: []
  wait_timeout:
    description:
      - Seconds that a build on the cluster may take. The cluster ends it then.
    type: int
    default: 3600
"""
