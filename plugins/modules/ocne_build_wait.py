#!/usr/bin/python
# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ocne_build_wait
short_description: Wait for builds that run side by side, and show their progress
version_added: 0.1.0
author:
  - ocne.images contributors (@oracle-cne)
description:
  - Waits for modules of this collection that were started with C(async) and C(poll=0), as M(ansible.builtin.async_status) does, for all at
    once. It shows the progress of each, and ends them when the play is interrupted.
extends_documentation_fragment:
  - ocne.images.attributes
  - ocne.images.attributes.actiongroup_ocne
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
  check_mode:
    support: none
    details:
      - Ansible has no asynchronous tasks in check mode, so that there is nothing to wait for.
  diff_mode:
    support: none
  idempotent:
    support: N/A
options:
  jobs:
    description:
      - What the tasks that have started the modules have registered.
    type: list
    elements: dict
    required: true
  wait_timeout:
    description:
      - Seconds after which a module counts as failed that has not ended.
    type: int
    default: 86400
seealso:
  - module: ansible.builtin.async_status
"""

EXAMPLES = r"""
- name: Begin to make two images
  ocne.images.ocne_boot_image:
    kubernetes_version: "1.33"
    architecture: "{{ item }}"
  loop: [amd64, arm64]
  async: 7200
  poll: 0
  register: begun

- name: Wait for both
  ocne.images.ocne_build_wait:
    jobs: "{{ begun.results }}"
  register: made

- name: Show where they are
  ansible.builtin.debug:
    msg: "{{ made.results | map(attribute='path') }}"
"""

RETURN = r"""
results:
  description: What the modules have returned, in the order of O(jobs), each with the C(item) of its loop.
  returned: always
  type: list
  elements: dict
"""

# The action plugin of the same name does it all.
