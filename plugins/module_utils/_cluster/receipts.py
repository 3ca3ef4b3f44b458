# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What we made, so that we remove that and nothing else: one file a cluster, written before anything is created."""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Optional

from .._errors import OcneError
from .._files import write_private

FOLDER = "~/.ocne/clusters"
RECEIPT_VERSION = 1

# As kind and libvirt take it, short enough for a host's name made of it; it becomes part of paths, too.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,40}[a-z0-9])?")


@dataclass(frozen=True)
class Receipt:
    """A cluster of ours.

    :param owned: exact names and ids, by which the provider knows its own; JSON-able.
    :param complete: it has been made to its end; else its run was ended in the middle.
    """

    name: str
    provider: str
    kubeconfig: str
    owned: dict[str, Any]
    complete: bool = False


def checked_name(name: str) -> str:
    """The name, when a cluster can have it."""
    if not _NAME.fullmatch(name):
        raise OcneError(f"A cluster cannot be called {name!r}.", "Take lower-case letters, digits and '-', at most 42 of them.")
    return name


def path(name: str) -> Path:
    """Where the receipt of the cluster of that name is, or would be."""
    return Path(FOLDER, f"{name}.json").expanduser()


def read(name: str) -> Optional[Receipt]:
    """The receipt; None where we have made no such cluster.

    :raises OcneError: it cannot be understood. To go on as if it were not there would forget what it names.
    """
    file = path(name)
    try:
        value = json.loads(file.read_text("utf-8"))
        if value.pop("version") != RECEIPT_VERSION:
            raise ValueError("another version's")
        return Receipt(**value)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise OcneError(
            f"Receipt {file} cannot be understood: {error}.", "It names what was made for a cluster: remove that by hand, then the file."
        ) from error


def all_of(provider: str) -> list[Receipt]:
    """The receipts of all clusters that it has made; one that cannot be understood counts when its own cluster is meant."""
    found = []
    for file in sorted(Path(FOLDER).expanduser().glob("*.json")):
        with contextlib.suppress(OcneError):
            found.append(read(file.name[: -len(".json")]))
    return [receipt for receipt in found if receipt and receipt.provider == provider]


def write(receipt: Receipt) -> None:
    """Keep the receipt, whole, for this user only."""
    text = json.dumps({"version": RECEIPT_VERSION, **asdict(receipt)}, indent=1, sort_keys=True)
    write_private(path(receipt.name), f"{text}\n".encode())


def remove(name: str) -> None:
    """Forget the cluster."""
    path(name).unlink(missing_ok=True)
