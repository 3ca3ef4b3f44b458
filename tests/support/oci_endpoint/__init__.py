# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A local stand-in of the Oracle Cloud services that image imports use, strict like them, for tests over real HTTP.

with Endpoint() as endpoint:
    compartment = endpoint.add_compartment("team/images")
    client = oci.core.ComputeClient(oci.config.from_file(str(endpoint.config_file)), service_endpoint=endpoint.url)
"""

from __future__ import annotations

from .context import Settings
from .endpoint import Endpoint
from .faults import Fault, ImportOutcome

__all__ = ["Endpoint", "Fault", "ImportOutcome", "Settings"]
