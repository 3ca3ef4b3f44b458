# Copyright (c) 2026, ocne.images contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all services share: settings, the folder for bytes, a clock, identifiers."""

from __future__ import annotations

import datetime
import secrets
import threading
import time
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

GIB = 1 << 30
MIB = 1 << 20


@dataclass
class Settings:
    """How the endpoint behaves; may be changed while it runs."""

    region: str = "us-ashburn-1"
    """Region identifier; `region_key` is its short name."""
    region_key: str = "IAD"
    namespace: str = "axexample00000"
    page_size: int = 100
    """Items in a list's page when the request names no `limit`; small values make every client follow opc-next-page."""
    min_part_size: int = 10 * MIB
    """Object Storage: 10 MiB for every part but the last."""
    max_part_size: int = 50 * GIB
    import_seconds: float = 0.0
    """Simulated time of an import, if the check of its content does not take longer. The service needs 13 to 16 minutes."""
    list_delay: float = 0.0
    """Seconds until ListImages shows a new or changed image: lists of the real service are eventually consistent."""
    image_limit: int = 100
    """Service limit custom-image-count."""
    max_virtual_size: int = 400 * 10**9
    """A custom image has at most 400 GB."""
    delete_while_importing: bool = False
    """Whether DeleteImage works on an image in IMPORTING; otherwise 409 IncorrectState."""
    uri_only_kinds: list[str] = field(default_factory=list)
    """Kinds of principals (session, instance, resource, workload) that must import through a pre-authenticated request."""
    clock_skew: float = 300.0
    """A date further away than this is refused with 401."""
    clock_ahead: float = 0.0
    """Seconds by which the service's clock is ahead of this machine's."""

    def update(self, values: dict[str, Any]) -> None:
        """:raises ValueError: an unknown name or a value of another type."""
        kinds = {item.name: type(getattr(self, item.name)) for item in fields(self)}
        for name, value in values.items():
            kind = kinds.get(name)
            if kind is None:
                raise ValueError(f"no setting {name!r}; there are {', '.join(kinds)}")
            if kind is float and isinstance(value, int):
                value = float(value)
            if not isinstance(value, kind) or isinstance(value, bool) is not (kind is bool):
                raise ValueError(f"{name} is of type {kind.__name__}, not {type(value).__name__}")
            setattr(self, name, value)


class Context:
    """One per endpoint. `lock` guards all records of all services; bytes are moved outside of it."""

    def __init__(self, settings: Settings, folder: Path, tenancy: str) -> None:
        self.settings = settings
        self.folder = folder
        self.tenancy = tenancy
        self.lock = threading.RLock()
        self.stopping = threading.Event()

    def ocid(self, kind: str, regional: bool = True) -> str:
        region = self.settings.region_key.lower() if regional else ""
        return new_ocid(kind, region)


def new_ocid(kind: str, region: str = "") -> str:
    """`ocid1.<resource type>.<realm>.[region].<unique id>` (API reference, "Resource Identifiers")."""
    return f"ocid1.{kind}.oc1.{region}.aaaaaaaa" + "".join(secrets.choice("abcdefghijklmnopqrstuvwxyz234567") for _turn in range(52))


def now() -> datetime.datetime:
    return datetime.datetime.now(datetime.timezone.utc)


def timestamp(moment: datetime.datetime) -> str:
    """RFC 3339 with milliseconds, as the services write it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def http_date(moment: datetime.datetime) -> str:
    return moment.strftime("%a, %d %b %Y %H:%M:%S GMT")


def new_etag() -> str:
    raw = secrets.token_hex(16)
    return "-".join((raw[:8], raw[8:12], raw[12:16], raw[16:20], raw[20:]))


monotonic = time.monotonic
