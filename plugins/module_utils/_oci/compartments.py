# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A compartment by OCID, or by its path of names from the tenancy."""

from __future__ import annotations

from collections.abc import Sequence

from .._errors import OcneError
from .client import Clients, every

_OCID_PREFIXES = ("ocid1.compartment.", "ocid1.tenancy.")


def compartment_id(clients: Clients, compartment: str) -> str:
    """The compartment's OCID. No call is made for an OCID; names on a path are compared as the service does, in any case.

    :param compartment: an OCID, or names as in 'team/images'; '/' is the tenancy itself.
    :raises OcneError: no such compartment; the message names those beside it.
    """
    if compartment.startswith("ocid1."):
        if not compartment.startswith(_OCID_PREFIXES):
            raise OcneError(f"compartment {compartment} is an OCID, but not of a compartment or a tenancy.", "Give a compartment's OCID.")
        return compartment
    names = [name for name in compartment.split("/") if name]
    tenancy = clients.identity.tenancy
    if not tenancy:
        raise OcneError(
            f"compartment {compartment!r} is a path, and the tenancy it starts from is not known.",
            "Set tenancy, or give the compartment's OCID.",
        )
    current, path = tenancy, "the tenancy"
    for name in names:
        children = every(
            f"compartments of {path} ({current})",
            clients.identity_service.list_compartments,
            current,
            lifecycle_state="ACTIVE",
            access_level="ANY",
        )
        found = [child.id for child in children if child.name.lower() == name.lower()]
        if not found:
            raise OcneError(
                f"There is no active compartment {name!r} in {path} ({current}).", _suggestion([child.name for child in children])
            )
        current, path = found[0], name if path == "the tenancy" else f"{path}/{name}"
    return str(current)


def _suggestion(names: Sequence[str]) -> str:
    if not names:
        return "It holds no compartment that these credentials may see: check the path and the policies."
    shown = ", ".join(sorted(names)[:20])
    return f"It holds: {shown}{', …' if len(names) > 20 else ''}."
