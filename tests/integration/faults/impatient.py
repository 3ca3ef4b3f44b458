# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module in a process of its own, which waits seconds where users wait minutes, and uploads small parts.

python -m tests.integration.faults.impatient ocne_boot_image < parameters.json
"""

from __future__ import annotations

from tests.support import module_call, oci_import

if __name__ == "__main__":
    oci_import.in_small()
    from ansible_collections.ocne.images.plugins.module_utils._containers import skopeo, watching
    from ansible_collections.ocne.images.plugins.module_utils._oci import client

    client._TIMEOUT = (3.0, 3.0)
    watching.PATIENCE, watching._INTERVAL = 3.0, 0.1
    skopeo.LONGEST_PAUSE = 0.2  # type: ignore[assignment]
    module_call.main()
