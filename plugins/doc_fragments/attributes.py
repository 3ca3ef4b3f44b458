# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of the attributes that all modules have; each module says how far it supports them."""

from __future__ import annotations


class ModuleDocFragment:
    DOCUMENTATION = r"""
options: {}
seealso:
  - name: Guides
    description: Tutorials, how to do what, the security model, and what error messages mean.
    link: https://github.com/oracle-cne/ocne-images/tree/main/docs
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system controlled or queried by the module has not changed in a relevant way.
"""

    ACTIONGROUP_OCNE = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/ocne.images.ocne) in C(module_defaults) to set defaults for this module.
    support: full
    membership:
      - ocne.images.ocne
"""

    PROGRESS = r"""
options: {}
attributes:
  action:
    description: Indicates this has a corresponding action plugin so some parts of the options can be executed on the controller.
    support: full
    details:
      - The plugin shows the module's progress, and ends the module when the play is interrupted. The module does the same without it.
  async:
    description: Supports being used with the C(async) keyword.
    support: full
    details:
      - Its progress is not shown then, but for that of a task with C(poll=0), by M(ocne.images.ocne_build_wait).
notes:
  - What takes longer than a few seconds is told of on standard error, line by line, at least every 30 seconds. Set the variable
    C(ocne_images_progress) to V(false) to have silence.
"""

    INFO_MODULE = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""
